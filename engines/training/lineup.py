"""Which slides a network is measured on, and how many fields of each: plain data, by part of the seeds."""

from __future__ import annotations

import numpy as np

from engines.training.kept_fields import SlideSpec
from engines.training.subjects import Subject

_RATES = {"serous": (0.02, 0.2), "afb": (30.0, 3000.0)}
_FIELDS = {"serous": (6, 6), "afb": (12, 5)}


def lineup(subject: Subject, seeds: range, slides: int) -> list[SlideSpec]:
    """`slides` slides of `seeds`, every second one without targets, the others with log-uniform rates.

    Of sputum slides without bacilli more fields are read: false findings are rare, and their rate is what counts.
    """
    low, high = _RATES[subject.assay]
    positive_fields, negative_fields = _FIELDS[subject.assay][1], _FIELDS[subject.assay][0]
    rates = np.exp(np.random.default_rng(seeds.start).uniform(np.log(low), np.log(high), slides))
    return [
        SlideSpec(seeds[index], float(rates[index]), positive_fields)
        if index % 2
        else SlideSpec(seeds[index], 0.0, negative_fields)
        for index in range(slides)
    ]
