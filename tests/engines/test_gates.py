"""Gates pass what is the same, and each fails on the loss it is there for."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.gates import Scores, all_gates, auroc_gate, defocus_gates, rank_gate, sensitivity_gate

RNG = np.random.default_rng(0)
POSITIVE = np.arange(2000) < 500
FP32 = np.clip(RNG.normal(np.where(POSITIVE, 0.65, 0.35), 0.12), 0, 1)
DEFOCUS = np.linspace(0, 2, 2000, endpoint=False)[RNG.permutation(2000)]


def _scores(int8: NDArray[np.float64]) -> Scores:
    return Scores(FP32, int8, POSITIVE, DEFOCUS)


def test_the_same_scores_pass_every_gate() -> None:
    gates = all_gates(_scores(FP32.copy()), false_positive_rate=0.01, threshold=0.5, edges=(0, 0.5, 1, 2))
    assert [gate.name for gate in gates] == [
        "spearman", "auroc_loss", "sensitivity_loss", "defocus_0_0.5", "defocus_0.5_1", "defocus_1_2",
    ]  # fmt: skip
    assert all(gate.passed for gate in gates)
    assert gates[0].value == pytest.approx(1.0)
    assert sum(gate.n for gate in gates[3:]) == 500


def test_a_monotone_change_keeps_ranks_but_moves_the_defocus_curve() -> None:
    gates = {g.name: g for g in all_gates(_scores(FP32**1.3), false_positive_rate=0.01, threshold=0.5, edges=(0, 2))}
    assert gates["spearman"].passed
    assert gates["auroc_loss"].passed
    assert gates["sensitivity_loss"].passed
    assert not gates["defocus_0_2"].passed
    assert gates["defocus_0_2"].int8 < gates["defocus_0_2"].fp32


def test_noise_fails_ranks_and_auroc() -> None:
    noisy = _scores(FP32 + RNG.normal(0, 0.15, FP32.size))
    assert not rank_gate(noisy.fp32, noisy.int8).passed
    assert not auroc_gate(noisy).passed


def test_a_few_loud_negatives_fail_sensitivity_and_leave_auroc_alone() -> None:
    loud = FP32.copy()
    loud[500:520] = 1.0  # 20 of 1500 negatives: more than the 1 % that may pass
    assert auroc_gate(_scores(loud)).value < 0.02
    gate = sensitivity_gate(_scores(loud), 0.01)
    assert not gate.passed
    assert gate.fp32 > 0.3
    assert gate.int8 == 0.0


def test_a_gain_is_no_loss() -> None:
    better = np.where(POSITIVE, FP32 + 0.1, FP32)
    assert auroc_gate(_scores(better)).passed
    assert sensitivity_gate(_scores(better), 0.01).passed


@pytest.mark.parametrize("limit_share", [0.01, 0.02])
def test_a_loss_of_exactly_the_limit_passes(limit_share: float) -> None:
    """Sensitivity 1 before; one or two of a hundred targets lost."""
    positive = np.arange(200) < 100
    before = np.where(positive, 0.9, 0.1)
    after = before.copy()
    after[: round(100 * limit_share)] = 0.05
    gate = sensitivity_gate(Scores(before, after, positive), 0.0)
    assert gate.value == pytest.approx(limit_share)
    assert gate.passed == (limit_share <= 0.01)


def test_what_cannot_be_measured_has_not_passed() -> None:
    none = np.zeros(10, np.bool_)
    scores = Scores(np.linspace(0, 1, 10), np.linspace(0, 1, 10), none)
    assert not auroc_gate(scores).passed
    assert not sensitivity_gate(scores, 0.01).passed
    assert not rank_gate(np.ones(10), np.linspace(0, 1, 10)).passed
    with pytest.raises(ValueError, match="defocus is not known"):
        defocus_gates(scores, 0.5, (0, 1))
    with pytest.raises(ValueError, match="no target"):
        defocus_gates(Scores(scores.fp32, scores.int8, none, np.zeros(10)), 0.5, (0, 1))


def test_scores_of_different_length_or_undefined_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        Scores(FP32, FP32[1:], POSITIVE)
    with pytest.raises(ValueError, match="finite"):
        Scores(FP32, np.where(POSITIVE, np.nan, FP32), POSITIVE)
