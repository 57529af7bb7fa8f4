"""Try an engine on its package's golden fields: read them all, again and again, then check what came out."""

from __future__ import annotations

from collections.abc import Callable

from engines.acceptance.belonging import check_belongs
from engines.acceptance.checks import Readings, all_checks, full
from engines.acceptance.golden import Golden
from engines.acceptance.report import Report
from engines.package import EnginePackage
from engines.scorer import Scorer


def accept(
    scorer: Scorer,
    package: EnginePackage,
    golden: Golden,
    *,
    clock: Callable[[], float],
    reference: Scorer | None,
    device_class: str,
) -> Report:
    """Whether `scorer`, an engine of `package`, may read slides, and what that rests on.

    clock: seconds, monotonic. reference: the CPU runtime on the same package, where the engine is another.
    device_class: which of the golden fields' latency budgets holds. Raises BadGolden where they are of another
    package or show nothing, and what the engine raises when it gives no answer: then it is not accepted either.
    """
    check_belongs(package, golden)
    readings = _read(scorer, package, golden, clock, reference)
    return Report(
        backend=scorer.backend,
        golden_sha256=golden.sha256,
        fields=len(golden.fields),
        device_class=device_class,
        reference=None if reference is None else reference.backend.runtime,
        checks=all_checks(package, golden, readings, device_class),
    )


def _read(
    scorer: Scorer, package: EnginePackage, golden: Golden, clock: Callable[[], float], reference: Scorer | None
) -> Readings:
    first, after_full = [], []
    for field in golden.fields:
        first.append(scorer.score(field.picture, field.um_per_px))
        if full(field.expected, package):
            after_full.append(scorer.score(golden.empty.picture, golden.empty.um_per_px))
    rounds, seconds = [first], []
    for _ in range(golden.limits.repeats):
        answers = []
        for field in golden.fields:
            begun_s = clock()
            answers.append(scorer.score(field.picture, field.um_per_px))
            seconds.append(clock() - begun_s)
        rounds.append(answers)
    compared = None
    if reference is not None:
        compared = [reference.score(field.picture, field.um_per_px) for field in golden.fields]
    return Readings(rounds, after_full, seconds, compared)
