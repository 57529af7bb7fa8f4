"""The socket: who may come, who is let go, and that no client holds up another."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.service.clients import MOST_CLIENTS, Clients
from appliance.service.errors import ServiceError

from .conftest import PATIENCE_S

LONGEST = 100


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    made = Clients(tmp_path / "s", LONGEST)
    yield made
    made.close()


def connect(folder: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(PATIENCE_S)
    made.connect(str(folder / "s"))
    return made


def lines(clients: Clients, count: int) -> list[tuple[int, bytes]]:
    """So many lines, or as many as come while the service is awake."""
    got: list[tuple[int, bytes]] = []
    for _ in range(100):
        if len(got) >= count:
            break
        got += clients.poll(0.1)
    return got


def test_only_this_user_and_its_group_may_connect_and_nothing_is_left(tmp_path: Path) -> None:
    made = Clients(tmp_path / "s", LONGEST)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(tmp_path / "s"))
    dead.listen()
    dead.close()
    made = Clients(tmp_path / "s", LONGEST)
    with connect(tmp_path) as client:
        client.sendall(b"here\n")
        assert [line for _, line in lines(made, 1)] == [b"here"]
    made.close()


def test_a_living_service_is_left_alone(clients: Clients, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="Another scanner"):
        Clients(tmp_path / "s", LONGEST)
    with connect(tmp_path) as client:
        client.sendall(b"still\n")
        assert [line for _, line in lines(clients, 1)] == [b"still"]


@pytest.mark.parametrize("place", ["absent/s", "s" * 120, "file"])
def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("somebody's")
    with pytest.raises(ServiceError) as refused:
        Clients(tmp_path / place, LONGEST)
    assert place in refused.value.what
    assert (tmp_path / "file").read_text() == "somebody's"


def test_lines_come_whole_however_they_are_cut(clients: Clients, tmp_path: Path) -> None:
    with connect(tmp_path) as client:
        for piece in (b"on", b"e\ntw", b"o\n\n  \nthr"):
            client.sendall(piece)
        client.sendall(b"ee\n")
        assert [line for _, line in lines(clients, 3)] == [b"one", b"two", b"three"]


def test_a_line_without_end_is_handed_on_when_it_is_too_long(clients: Clients, tmp_path: Path) -> None:
    with connect(tmp_path) as client:
        client.sendall(b"x" * (LONGEST + 1))
        ((_, line),) = lines(clients, 1)
        assert len(line) > LONGEST


def test_who_is_hung_up_on_gets_the_last_answer_and_is_heard_no_more(clients: Clients, tmp_path: Path) -> None:
    with connect(tmp_path) as bad, connect(tmp_path) as good:
        bad.sendall(b"nonsense\nscan\n")
        heard: list[bytes] = []
        while not heard:
            for number, line in clients.poll(PATIENCE_S):
                heard.append(line)
                clients.send(number, b"no\n")
                clients.hang_up(number)
        assert heard == [b"nonsense"]
        assert bad.recv(100) == b"no\n"
        assert bad.recv(100) == b""
        good.sendall(b"fine\n")
        assert [line for _, line in lines(clients, 1)] == [b"fine"]


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(clients: Clients, tmp_path: Path) -> None:
    with connect(tmp_path) as deaf, connect(tmp_path) as good:
        deaf.sendall(b"me\n")
        ((number, _),) = lines(clients, 1)
        for _ in range(100):
            clients.send(number, b"x" * 65_536)
        good.sendall(b"me too\n")
        ((other, line),) = lines(clients, 1)
        assert (line, other != number) == (b"me too", True)
        clients.send(other, b"yes\n")
        assert good.recv(100) == b"yes\n"
        received = 0
        while chunk := deaf.recv(1 << 20):
            received += len(chunk)
        assert received < 100 * 65_536


def test_what_a_slow_client_has_not_taken_yet_comes_later(clients: Clients, tmp_path: Path) -> None:
    with connect(tmp_path) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"me\n")
        ((number, _),) = lines(clients, 1)
        sent = b"".join(b"%06d\n" % line for line in range(35_000))
        clients.send(number, sent)
        slow.setblocking(False)
        received = b""
        while len(received) < len(sent):
            list(clients.poll(0.01))
            try:
                received += slow.recv(1 << 16)
            except BlockingIOError:
                continue
        assert received == sent


def test_one_client_too_many_is_turned_away(clients: Clients, tmp_path: Path) -> None:
    crowd = []
    for _ in range(MOST_CLIENTS + 1):
        crowd.append(connect(tmp_path))
        list(clients.poll(PATIENCE_S))
    assert crowd[-1].recv(1) == b""
    crowd[0].close()
    list(clients.poll(PATIENCE_S))
    with connect(tmp_path) as late:
        late.sendall(b"now\n")
        assert [line for _, line in lines(clients, 1)] == [b"now"]
    for client in crowd:
        client.close()


def test_another_thread_ends_the_wait(clients: Clients) -> None:
    clients.wake()
    assert list(clients.poll(PATIENCE_S)) == []
