"""The packages that come with the appliance: whole, within the rules, and able to see what the twin shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.errors import BadInput
from engines.metrics import auroc
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import MODEL_CARD, EnginePackage, load_package, shipped
from engines.qdq_rules import lint
from engines.training import seeds
from engines.training.assess.crops import crop_scores
from engines.training.crops import CropSet, read_crops, select
from engines.training.fields import measure
from engines.training.subjects import AFB, AFB_450, SUBJECTS, Subject
from engines.training.twin_tiles import Tile, TileMaker

EACH = pytest.mark.parametrize("subject", list(SUBJECTS.values()), ids=list(SUBJECTS))
_FOUND = {"serous-cytology": 0.6, "afb-zn": 0.6, "afb-zn-450": 0.3}
_RATES = {"afb": 1500.0, "serous": 0.2}


def _tiles(subject: Subject, rate: float, count: int, *, first: int) -> list[Tile]:
    """In-focus tiles of slides from the top of the test seeds, where no evaluation has been."""
    maker = TileMaker(subject.microscope, subject.label_of, (480, 480))
    tiles = []
    for index in range(count):
        seed = seeds.TEST[-1 - first - index]
        slide, rng = subject.draw_slide(seed, rate), np.random.default_rng(seed)
        tiles.append(maker.render(slide, maker.random_place(slide, rng), 0.0, rng))
    return tiles


def _package(subject: Subject) -> EnginePackage:
    package = load_package(shipped(subject.assay, subject.microscope.um_per_px))
    assert package.manifest.name == subject.name
    return package


@EACH
def test_package_is_whole_small_and_within_the_rules(subject: Subject) -> None:
    package = _package(subject)
    assert package.manifest.assay == subject.assay
    assert tuple(label.name for label in package.manifest.labels) == tuple(label.name for label in subject.labels)
    assert lint(onnx.load_from_string(package.onnx_bytes)) == []
    assert len(package.onnx_bytes) < 2_000_000
    assert package.operating_point.source != "none"
    card = (package.folder / MODEL_CARD).read_text(encoding="utf-8")
    assert "research use only" in card.lower()


@EACH
def test_it_sees_what_the_twin_shows(subject: Subject) -> None:
    package = _package(subject)
    scorer = OnnxCpuScorer(package)
    # Two dozen slides: the cells of one are alike, and a few slides tell little of the others.
    target = measure(scorer, subject, _tiles(subject, _RATES[subject.assay], 24, first=0))[0]
    assert target.matches.best.size >= 50
    assert target.sensitivity(package.manifest.report_threshold) >= _FOUND[subject.name]
    clean = measure(scorer, subject, _tiles(subject, 0.0, 4, first=100))[0]
    assert clean.false_count(scorer.threshold) <= 1


@EACH
def test_an_object_is_found_within_a_few_pixels(subject: Subject) -> None:
    """Through score(), as the appliance calls it: the surest findings lie on what the slide holds."""
    scorer = OnnxCpuScorer(_package(subject))
    scale = subject.microscope.um_per_px
    name = subject.labels[0].name
    away: list[float] = []
    # Six slides together: four findings of one would say nothing with one of them off.
    for tile in _tiles(subject, _RATES[subject.assay], 6, first=0):
        found = [d for d in scorer.score(tile.picture, scale) if d.label == name][:5]
        away += [float(np.hypot(tile.places[:, 0] - d.x_px, tile.places[:, 1] - d.y_px).min()) for d in found]
    assert len(away) >= 10
    assert np.mean(np.array(away) <= max(8.0, 6.0 / scale)) >= 0.8
    assert np.median(away) < subject.stride


@EACH
def test_another_magnification_is_refused(subject: Subject) -> None:
    scorer = OnnxCpuScorer(_package(subject))
    wrong = 0.1465 if subject.microscope.um_per_px == 0.293 else 0.293
    with pytest.raises(BadInput, match=f"{wrong} µm/px"):
        scorer.score(np.full((64, 64, 3), 200, np.uint8), wrong)


@pytest.mark.parametrize("subject", [AFB, AFB_450], ids=["900x", "450x"])
def test_real_bacilli_rank_above_real_background(subject: Subject, real_data: Path) -> None:
    """A hundred held-back crops of each kind; the whole figure is printed by engines.training.assess."""

    crops = select(read_crops(real_data / "zn_sputum_crops"), "test").crops
    some = CropSet(tuple([c for c in crops if c.positive][::5][:100] + [c for c in crops if not c.positive][::5][:100]))
    scorer = OnnxCpuScorer(_package(subject))
    scores = crop_scores(scorer, subject, some)
    assert auroc(scores, np.array([crop.positive for crop in some.crops])) >= 0.98
