"""A tiny network from first weights to findings: data, training, export, quantisation, package, runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'train'); training is not tested")

from engines.onnx_cpu import OnnxCpuScorer  # noqa: E402 - after the check for PyTorch
from engines.package import DataSource, Label, OperatingPointSpec, Scale  # noqa: E402
from engines.qdq_rules import lint  # noqa: E402
from engines.training.architecture import INPUT_SCALE, Stage  # noqa: E402
from engines.training.augment import Photometry, window  # noqa: E402
from engines.training.export import build_onnx  # noqa: E402
from engines.training.loop import Schedule, train  # noqa: E402
from engines.training.mining import mine  # noqa: E402
from engines.training.network import HeatmapNet  # noqa: E402
from engines.training.packaging import Recipe, write_package  # noqa: E402
from engines.training.rounds import train_in_rounds  # noqa: E402
from engines.training.targets import Sample, add_bump  # noqa: E402
from engines.training.warm_start import start_from  # noqa: E402

STAGES = (Stage(8, kernel=5, stride=2), Stage(12, stride=2), Stage(12), Stage(12))
STRIDE = 4
RECIPE = Recipe(
    name="tiny",
    version="0.0.1",
    assay="afb",
    labels=(Label(name="afb", target=True, box_um=(4.0, 4.0), separation_um=2.0),),
    scale=Scale(native_um_per_px=0.1465, min_um_per_px=0.13, max_um_per_px=0.16),
    stride=STRIDE,
    report_threshold=0.2,
    training_data=(DataSource(name="painted rods", licence="this repository", used_for="a test"),),
    calibration_source="painted rods",
)
POINT = OperatingPointSpec(name="none", threshold=0.5, sensitivity=0, false_per_mm2=0, false_per_cell=0, source="none")


def _paint(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Red rods and blue discs on grey-yellow; returns the picture and the rods' centres (N, 2)."""
    picture = np.full((side, side, 3), (179, 183, 144), np.uint8)
    for x, y in rng.integers(0, side, (4, 2)).tolist():
        cv2.circle(picture, (x, y), int(rng.integers(4, 12)), (60, 80, 130), -1)
    places = rng.uniform(12, side - 12, (4, 2))
    for x, y in places:
        angle = rng.uniform(0, np.pi)
        dx, dy = 9 * np.cos(angle), 9 * np.sin(angle)
        ends = [(round(x - dx), round(y - dy)), (round(x + dx), round(y + dy))]
        cv2.line(picture, *ends, (150, 60, 100), 4, cv2.LINE_AA)
    noisy = picture + rng.normal(0, 3, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), places


def _sample(rng: np.random.Generator) -> Sample:
    picture, places = _paint(rng, 120)
    target = np.zeros((1, 30, 30), np.float32)
    for x, y in places:
        add_bump(target[0], x, y, STRIDE, 4.0)
    return Sample(picture, target, np.ones_like(target))


def test_a_network_learns_and_the_package_finds_what_it_learned(tmp_path: Path) -> None:
    pool = [_sample(np.random.default_rng([1, i])) for i in range(40)]
    torch.manual_seed(0)
    net = HeatmapNet(STAGES, 1)
    mild = Photometry(gain=0.03, stain=0.05, gamma=0.03, hue=0.01, jpeg=0.1)
    schedule = Schedule(steps=160, batch=4, rate=5e-3, warm_up=20, checkpoint_every=80)
    train(net, lambda rng, _: window(pool, 96, STRIDE, rng, mild), schedule, tmp_path)

    pictures = [sample.picture for sample in pool[:8]]
    package = write_package(
        tmp_path / "tiny", RECIPE, net.folded(), input_scale=INPUT_SCALE, pictures=pictures, point=POINT
    )
    scorer = OnnxCpuScorer(package)
    hits = wanted = false = 0
    for index in range(10):
        picture, places = _paint(np.random.default_rng([2, index]), 160)
        found = np.array([(d.x_px, d.y_px) for d in scorer.score(picture, 0.1465) if d.probability >= 0.5])
        gaps = np.hypot(*(places[:, None] - found.reshape(-1, 2)[None]).transpose(2, 0, 1))
        wanted += len(places)
        hits += int((gaps.min(axis=1, initial=99) < 6).sum())
        false += int((gaps.min(axis=0, initial=99) > 14).sum())
    assert hits >= 0.75 * wanted
    assert false <= 0.1 * wanted


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    pool = [_sample(np.random.default_rng([1, i])) for i in range(4)]

    def run(folder: Path, *stops: int) -> HeatmapNet:
        net = HeatmapNet(STAGES, 1)
        for steps in stops:
            torch.manual_seed(0)
            net = HeatmapNet(STAGES, 1)
            schedule = Schedule(steps=6, batch=2, warm_up=1, checkpoint_every=steps)
            stopping = _stop_after(steps) if steps < 6 else None
            try:
                train(net, lambda rng, _, s=stopping: _counted(pool, rng, s), schedule, folder)
            except KeyboardInterrupt:
                continue
        return net

    through, resumed = run(tmp_path / "a", 6), run(tmp_path / "b", 3, 6)
    for one, other in zip(through.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def _stop_after(steps: int) -> list[int]:
    return [2 * steps]


def _counted(pool: list[Sample], rng: np.random.Generator, left: list[int] | None) -> Sample:
    if left is not None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
    return window(pool, 96, STRIDE, rng, Photometry())


def test_the_exported_network_answers_as_the_trained_one() -> None:
    torch.manual_seed(3)
    net = HeatmapNet((*STAGES, Stage(12, dilation=2)), 2)
    net.train()
    picture = np.random.default_rng(0).integers(0, 256, (70, 61, 3), dtype=np.uint8)
    tensor = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float()
    for _ in range(3):
        net(tensor + torch.randn_like(tensor))
    net.eval()
    with torch.no_grad():
        wanted = torch.sigmoid(net(tensor))[0].numpy()
    onnxruntime = pytest.importorskip("onnxruntime")
    model = build_onnx(net.folded(), INPUT_SCALE, "n")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answer = session.run(None, {"image": picture[None]})[0][0]
    assert answer.shape == wanted.shape
    assert np.abs(answer - wanted).max() < 1e-4
    assert any(breach.rule == "both-operands" for breach in lint(model))


def _settled(net: HeatmapNet, pictures: list[NDArray[np.uint8]]) -> HeatmapNet:
    """`net` with the statistics that it meets, as after training."""
    net.train()
    for _ in range(40):
        net(torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)).float())
    return net.eval()


def _answer(net: HeatmapNet, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.no_grad():
        logits = net(torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float())
    return np.asarray(logits[0, 0].numpy(), np.float32)


def test_a_run_goes_on_from_a_package_where_its_network_stands(tmp_path: Path) -> None:
    pictures = [_paint(np.random.default_rng([3, i]), 120)[0] for i in range(8)]
    torch.manual_seed(5)
    first = _settled(HeatmapNet(STAGES, 1), pictures)
    write_package(tmp_path / "p", RECIPE, first.folded(), input_scale=INPUT_SCALE, pictures=pictures, point=POINT)
    torch.manual_seed(6)
    second = HeatmapNet(STAGES, 1)
    pool = [
        Sample(picture, np.zeros((1, 30, 30), np.float32), np.ones((1, 30, 30), np.float32)) for picture in pictures
    ]
    start_from(second, tmp_path / "p", [pool])
    wanted, spread = _answer(first, pictures[0]), float(_answer(first, pictures[0]).std())
    assert np.abs(_answer(second.eval(), pictures[0]) - wanted).max() < 0.2 * spread  # the file's weights are INT8
    with torch.no_grad():
        together = second.train()(torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)).float())
    assert np.abs(together[0, 0].numpy() - wanted).max() < 0.5 * spread  # normalised by what the batch shows, too
    with pytest.raises(ValueError, match="same architecture"):
        start_from(HeatmapNet(STAGES[:-1], 1), tmp_path / "p", [pool])


def test_mining_finds_what_is_invented_and_what_is_missed(tmp_path: Path) -> None:
    pool = [_sample(np.random.default_rng([4, i])) for i in range(6)]
    torch.manual_seed(0)
    net = HeatmapNet(STAGES, 1)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.fill_(-9.0)
    blind = mine(net, pool, 4.0, tmp_path / "blind.npy")  # invents nothing, misses everything
    assert 0 < len(blind) <= 8 * len(pool)
    assert all(pool[index].target[0, row, col] == 1.0 for index, row, col in blind)
    with torch.no_grad():
        net.head.bias.fill_(-1.0)
        net.head.weight.normal_(0.0, 0.5)
    hard = mine(net, pool, 4.0, tmp_path / "hard.npy")
    values = np.array([pool[index].target[0, row, col] for index, row, col in hard])
    assert (values < 0.05).any()
    assert (values == 1.0).any()
    assert np.all((values < 0.05) | (values == 1.0))
    assert np.array_equal(mine(net, [], 4.0, tmp_path / "hard.npy"), hard)  # what was mined is kept


def test_rounds_mine_between_them_and_a_stopped_run_ends_the_same(tmp_path: Path) -> None:
    pool = [_sample(np.random.default_rng([1, i])) for i in range(4)]
    given: list[bool] = []

    def make(rng: np.random.Generator, slot: int, hard: NDArray[np.int64] | None) -> Sample:
        given.append(hard is not None)
        return window(pool, 96, STRIDE, rng, Photometry(), hard)

    def run() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        net = HeatmapNet(STAGES, 1)
        schedule = Schedule(steps=4, batch=2, warm_up=1)
        return train_in_rounds(net, pool, 4.0, make, schedule, tmp_path / "run", knows=False).state_dict()

    once = run()
    assert given == [False] * 4 + [True] * 4
    (tmp_path / "run" / "round-2" / "checkpoint.pt").unlink()
    again = run()
    assert len(given) == 12  # the first round was not repeated
    assert all(torch.equal(one, other) for one, other in zip(once.values(), again.values(), strict=True))
