"""What a field of a slide costs to build, and what it looks like: `python -m drivers.twin.slide --help`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from drivers.twin.slide import Content, PictureSettings, Scene, SlideSettings, make_slide
from drivers.twin.slide.settings import SerousSettings, SputumSettings


def ideal_rgb(scene: Scene, illumination: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Every layer in focus: uint8 RGB (height, width, 3), a clear place at 215 in its brightest channel."""
    clear = 215.0 * np.asarray(illumination, np.float32)
    return np.asarray(np.clip(clear * np.power(10.0, -scene.total_od()) + 0.5, 0, 255), dtype=np.uint8)


def main(
    *,
    content: Content = Content.SEROUS,
    seed: int = 1,
    x_um: Annotated[float, typer.Option(help="middle of the field")] = 38_000.0,
    y_um: Annotated[float, typer.Option(help="middle of the field")] = 13_000.0,
    width_px: int = 1928,
    height_px: int = 1208,
    um_per_px: float = 0.293,
    pitch_um: float = 1.0,
    malignant: float = 0.05,
    afb_per_hpf: float = 2.0,
    pictures: Annotated[Path | None, typer.Option(help="folder, for content 'pictures'")] = None,
    pictures_um_per_px: float = 0.088,
    png: Annotated[Path | None, typer.Option(help="write the field, all in focus")] = None,
) -> None:
    """Build one field three times (first, again, its neighbour) and print the times, layers and objects."""
    settings = SlideSettings(
        content=content,
        serous=SerousSettings(malignant=malignant),
        sputum=SputumSettings(afb_per_hpf=afb_per_hpf),
        pictures=PictureSettings(folder=pictures, um_per_px=pictures_um_per_px if pictures else None),
    )
    slide = make_slide(settings, seed)
    x0 = x_um - (width_px - 1) / 2.0 * um_per_px
    y0 = y_um - (height_px - 1) / 2.0 * um_per_px
    scene: Scene | None = None
    for name, shift in (("neighbour, first visit", width_px * um_per_px), ("field, first visit", 0.0), ("again", 0.0)):
        start, busy = time.perf_counter(), time.process_time()
        scene = slide.scene(x0 + shift, y0, width_px, height_px, um_per_px, layer_pitch_um=pitch_um)
        pixels = sum(layer.od.shape[0] * layer.od.shape[1] for layer in scene.layers)
        typer.echo(
            f"{name}: {(time.perf_counter() - start) * 1e3:.0f} ms (processor {(time.process_time() - busy) * 1e3:.0f} "
            f"ms), {len(scene.layers)} layers of "
            f"{pixels / (width_px * height_px):.1f} frames in all, {len(scene.objects)} objects"
        )
    if scene is None:
        return
    kinds = sorted({item.kind for item in scene.objects})
    typer.echo(", ".join(f"{kind} {sum(item.kind == kind for item in scene.objects)}" for kind in kinds))
    if png is not None:
        cv2.imwrite(str(png), ideal_rgb(scene, slide.illumination)[:, :, ::-1])


if __name__ == "__main__":
    typer.run(main)
