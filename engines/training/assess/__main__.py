"""`python -m engines.training.assess PACKAGE …`: measure a package for release."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from engines.package import load_package
from engines.training.assess.release import Inputs, release, take_over
from engines.training.assess.whole import whole_figures


def main(
    package: Annotated[
        Path, typer.Argument(help="folder of the package; figures, pictures and card are written into it")
    ],
    *,
    fp32: Annotated[
        Path | None,
        typer.Option(
            help="the network before quantisation, as training leaves it beside the package; left out: the package's "
            "own file without the rounding of activations"
        ),
    ] = None,
    kept: Annotated[Path, typer.Option(help="folder where rendered fields are kept")] = Path("build/train/fields"),
    slides: Annotated[
        int,
        typer.Option(
            help="unseen twin slides, every second one without targets; 0: keep what was measured before, and take "
            "over the results of benches alone",
            min=0,
        ),
    ] = 40,
    crops: Annotated[Path | None, typer.Option(help="real crops, of which the held-back fifth is used")] = None,
    witness: Annotated[Path | None, typer.Option(help="result of `cytoscan bench witness`")] = None,
    grades: Annotated[Path | None, typer.Option(help="result of `cytoscan bench grades`")] = None,
    speed: Annotated[Path | None, typer.Option(help="result of `cytoscan bench engine`")] = None,
) -> None:
    """Write measured.json, pictures and MODEL_CARD.md; exit code 1 when a gate or a control fails."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    manifest = load_package(package).manifest
    given = whole_figures(manifest.onnx.sha256, manifest.assay, witness=witness, grades=grades, speed=speed)
    if slides == 0:
        if fp32 is not None or crops is not None:
            raise typer.BadParameter("0 measures nothing: leave --fp32 and --crops out", param_hint="--slides")
        _end(take_over(package, given))
    command = f"python -m engines.training.assess {package} --slides {slides}"
    if fp32 is not None:
        command += " --fp32 FP32"
    if crops is not None:
        command += " --crops CROPS"
    _end(release(Inputs(package, fp32, kept, slides, crops, given, command)))


def _end(failed: Sequence[str]) -> NoReturn:
    for line in failed:
        typer.echo(line, err=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
