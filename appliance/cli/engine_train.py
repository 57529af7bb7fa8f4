"""`cytoscan engine train --label-free DIR --out PACKAGE_DIR`: a site's own engine, from its own negative slides."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.logging import RichHandler

from appliance.cli.plain_console import plain_console
from engines.errors import EngineError
from engines.package import MANIFEST
from engines.training.label_free.needs import require_training

_FEW_SLIDES = 20


def train(
    *,
    label_free: Annotated[
        Path,
        typer.Option(
            "--label-free",
            help="Folder of fields of negative slides (PNG, JPEG, TIFF) at the assay's scale; a subfolder or the "
            "beginning of a file's name is its slide.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the new package; must be empty or not exist.")],
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 2400,
    tiles: Annotated[int, typer.Option(help="Tiles to cut from the fields.", min=1)] = 2048,
    threads: Annotated[int, typer.Option(help="Processor cores.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of first weights and of the order of samples.", min=0)] = 1,
    work: Annotated[
        Path | None, typer.Option(help="Folder of the checkpoint; a stopped training goes on from there.")
    ] = None,
) -> None:
    """Learn what negative slides look like, and package an engine that finds what does not (serous, 450x)."""
    require_training()
    if (out / MANIFEST).exists() or (out.is_dir() and any(out.iterdir())):
        raise EngineError(f"{out} is not empty.", remedy="Name a folder that does not exist yet.")
    if out.exists() and not out.is_dir():
        raise EngineError(f"{out} is a file.", remedy="Name a folder that does not exist yet.")
    # PyTorch is optional: it is loaded only once it is known to be there.
    from engines.training.label_free.learn import Plan, learn  # noqa: PLC0415

    console = plain_console(errors=True)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console)])
    plan = Plan(steps=steps, tiles=tiles, seed=seed, threads=threads, name=_name(out))
    with tempfile.TemporaryDirectory() as scratch:
        learned = learn(label_free, out, plan, work or Path(scratch))
    for path in learned.unreadable:
        console.print(f"Left out, not a picture or too small: {path}")
    if learned.slides < _FEW_SLIDES:
        console.print(
            f"Only {learned.slides} slides: false findings differ between slides, and a threshold from few of them is "
            f"uncertain; {_FEW_SLIDES} or more are wanted."
        )
    settled = learned.settled
    typer.echo(
        f"{learned.package.title}: {learned.fields} fields of {learned.slides} slides, {learned.nuclei} nuclei; "
        f"{settled.false_findings} false findings on {settled.cells} cells of {settled.slides} held-back slides, "
        f"{settled.pseudo_sensitivity:.2f} of pseudo-atypical nuclei found; {learned.seconds / 60:.1f} min. "
        f"Package: {out}"
    )


def _name(out: Path) -> str:
    """A package name from the folder's: small letters, figures and hyphens."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in out.name.lower()).strip("-")
    return kept or "label-free-serous"
