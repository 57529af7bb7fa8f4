"""An engine that is as good as the reference is accepted; each way to be worse fails the check that is for it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import Golden
from engines.acceptance.report import Report
from engines.acceptance.run import accept
from engines.errors import EngineError
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage
from engines.scorer import BackendInfo, Detection, Detections, Scorer


class Clock:
    """Time that passes only when an engine says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Engine(Scorer):
    """The reference with something done to its answers, which take `ms`."""

    def __init__(self, within: OnnxCpuScorer, clock: Clock, ms: float = 10.0) -> None:
        self.within, self.clock, self.ms = within, clock, ms
        self.reads = 0
        self.before: list[Detection] = []

    @property
    def backend(self) -> BackendInfo:
        return dataclasses.replace(self.within.backend, kind="tried")

    def begin(self, image: NDArray[np.uint8], um_per_px: float) -> Detections:
        self.reads += 1
        self.clock.now_s += self.ms / 1e3
        truth = self.within.score(image, um_per_px)
        answer = self.answer(truth)
        self.before = truth
        return lambda: answer

    def answer(self, truth: list[Detection]) -> list[Detection]:
        return truth

    def close(self) -> None:
        self.within.close()


def moved(detections: Sequence[Detection], by: float) -> list[Detection]:
    return [dataclasses.replace(one, probability=one.probability - by) for one in detections]


class Near(Engine):
    def answer(self, truth: list[Detection]) -> list[Detection]:
        return moved(truth, 0.04)


class Off(Engine):
    def answer(self, truth: list[Detection]) -> list[Detection]:
        return moved(truth, 0.06)


class NoNumbers(Engine):
    def answer(self, truth: list[Detection]) -> list[Detection]:
        return moved(truth, math.nan)


class Blind(Engine):
    def answer(self, truth: list[Detection]) -> list[Detection]:
        return truth[1:]


class Ghosts(Engine):
    def answer(self, truth: list[Detection]) -> list[Detection]:
        return [*truth, Detection("red", 0.8, 5.0 + 1e-3 * self.reads, 90.0, 20.0, 10.0)] if truth else truth


class Late(Engine):
    """Answers with what it saw before."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        return self.before


class Stuck(Engine):
    """Answers with what it saw first."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        self.first = getattr(self, "first", truth)
        return self.first


class Keeping(Engine):
    """Answers with what it saw before where there is nothing to see."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        return truth or self.before


class Wavering(Engine):
    """Within the limit of what is expected, and not of what it said before."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        return moved(truth, 0.03 if self.reads < 8 else -0.0001 - 0.03 * (self.reads % 2))


class Slow(Engine):
    """Every field too slow for a GPU."""

    def __init__(self, within: OnnxCpuScorer, clock: Clock) -> None:
        super().__init__(within, clock, ms=101.0)


class Stumbling(Engine):
    """One field in ten is slow."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        self.clock.now_s += 0.2 * (self.reads == 10)
        return truth


class Warming(Engine):
    """Slow the first time it sees each field, and the empty picture after it."""

    def answer(self, truth: list[Detection]) -> list[Detection]:
        self.clock.now_s += 5.0 * (self.reads <= 4 + 2)
        return truth


EVERY = [
    "expected_scores",
    "verdict_agreement",
    "repeatability",
    "fresh_answers",
    "empty_after_full",
    "latency_median",
    "latency_p99",
    "cpu_parity",
]
WORSE: dict[type[Engine], set[str]] = {
    Engine: set(),
    Near: set(),
    Off: {"expected_scores", "cpu_parity"},
    NoNumbers: {"expected_scores", "verdict_agreement", "repeatability", "cpu_parity"},
    Blind: {"expected_scores", "verdict_agreement", "cpu_parity"},
    Ghosts: {"expected_scores", "verdict_agreement", "cpu_parity"},
    Late: {"expected_scores", "verdict_agreement", "repeatability", "empty_after_full", "cpu_parity"},
    Stuck: {"expected_scores", "verdict_agreement", "fresh_answers", "empty_after_full", "cpu_parity"},
    Keeping: {"fresh_answers", "empty_after_full"},
    Wavering: {"repeatability"},
    Slow: {"latency_median", "latency_p99"},
    Stumbling: {"latency_p99"},
    Warming: set(),
}


def tried(kind: type[Engine], package: EnginePackage, golden: Golden, cpu: OnnxCpuScorer) -> Report:
    clock = Clock()
    return accept(kind(cpu, clock), package, golden, clock=clock, reference=cpu, device_class="orin-nano")


@pytest.mark.parametrize("kind", WORSE, ids=lambda kind: kind.__name__.lower())
def test_each_fault_fails_the_checks_that_are_for_it(
    kind: type[Engine], redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    report = tried(kind, redness, golden, cpu)
    assert [check.name for check in report.checks] == EVERY
    failed = {check.name: check.sentence for check in report.checks if not check.passed}
    assert failed.keys() == WORSE[kind]
    assert report.passed == (not failed)
    assert report.failures == tuple(failed.values())
    assert json.loads(report.to_json())["passed"] == report.passed


def test_the_report_says_what_was_tried_on_what_and_what_was_measured(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    told = json.loads(tried(Near, redness, golden, cpu).to_json())
    assert (told["schema"], told["passed"], told["fields"], told["device_class"]) == (1, True, 4, "orin-nano")
    assert told["golden_sha256"] == golden.sha256
    assert told["backend"]["kind"] == "tried"
    assert told["backend"]["onnx_sha256"] == redness.manifest.onnx.sha256
    assert told["reference"] == cpu.backend.runtime
    checks = {check["name"]: check for check in told["checks"]}
    scores = checks["expected_scores"]
    assert (scores["passed"], scores["limit"]) == (True, 0.05)
    assert scores["measured"] == pytest.approx(0.04, abs=1e-6)
    assert "5 objects" in scores["sentence"]
    assert checks["verdict_agreement"]["measured"] == 1.0
    assert checks["repeatability"]["measured"] == 0.0
    assert checks["latency_p99"]["measured"] == pytest.approx(10.0)
    assert "p99 of 12" in checks["latency_p99"]["sentence"]


def test_a_figure_that_is_no_number_is_null_in_strict_json(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    def never(constant: str) -> None:
        pytest.fail(f"{constant} is no JSON")

    told = json.loads(tried(NoNumbers, redness, golden, cpu).to_json(), parse_constant=never)
    assert told["checks"][0]["measured"] is None


def test_the_processor_has_a_budget_of_its_own(redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer) -> None:
    clock = Clock()
    report = accept(Slow(cpu, clock), redness, golden, clock=clock, reference=None, device_class="cpu")
    assert report.passed
    assert report.reference is None
    assert "cpu_parity" not in {check.name for check in report.checks}


def test_a_reference_that_says_otherwise_on_this_device_is_seen(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    clock = Clock()
    report = accept(cpu, redness, golden, clock=clock, reference=Off(cpu, clock), device_class="cpu")
    assert [check.name for check in report.checks if not check.passed] == ["cpu_parity"]


def test_golden_fields_of_another_network_are_refused(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    other = dataclasses.replace(golden, onnx_sha256="0" * 64)
    with pytest.raises(BadGolden, match=r"network 000000000000….*redness 1\.2\.3"):
        tried(Engine, redness, other, cpu)


def test_golden_fields_that_show_nothing_are_refused(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    with pytest.raises(BadGolden, match="nothing to be found"):
        tried(Engine, redness, dataclasses.replace(golden, fields=golden.fields[2:]), cpu)


def test_an_engine_that_gives_no_answer_is_not_accepted(
    redness: EnginePackage, golden: Golden, cpu: OnnxCpuScorer
) -> None:
    class Broken(Engine):
        def answer(self, truth: list[Detection]) -> list[Detection]:
            raise EngineError("The GPU has not answered.", remedy="none")

    with pytest.raises(EngineError, match="not answered"):
        tried(Broken, redness, golden, cpu)
