"""`bench pipeline`: what reads fields is as fast as its slowest part, and the network's own speed is the one given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.app import run


def speeds(tmp_path: Path, network_ms: str) -> list[dict[str, float]]:
    path = tmp_path / "pipeline.json"
    options = ["--network-ms", network_ms, "--fields", "5", "--frame", "512x384", "--json", str(path)]
    assert run(["bench", "pipeline", *options]) == 0
    found: list[dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))["speeds"]
    return found


def test_a_network_never_answers_faster_than_said_and_what_else_there_is_can_be_the_slower(tmp_path: Path) -> None:
    slow, none = speeds(tmp_path, "150,0.001")
    for row, each_ms in ((slow, 150.0), (none, 0.001)):
        assert row["network_ms"] == each_ms
        assert min(row["engine_only_ms"], row["end_to_end_ms"]) >= 0.95 * each_ms, "but for a turn's ends"
        assert row["end_to_end_vs_engine_only"] == pytest.approx(row["engine_only_ms"] / row["end_to_end_ms"])
        assert min(row[f"{part}_alone_ms"] for part in ("prepare", "network", "decode", "record")) > 0
    assert slow["ideal_ms"] == slow["engine_only_ms"]
    assert none["ideal_ms"] > none["engine_only_ms"]
    assert none["end_to_end_ms"] > none["engine_only_ms"], "all that is left is the host's"


def test_speeds_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "pipeline", "--network-ms", "fast"]) == 2
    assert "--network-ms" in capsys.readouterr().err
