"""What the broker refuses is visible, kept, and sent once the cause is mended. Against real mosquitto."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from appliance.messages import OutboxMessage

from ..mosquitto_process import Mosquitto
from ..slide_samples import Samples
from .conftest import Eventually, Site

BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])
NO_VERDICTS = "topic readwrite lab/+/+/rcpt\ntopic readwrite lab/+/+/state\ntopic readwrite lab/+/+/evt/alarm\n"
EVERYTHING = "topic readwrite lab/#\n"


def guarded_broker(make_mosquitto: type[Mosquitto], folder: Path, rules: str) -> tuple[Mosquitto, Path]:
    acl = folder / "acl"
    acl.write_text(rules)
    acl.chmod(0o644)
    broker = make_mosquitto(f"allow_anonymous true\nacl_file {acl}")
    broker.start()
    return broker, acl


def test_a_denied_publish_is_parked_with_an_alarm_and_sent_after_the_cure(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually, tmp_path: Path
) -> None:
    broker, acl = guarded_broker(make_mosquitto, tmp_path, NO_VERDICTS)
    site.hub(broker.port, "5")
    sender = site.sender(broker.port, "5")
    message = samples.finished(site.journal, 1)
    delivery = sender.wait_for_receipt(message.key, 15)
    assert delivery is not None
    assert (delivery.parked, delivery.broker_code, delivery.receipt) == (True, 0x87, None)
    assert "Not authorized" in delivery.reason
    eventually(lambda: site.store.events(".alarm."), "the alarm at the hub")
    assert b'"broker-refused"' in site.store.events(".alarm.")[0]
    assert sender.status().refused == 1
    assert site.keys() == []
    sender.stop()
    broker.stop()
    acl.write_text(EVERYTHING)
    broker.start()
    again = site.sender(broker.port, "5")
    eventually(lambda: site.outbox.delivery(message.key).receipt is not None, "the receipt after the cure")  # type: ignore[union-attr]
    assert site.keys() == [message.key]
    assert again.status().refused == 0


def test_a_denial_that_3_1_1_hides_shows_as_a_missing_receipt(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually, tmp_path: Path
) -> None:
    broker, _ = guarded_broker(make_mosquitto, tmp_path, NO_VERDICTS)
    site.hub(broker.port, "3.1.1")
    sender = site.sender(broker.port, "3.1.1", receipt_timeout_s=0.2)
    message = samples.finished(site.journal, 1)
    eventually(lambda: site.outbox.delivery(message.key).attempts >= 2, "it is tried again")  # type: ignore[union-attr]
    assert "No receipt came" in sender.status().last_problem
    delivery = site.outbox.delivery(message.key)
    assert delivery is not None
    assert (delivery.broker_code, delivery.receipt, delivery.parked) == (0, None, False)


@BOTH
def test_a_broker_that_wants_a_password_is_told_apart(
    site: Site, make_mosquitto: type[Mosquitto], eventually: Eventually, protocol: str
) -> None:
    broker = make_mosquitto("allow_anonymous false")
    broker.start()
    sender = site.sender(broker.port, protocol)
    eventually(lambda: "refuses this device" in sender.status().last_problem, "the refusal is told")
    assert "ot authorized" in sender.status().last_problem
    assert not sender.status().connected


def test_user_and_password_open_the_door(
    site: Site, make_mosquitto: type[Mosquitto], eventually: Eventually, tmp_path: Path
) -> None:
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    users, password = tmp_path / "users", tmp_path / "password"
    subprocess.run([tool, "-c", "-b", users, "twin-1", "secret"], check=True)
    users.chmod(0o644)
    password.write_text("secret\n")
    broker = make_mosquitto(f"allow_anonymous false\npassword_file {users}")
    broker.start()
    sender = site.sender(broker.port, "5", username="twin-1", password_file=password)
    eventually(lambda: sender.status().connected, "connected with a password")
    sender.stop()
    lost = site.sender(broker.port, "5", username="twin-1", password_file=tmp_path / "nowhere")
    eventually(lambda: "credentials" in lost.status().last_problem, "the missing file is told")


def test_a_port_that_answers_without_connack_is_told_apart(site: Site, eventually: Eventually) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        sender = site.sender(mute.getsockname()[1], "5")
        eventually(lambda: "no CONNACK" in sender.status().last_problem, "the silence is told")
        sender.stop()


def test_something_that_does_not_speak_mqtt_does_no_harm(site: Site, eventually: Eventually) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        sender = site.sender(server.getsockname()[1], "5")
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b"\x20\x03\x00\x00\x09", b""):
            guest, _ = server.accept()
            guest.sendall(answer)
            guest.close()
        eventually(lambda: sender.status().last_problem, "the trouble is told")
        assert sender.status().alive


def test_a_message_larger_than_the_broker_takes_is_parked_and_holds_back_nobody(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples
) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_packet_size 8000")
    broker.start()
    site.hub(broker.port, "5")
    big = samples.message(samples.run(7))
    site.journal.post(OutboxMessage(big.key, big.topic, big.payload + b" " * 20_000))
    small = samples.finished(site.journal, 1)
    sender = site.sender(broker.port, "5")
    assert sender.wait_for_receipt(small.key, 15).receipt == "accepted"  # type: ignore[union-attr]
    delivery = sender.wait_for_receipt(big.key, 15)
    assert delivery is not None
    assert delivery.parked
    assert "larger than the 8000 bytes" in delivery.reason
    assert sender.status().connections == 1


def test_a_message_over_which_3_1_1_drops_the_connection_holds_back_nobody(
    site: Site, make_mosquitto: type[Mosquitto], samples: Samples, eventually: Eventually
) -> None:
    broker = make_mosquitto("allow_anonymous true\nmax_packet_size 8000")
    broker.start()
    site.hub(broker.port, "3.1.1")
    big = samples.message(samples.run(7))
    site.journal.post(OutboxMessage(big.key, big.topic, big.payload + b" " * 20_000))
    small = [samples.finished(site.journal, number).key for number in range(1, 6)]
    sender = site.sender(broker.port, "3.1.1")
    eventually(lambda: sorted(site.keys()) == sorted(small), "all but the large one are at the hub")
    eventually(lambda: site.outbox.pending_count() == 1, "their receipts are in")
    assert sender.status().connections >= 2


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder with an authority, and certificates of the broker and of this device."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")

    def call(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], check=True, capture_output=True, cwd=tmp_path)

    call("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=lab")
    for name in ("localhost", "twin-1"):
        call("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", "r.csr", "-subj", f"/CN={name}")
        (tmp_path / "ext").write_text(f"subjectAltName=DNS:{name}\n")
        signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"]
        call("x509", "-req", "-in", "r.csr", *signing, "-out", f"{name}.crt")
    for path in tmp_path.glob("*.key"):
        path.chmod(0o644)
    return tmp_path


def test_certificates_open_the_door_and_their_absence_is_told(
    site: Site, make_mosquitto: type[Mosquitto], certificates: Path, eventually: Eventually
) -> None:
    folder = certificates
    tls = f"cafile {folder}/ca.crt\ncertfile {folder}/localhost.crt\nkeyfile {folder}/localhost.key"
    broker = make_mosquitto(
        "allow_anonymous false", listener=f"{tls}\nrequire_certificate true\nuse_identity_as_username true"
    )
    broker.start()
    own = {"cert_file": folder / "twin-1.crt", "key_file": folder / "twin-1.key"}
    good = site.sender(broker.port, "5", host="localhost", tls={"ca_file": folder / "ca.crt", **own})
    eventually(lambda: good.status().connected, "connected with a certificate")
    good.stop()
    bare = site.sender(broker.port, "5", host="localhost", tls={"ca_file": folder / "ca.crt"})
    eventually(lambda: bare.status().last_problem, "the missing certificate is told")
    assert not bare.status().connected
    bare.stop()
    wrong = site.sender(broker.port, "5", host="localhost", tls={"ca_file": folder / "twin-1.crt", **own})
    eventually(lambda: "certificate verify failed" in wrong.status().last_problem, "the foreign broker is told")
