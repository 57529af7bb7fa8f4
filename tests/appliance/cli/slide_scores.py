"""What a bench's reading of one slide looks like, for tests of what is made of many."""

from __future__ import annotations

from appliance.cli.bench_reading import SlideScore

SLIDE = SlideScore(
    seed=1,
    positive=True,
    category="2+",
    score=0.9,
    counts={"afb": 50},
    lying=60,
    area_mm2=3.14,
    onnx_sha256="a" * 64,
)
