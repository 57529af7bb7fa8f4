"""A customer's FP32 ONNX → an engine package: wrapped, quantised on real pictures, linted, compared, described."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from engines.errors import EngineError
from engines.float_network import parse, prepare
from engines.gates import Gate
from engines.importing.card import card
from engines.importing.parity import compare, float_probabilities
from engines.importing.pictures import Pictures, read_folder
from engines.importing.ports import Ports, describe
from engines.importing.probe import Answer, probe, require_probabilities
from engines.importing.wrap import Head, Normalisation, with_pixels_in, with_probabilities_out
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import DataSource, EnginePackage, Label, OperatingPointSpec, Origin, Parity, Scale
from engines.packaging import Recipe, write_card, write_quantised
from engines.qdq_rules import lint
from engines.quantize import quantize

__all__ = ["LEAST_SPEARMAN", "Imported", "Request", "import_network"]

_TRIED = 4
LEAST_SPEARMAN = 0.95
"""Below this it is another network that would be packaged; from here to `engines.gates.SPEARMAN` the loss is told."""


@dataclass(frozen=True)
class Request:
    """What is imported, and what the file itself does not say.

    labels: one for each channel of the answer, None for a channel that is no object (a background class).
    output: name of the output when there are several. tile_px, step_px: see `engines.importing.probe.probe`.
    notes: what was assumed on the way here, a sentence each, for the model card.
    """

    source: Path
    calibration: Path
    out: Path
    name: str
    version: str
    assay: str
    labels: tuple[Label | None, ...]
    scale: Scale
    normalisation: Normalisation
    head: Head
    report_threshold: float
    point: OperatingPointSpec
    output: str | None = None
    tile_px: int | None = None
    step_px: int | None = None
    accept_loss: bool = False
    threads: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Imported:
    """The finished package, how INT8 compares with FP32, and what the file is made of."""

    package: EnginePackage
    gate: Gate
    operators: Counter[str]
    pictures: Pictures


@dataclass(frozen=True)
class _Network:
    """The network between uint8 pixels and probabilities of `labels`, in FP32."""

    full: onnx.ModelProto
    ports: Ports
    answer: Answer
    labels: tuple[Label, ...]
    sha256: str


def import_network(request: Request, tell: Callable[[str], None]) -> Imported:
    """Make `request.out` from `request.source`; `tell` is given a sentence at each step.

    Raises EngineError when the network or the pictures will not do, when the result breaks a rule, or when INT8 ranks
    what it sees quite otherwise than FP32 (unless `accept_loss`); then nothing is left behind.
    """
    if request.out.exists():
        raise EngineError(f"{request.out} is there already.", remedy="Name a folder that does not exist yet.")
    data = _read(request.source)
    given = parse(data, str(request.source))
    ports = describe(given, request.output)
    model = prepare(given)
    pictures = read_folder(request.calibration)
    network = _between(model, ports, request, pictures, hashlib.sha256(data).hexdigest())
    tell(_understood(network))
    fp32 = float_probabilities(network.full, network.answer, request.threads)
    require_probabilities([fp32(picture) for picture in pictures.calibration[:_TRIED]], request.head)
    tell(f"Measuring scales on {len(pictures.calibration)} pictures; {len(pictures.held_back)} are held back.")
    quantised, calibration = quantize(network.full, pictures.calibration)
    _require_rules(quantised)
    partial = request.out.with_name(request.out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        recipe = _recipe(request, network)
        draft = write_quantised(partial, recipe, quantised, calibration, request.point)
        tell("Comparing INT8 with FP32 on the held-back pictures.")
        int8 = OnnxCpuScorer(draft, threads=request.threads)
        parity, gate = compare(fp32, int8.probabilities, len(network.labels), pictures.held_back)
        int8.close()
        if not request.accept_loss:
            _require_parity(parity, gate)
        package = write_quantised(partial, recipe, quantised, calibration, request.point, parity)
        operators = Counter(node.op_type for node in quantised.graph.node)
        write_card(partial, card(package.manifest, gate, operators, (*request.notes, *_left_out(pictures))))
        partial.rename(request.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Imported(replace(package, folder=request.out), gate, operators, pictures)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror}.", remedy="Name an FP32 ONNX file.") from error


def _between(model: onnx.ModelProto, ports: Ports, request: Request, pictures: Pictures, sha256: str) -> _Network:
    def build(size: tuple[int, int] | None) -> onnx.ModelProto:
        return with_pixels_in(model, ports, request.normalisation, size)

    answer = probe(build, ports, pictures.calibration[0], tile_px=request.tile_px, step_px=request.step_px)
    if answer.shape[1] != len(request.labels):
        given = ", ".join(label.name if label else "-" for label in request.labels)
        raise EngineError(
            f"The network answers {answer.shape[1]} classes, and {len(request.labels)} labels are named ({given}).",
            remedy="Name one label for each class, in order, with --labels; - for a class that is no object.",
        )
    channels = [index for index, label in enumerate(request.labels) if label is not None]
    labels = tuple(label for label in request.labels if label is not None)
    chosen = None if len(channels) == len(request.labels) else channels
    full = with_probabilities_out(build(answer.size), request.head, chosen, answer.shape)
    return _Network(full, ports, answer, labels, sha256)


def _require_rules(quantised: onnx.ModelProto) -> None:
    breaches = lint(quantised)
    if breaches:
        said = "; ".join(f"{breach.rule}: {breach.what}" for breach in breaches[:5])
        more = f"; and {len(breaches) - 5} more" if len(breaches) > 5 else ""
        raise EngineError(
            f"The network breaks rules that TensorRT and ONNX Runtime share: {said}{more}.",
            remedy="Use a plain convolutional network (as ResNet or MobileNetV2 are); see engines/qdq_rules.py.",
        )


def _require_parity(parity: Parity, gate: Gate) -> None:
    if gate.value < LEAST_SPEARMAN:
        raise EngineError(
            f"INT8 ranks what it sees otherwise than FP32: rank correlation {gate.value:.4f} over {gate.n} answers, "
            f"at least {LEAST_SPEARMAN} is needed and {gate.limit} wanted; the largest difference of a probability is "
            f"{parity.max_abs_delta:.3f}.",
            remedy="Calibrate on more and more varied fields, or take the loss knowingly with --accept-loss.",
        )


def _recipe(request: Request, network: _Network) -> Recipe:
    tiling, normalisation = network.answer.tiling, request.normalisation
    pixels: str = network.ports.pixels
    if pixels == "float NCHW":
        pixels += f", mean {list(normalisation.mean)}, std {list(normalisation.std)} of 0 to 255"
    return Recipe(
        name=request.name,
        version=request.version,
        assay=request.assay,
        labels=network.labels,
        scale=request.scale,
        stride=network.answer.stride,
        report_threshold=request.report_threshold,
        training_data=(DataSource(name="not known", licence="not known", used_for="training, before it came here"),),
        calibration_source=f"three of four pictures in the folder {request.calibration.name}",
        tiling=tiling,
        origin=Origin(
            file=request.source.name,
            sha256=network.sha256,
            pixels=pixels,
            answers=f"one for each {'tile' if tiling and tiling.answers == 'field' else 'cell'}, head {request.head}",
        ),
    )


def _understood(network: _Network) -> str:
    answer = network.answer
    size = "any size" if answer.size is None else f"{answer.size[1]} x {answer.size[0]} px"
    kind = "one answer a tile" if answer.tiling and answer.tiling.answers == "field" else "a map"
    return f"Input {network.ports.pixels}, {size}; {kind} of {answer.shape[1]} classes, cells {answer.stride} px apart."


def _left_out(pictures: Pictures) -> tuple[str, ...]:
    parts = (("could not be read", pictures.unreadable), ("repeat another", pictures.repeated))
    return tuple(f"{len(names)} files of the folder {what} and were left out." for what, names in parts if names)
