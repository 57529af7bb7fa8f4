"""Who answers, and with which limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.errors import LimitError, NoSuchPort, PortBusy, WrongController
from drivers.stage import Stage, StageSettings, open_stage
from drivers.twin.pty_port import LineFault, LineSettings, PtyPort
from drivers.twin.stage_twin import StageTwin


class Parrot:
    """Something else on the port: answers every line with its own words."""

    def __init__(self, words: list[bytes]) -> None:
        self.words = words

    def hear(self, line: bytes) -> list[bytes]:
        return self.words

    def tick(self) -> list[bytes]:
        return []

    def next_event_s(self) -> float:
        return float("inf")


def test_opening_tells_who_is_there_and_moves_nothing(twin: StageTwin, opened: Callable[..., Stage]) -> None:
    stage = opened(expected_device_ids={1: 30222, 2: 50081})
    assert [(c.device, c.device_id, c.serial, c.axis_count) for c in stage.controllers] == [
        (1, 30222, "52001", 2),
        (2, 50081, "52002", 1),
    ]
    assert stage.profiles["x"].speed_um_s == pytest.approx(120_000, rel=1e-4)
    assert stage.profiles["z"].acceleration_um_s2 == pytest.approx(200_000, rel=0.01)
    assert twin.mechanics.targets() == (2_000, 1_000, 800)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([b"\xff\x00\x9c\x01\x7f" * 5], "is no zaber controller"),
        ([b"Grbl 1.1h ['$' for help]\r\n"], "is no zaber controller"),
        ([b":A 123\r\n"], "is no zaber controller"),
        ([b"@01 0 99 OK IDLE -- 0\r\n"], "is no zaber controller"),
        ([], "No device 1 answers"),
    ],
)
def test_something_else_on_the_port(tmp_path: Path, settings: StageSettings, words: list[bytes], said: str) -> None:
    port = PtyPort(Parrot(words), tmp_path / "other", LineSettings(), time.monotonic)
    try:
        with pytest.raises(WrongController, match=said) as caught:
            open_stage(settings.model_copy(update={"port": str(port.link)}))
        assert "stage.dialect" in caught.value.remedy
        assert "115200" in caught.value.remedy
    finally:
        port.close()


def test_a_missing_device(settings: StageSettings, opened: Callable[..., Stage]) -> None:
    with pytest.raises(WrongController, match=r"device number 3|No device 3"):
        opened(z={**settings.z.model_dump(), "device": 3})


def test_an_axis_that_the_device_has_not(settings: StageSettings, opened: Callable[..., Stage]) -> None:
    with pytest.raises(WrongController, match="2 axes; the settings use axis 3"):
        opened(y={**settings.y.model_dump(), "axis": 3})


def test_another_model_than_expected(opened: Callable[..., Stage]) -> None:
    with pytest.raises(WrongController, match="hardware 30222; the settings expect 30211"):
        opened(expected_device_ids={1: 30211})


@pytest.mark.parametrize(("axis", "max_um"), [("x", 76_000), ("y", 30_100), ("z", 5_900)])
def test_limits_that_differ_from_the_controllers(
    settings: StageSettings, opened: Callable[..., Stage], axis: str, max_um: float
) -> None:
    with pytest.raises(LimitError, match=f"axis {axis}") as caught:
        opened(**{axis: {**settings.model_dump()[axis], "max_um": max_um}})
    assert f"{max_um:.1f}" in caught.value.what


def test_the_port_is_free_again_after_a_refusal(settings: StageSettings, opened: Callable[..., Stage]) -> None:
    with pytest.raises(WrongController):
        opened(expected_device_ids={1: 1})
    opened()


def test_no_such_port_and_port_busy(tmp_path: Path, opened: Callable[..., Stage]) -> None:
    with pytest.raises(NoSuchPort):
        opened(port=str(tmp_path / "nothing"))
    opened()
    with pytest.raises(PortBusy):
        opened()


def test_an_unknown_dialect_names_the_known_ones(opened: Callable[..., Stage]) -> None:
    with pytest.raises(WrongController, match="zaber"):
        opened(dialect="zabr")


def test_one_lost_answer_while_opening_is_mended(twin: StageTwin, opened: Callable[..., Stage]) -> None:
    twin.port.plan(LineFault.DROP_REPLY, match=b"checksum")
    twin.port.plan(LineFault.FLIP_BIT, match=b"limit.max")
    assert opened().counts.repeated == 2
