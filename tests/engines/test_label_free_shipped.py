"""The label-free package that comes with the appliance: never the default, within the rules, and not blind."""

from __future__ import annotations

import numpy as np
import onnx

from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MODEL_CARD, load_package, shipped
from engines.qdq_rules import lint
from engines.training import seeds
from engines.training.subjects import SEROUS
from engines.training.twin_tiles import TileMaker

FOLDER = shipped("serous").parent / "label-free-serous"


def test_the_default_stays_the_trained_one() -> None:
    assert shipped("serous").name == "serous-cytology"
    assert load_package(FOLDER).manifest.assay == "serous"


def test_it_is_whole_small_and_within_the_rules() -> None:
    package = load_package(FOLDER)
    assert lint(onnx.load_from_string(package.onnx_bytes)) == []
    assert len(package.onnx_bytes) < 2_000_000
    assert [label.target for label in package.manifest.labels] == [True, False]
    point = package.operating_point
    assert 0.0 < point.cutoffs["t1"] <= point.cutoffs["t2"] <= point.cutoffs["t3"] < 1.0
    assert 0.0 < point.false_per_cell < 0.01
    assert 0.0 < point.sensitivity < 1.0
    assert "research use only" in (FOLDER / MODEL_CARD).read_text(encoding="utf-8").lower()


def test_malignant_cells_stand_out_though_none_was_ever_shown() -> None:
    """Tiles of slides from the top of the test seeds, where no evaluation has been."""
    maker = TileMaker(SEROUS.microscope, SEROUS.label_of, (640, 640))
    scorer = OnnxCpuScorer(load_package(FOLDER))
    found = {}
    for rate in (0.0, 0.3):
        found[rate] = 0
        for index in range(4):
            seed = seeds.TEST[-50 - index]
            slide, rng = SEROUS.draw_slide(seed, rate), np.random.default_rng(seed)
            picture = maker.render(slide, maker.random_place(slide, rng), 0.0, rng).picture
            seen = scorer.score(picture, SEROUS.microscope.um_per_px)
            found[rate] += sum(d.label == "malignant" for d in seen)
    assert found[0.3] >= 6
    assert found[0.3] >= 3 * found[0.0], found
