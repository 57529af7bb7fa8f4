"""Unseen slides of the twin, every second one positive, ranked by the appliance's own verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from appliance.cli.bench_reading import SlideScore
from appliance.verdict import UNSATISFACTORY
from engines.evaluate.ranking import ranking


def slide_figures(scores: Iterable[SlideScore], seed: int) -> dict[str, object]:
    """Figures by slide; slides that the appliance would not judge are listed as unreadable, and not ranked."""
    rows = list(scores)
    judged: Sequence[SlideScore] = [score for score in rows if score.category != UNSATISFACTORY]
    refused = [f"slide {score.seed}" for score in rows if score.category == UNSATISFACTORY]
    return {
        **ranking(
            np.array([score.score for score in judged], np.float64),
            np.array([score.positive for score in judged], np.bool_),
            [score.seed for score in judged],
            "slides judged",
            seed,
        ),
        "unreadable": refused,
        "unreadable_n": len(refused),
        "slides": [asdict(score) for score in rows],
    }
