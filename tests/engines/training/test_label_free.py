"""A small label-free engine from pictures of normal cells to a package that finds large nuclei it was never shown."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'train'); training is not tested")

from engines.errors import EngineError  # noqa: E402 - after the check for PyTorch
from engines.onnx_cpu import OnnxCpuScorer  # noqa: E402
from engines.package import MODEL_CARD, load_package  # noqa: E402
from engines.qdq_rules import lint  # noqa: E402
from engines.training.architecture import INPUT_SCALE, Stage  # noqa: E402
from engines.training.assess.float_scorer import FloatNetwork  # noqa: E402
from engines.training.assess.measured import MEASURED_FILE  # noqa: E402
from engines.training.augment import Photometry  # noqa: E402
from engines.training.export import build_onnx  # noqa: E402
from engines.training.label_free import twin  # noqa: E402
from engines.training.label_free.ablation import look_by_distance, look_by_size  # noqa: E402
from engines.training.label_free.learn import Learned, Plan, learn, split  # noqa: E402
from engines.training.label_free.oneclass import features_of, fit_diagonal, train_encoder, train_student  # noqa: E402
from engines.training.label_free.parity import rank_parity  # noqa: E402
from engines.training.label_free.pictures import find_fields  # noqa: E402
from engines.training.label_free.point import main as point_main  # noqa: E402
from engines.training.label_free.samples import cut_tiles  # noqa: E402
from engines.training.label_free.twin import figures_of, look_with, see  # noqa: E402
from engines.training.loop import load_weights  # noqa: E402
from engines.training.network import HeatmapNet  # noqa: E402
from engines.training.packaging import shift_logits  # noqa: E402
from engines.training.settling import FLOAT_FILE  # noqa: E402

from .painted_cells import paint_field, write_fields  # noqa: E402

STAGES = (Stage(8, kernel=5, stride=2), Stage(16, stride=2), Stage(24, stride=2), Stage(24), Stage(24))
PLAN = Plan(steps=120, tiles=32, batch=2, stages=STAGES, name="tiny")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Learned, Path]:
    folder = tmp_path_factory.mktemp("label_free")
    write_fields(folder / "fields", slides=6, fields=4, cells=16)
    (folder / "fields" / "S0" / "broken.png").write_bytes(b"no picture")
    return learn(folder / "fields", folder / "package", PLAN, folder / "work"), folder


def test_it_finds_large_nuclei_that_it_was_never_shown(made: tuple[Learned, Path]) -> None:
    scorer = OnnxCpuScorer(load_package(made[1] / "package"))
    found = wanted = false = 0
    for seed in range(8):
        picture, places = paint_field(np.random.default_rng([99, seed]), 480, 16, large=3)
        hits = np.array([(d.x_px, d.y_px) for d in scorer.score(picture, 0.293) if d.label == "malignant"])
        strong = [d.probability >= 0.5 for d in scorer.score(picture, 0.293) if d.label == "malignant"]
        hits = hits.reshape(-1, 2)[np.array(strong, np.bool_)]
        gaps = np.hypot(*(places[:, None] - hits[None]).transpose(2, 0, 1))
        near = gaps.min(axis=1, initial=99) < 25
        found, wanted, false = found + int(near[:3].sum()), wanted + 3, false + int(near[3:].sum())
    assert found >= 0.7 * wanted
    assert false <= 0.05 * 8 * 13


def test_the_package_is_one_like_any_other(made: tuple[Learned, Path]) -> None:
    learned, folder = made
    package = load_package(folder / "package")
    assert lint(onnx.load_from_string(package.onnx_bytes)) == []
    assert [(label.name, label.target) for label in package.manifest.labels] == [("malignant", True), ("benign", False)]
    assert package.manifest.output.stride == 8
    assert package.operating_point.threshold == 0.5
    assert package.operating_point.false_per_cell > 0
    assert "no malignant cell was at hand" in package.operating_point.source
    assert list(package.operating_point.cutoffs) == ["t1", "t2", "t3"]
    assert learned.unreadable == (str(folder / "fields" / "S0" / "broken.png"),)
    card = (folder / "package" / MODEL_CARD).read_text()
    assert "research use only" in card.lower()
    assert f", {learned.settled.cells} |" in card


def test_int8_ranks_much_as_fp32_does(made: tuple[Learned, Path]) -> None:
    """The gate of 0.995 is for networks that were trained; this one has eight channels and 160 steps behind it."""
    learned, folder = made
    net = HeatmapNet(STAGES, 2)
    load_weights(net, folder / "work" / "checkpoint.pt")
    layers = shift_logits(net.eval().folded(), learned.settled.thresholds)
    pictures = [paint_field(np.random.default_rng([5, i]), 480, 16, large=2)[0] for i in range(6)]
    full = FloatNetwork(folder / "work" / FLOAT_FILE).probabilities
    scorer = OnnxCpuScorer(load_package(folder / "package"))
    assert 0.8 <= rank_parity(full, scorer, pictures) < 1.0
    blind = replace(layers[-1], bias=np.full(2, -20.0, np.float32))
    onnx.save(build_onnx([*layers[:-1], blind], INPUT_SCALE, "n"), folder / "blind.onnx")
    with pytest.raises(ValueError, match="sees nothing"):
        rank_parity(FloatNetwork(folder / "blind.onnx").probabilities, scorer, pictures)


@pytest.fixture(scope="module")
def painted_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slides of two fields, every second one with large nuclei, as `twin write` lays them out."""
    slides = tmp_path_factory.mktemp("slides")
    for index in range(4):
        sub = slides / f"{index}{'-positive' if index % 2 else '-negative'}"
        sub.mkdir(parents=True)
        for number in range(2):
            picture, places = paint_field(np.random.default_rng([7, index, number]), 480, 16, large=4 * (index % 2))
            cv2.imwrite(str(sub / f"{number}.png"), picture[:, :, ::-1])
            if index % 2:
                np.savetxt(sub / f"{number}.truth.csv", np.column_stack([places[:4], np.full(4, 20.0)]), "%.1f", ",")
    return slides


def test_slides_are_seen_and_ranked(made: tuple[Learned, Path], painted_slides: Path) -> None:
    scorer = OnnxCpuScorer(load_package(made[1] / "package"))
    seen = see(look_with(scorer.probabilities, 0.5), find_fields(painted_slides))
    figures = figures_of(seen, 0.5, 1e-3)
    assert figures["auroc"] == 1.0
    assert figures["auroc_ci"] == [1.0, 1.0]
    assert figures["malignant_cells"] == 16
    assert figures["slides"] == 4


def test_what_twin_slides_show_goes_into_manifest_and_card(
    made: tuple[Learned, Path], painted_slides: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    shutil.copytree(made[1] / "package", package)
    test, ablation = tmp_path / "test.json", tmp_path / "ablation.json"
    twin.measure(painted_slides, package, test)
    ablation.write_text(json.dumps([{"method": "by size", "minutes": 1.0, "auroc": {"highest": 0.5, "top": 1.0}}]))
    point_main(package, painted_slides, test=test, ablation=ablation, cutoffs=(0.1, 0.2, 0.3))
    card = (package / MODEL_CARD).read_text()
    assert "| test | 4 (2) | 1 (1 to 1) |" in card
    assert "| method | min | highest | top |\n| --- | --- | --- | --- |\n| by size | 1.0 | 0.500 | 1.000 |" in card
    assert "no malignant cell was shown" in card
    point = load_package(package).operating_point
    assert (point.name, point.cutoffs) == ("validation", {"t1": 0.1, "t2": 0.2, "t3": 0.3})
    point_main(package, painted_slides, test=test, ablation=ablation)
    assert (package / MODEL_CARD).read_text() == card


def test_a_package_of_which_nothing_is_known_keeps_its_point(
    made: tuple[Learned, Path], painted_slides: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    shutil.copytree(made[1] / "package", package)
    (package / MEASURED_FILE).unlink()
    with pytest.raises(EngineError, match=r"measured\.json cannot be read"):
        point_main(package, painted_slides, cutoffs=(0.1, 0.2, 0.3))
    assert load_package(package).operating_point == load_package(made[1] / "package").operating_point


def test_whole_slides_are_held_back(tmp_path: Path) -> None:
    write_fields(tmp_path, slides=7, fields=1, cells=1)
    training, held_back = split(find_fields(tmp_path))
    assert {f.slide for f in held_back} == {"S2"}
    assert not {f.slide for f in training} & {f.slide for f in held_back}
    few = [f for f in find_fields(tmp_path) if f.slide in {"S0", "S1"}]
    assert {f.slide for f in split(few)[1]} == {"S1"}


def test_too_few_fields_slides_and_nuclei_are_said(tmp_path: Path) -> None:
    write_fields(tmp_path / "few", slides=2, fields=3)
    with pytest.raises(EngineError, match="6 pictures of 2 slides"):
        learn(tmp_path / "few", tmp_path / "out", PLAN, tmp_path / "work")
    write_fields(tmp_path / "one", slides=1, fields=12)
    with pytest.raises(EngineError, match="12 pictures of 1 slides"):
        learn(tmp_path / "one", tmp_path / "out", PLAN, tmp_path / "work")
    write_fields(tmp_path / "empty", slides=3, fields=4, cells=2)
    with pytest.raises(EngineError, match="nuclei were found"):
        learn(tmp_path / "empty", tmp_path / "out", PLAN, tmp_path / "work")
    assert not (tmp_path / "out").exists()


def test_one_class_scores_rank_what_was_not_seen_and_do_not_collapse(tmp_path: Path) -> None:
    write_fields(tmp_path, slides=3, fields=2)
    tiles = cut_tiles(find_fields(tmp_path), 24, 1).tiles
    encoder = train_encoder(tiles, STAGES, 12, Photometry(), 1)
    features = features_of(encoder)
    spread = fit_diagonal(features, tiles)
    assert (np.sqrt(spread.variance) > 1e-3).mean() > 0.5
    picture, places = paint_field(np.random.default_rng(3), 480, 16, large=4)
    for look in (look_by_distance(features, spread), look_by_size):
        scores, at, cells = look(picture)
        assert scores.shape == (cells,)
        nearest = np.hypot(*(places[:4, None] - at[None]).transpose(2, 0, 1)).argmin(axis=1)
        assert np.median(scores[nearest]) > np.median(scores)
    student = features_of(train_student(encoder, tiles, 3, Photometry(), 1))
    assert student(picture, tiles[0].nuclei).shape == (tiles[0].nuclei.x.size, 24)
