"""Painting one nucleated cell from its traits; the only code path for benign and malignant cells alike."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from drivers.twin.slide.paint import Canvas, Plane, Points, Sprite, outline, trimmed
from drivers.twin.slide.stains import Palette
from drivers.twin.slide.traits import CellTraits

_CHROMATIN = 0.90  # optical density of an 8 µm nucleus
_DILUTION = 0.85  # the same DNA in a larger nucleus is paler: density falls with diameter to this power
_RIM_UM = 0.3
_STRAY_DYE = 0.3  # most of the chromatin's stain that may be each other dye
_HUE = 0.15  # spread of a cell's log density in each of red, green and blue


def paint_cell(traits: CellTraits, palette: Palette, um_per_px: float, rng: np.random.Generator) -> Sprite:
    """Paint a cell; the sprite's box is that of its cytoplasm, or of its nucleus where that is larger."""
    canvas = Canvas(traits.cell_um * 1.35 + 2.0, um_per_px)
    radius = traits.cell_um / 2.0
    angle = float(rng.uniform(0.0, math.pi))
    contour = outline(radius, rng, irregular=traits.cell_irregular, aspect=traits.cell_aspect, angle_rad=angle)
    body = canvas.fill(contour, soft_um=0.25)
    centres = _nucleus_centres(traits, rng)
    nucleus, chromatin = _nuclei(traits, canvas, centres, rng)
    cytoplasm = _cytoplasm(traits, canvas, body, rng) * (1.0 - 0.55 * nucleus)
    # How much of the other dyes the chromatin took up: chance, not class, so that hue tells little.
    cool, warm = (np.float32(share) for share in rng.uniform(0.0, _STRAY_DYE, 2))
    planes = {
        "cytoplasm": cytoplasm * np.float32(1.0 - traits.warm) + chromatin * cool,
        "cytoplasm_warm": cytoplasm * np.float32(traits.warm) + chromatin * warm,
        "nucleus": chromatin * (1 - cool - warm),
        "nucleolus": _nucleoli(traits, canvas, centres, nucleus, rng),
    }
    if traits.granules > 0.0:
        planes["granule"] = _granules(traits, canvas, body * (1.0 - nucleus), rng)
    hue = np.exp(rng.normal(0.0, _HUE, 3)).astype(np.float32)  # neighbours on one slide are not stained quite alike
    od = sum_planes(planes, palette, canvas) * hue
    extent = np.ptp(contour, axis=0)
    return Sprite(trimmed(od), float(extent[0]), float(extent[1]), traits.thickness_um)


def sum_planes(planes: dict[str, Plane], palette: Palette, canvas: Canvas) -> Plane:
    """Optical density (h, w, 3) at final resolution: amounts of dye times their vectors."""
    amounts = canvas.finish(np.stack(list(planes.values()), axis=2))
    vectors = np.stack([palette[name] for name in planes])
    return np.asarray(amounts @ vectors, dtype=np.float32)


def _nucleus_centres(traits: CellTraits, rng: np.random.Generator) -> Points:
    """Centres (nuclei, 2) in µm: one pushed off the middle by `offset`, several side by side."""
    room = max(0.0, (traits.cell_um - traits.nucleus_um) / 2.0)
    direction = float(rng.uniform(0.0, 2.0 * math.pi))
    towards = np.array([math.cos(direction), math.sin(direction)])
    if traits.nuclei == 1:
        return (towards * room * traits.offset)[None, :]
    spread = min(0.52 * traits.nucleus_um, 0.36 * traits.cell_um)
    angles = direction + np.arange(traits.nuclei) * (2.0 * math.pi / traits.nuclei)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * spread


def _nuclei(traits: CellTraits, canvas: Canvas, centres: Points, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Mask in [0, 1] and chromatin density of all nuclei."""
    size = _nucleus_um(traits)
    mask, chromatin = canvas.blank(), canvas.blank()
    for centre in centres:
        contours = _lobes(traits, rng) if traits.lobes else [_membrane(traits, size / 2.0, rng)]
        one = canvas.fill(*[contour + centre for contour in contours], soft_um=0.12)
        chromatin = np.maximum(chromatin, one * _texture(traits, canvas, one, rng))
        mask = np.maximum(mask, one)
    strength = _CHROMATIN * (8.0 / size) ** _DILUTION * math.exp(rng.normal(0.0, 0.12))
    return mask, chromatin * np.float32(strength)


def _membrane(traits: CellTraits, radius_um: float, rng: np.random.Generator) -> Points:
    return outline(
        radius_um,
        rng,
        irregular=traits.irregular,
        smoothness=1.2,
        aspect=traits.nucleus_aspect,
        angle_rad=float(rng.uniform(0.0, math.pi)),
        indent=traits.indent,
    )


def _lobes(traits: CellTraits, rng: np.random.Generator) -> list[Points]:
    """Segments of a granulocyte's nucleus on an open ring, joined by thin bridges."""
    lobe = traits.nucleus_um * 0.62 / math.sqrt(traits.lobes)
    ring = traits.nucleus_um * 0.38
    start = float(rng.uniform(0.0, 2.0 * math.pi))
    span = (1.35 if traits.lobes == 2 else 1.05) * math.pi * (traits.lobes - 1) / max(1, traits.lobes)
    angles = start + np.linspace(0.0, span * 1.25, traits.lobes) + rng.normal(0.0, 0.12, traits.lobes)
    distance = ring * rng.uniform(0.75, 1.15, traits.lobes)
    centres = np.stack([np.cos(angles), np.sin(angles)], axis=1) * distance[:, None]
    contours = []
    for centre, angle in zip(centres, angles, strict=True):
        shape = outline(
            lobe * float(rng.uniform(0.85, 1.15)),
            rng,
            irregular=traits.irregular,
            aspect=float(rng.uniform(1.1, 1.6)),
            angle_rad=angle + math.pi / 2.0,
        )
        contours.append(shape + centre)
    for first, second in pairwise(centres):
        along = second - first
        across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-9) * 0.35
        contours.append(np.stack([first + across, second + across, second - across, first - across]))
    return contours


def _texture(traits: CellTraits, canvas: Canvas, mask: Plane, rng: np.random.Generator) -> Plane:
    """Relative chromatin density with mean 1 within the mask: grain in three octaves, and a dense rim.

    The mean is taken out so that coarse chromatin is neither darker nor paler than fine chromatin.
    """
    noise = canvas.grain(traits.grain_um, rng)
    noise += 0.6 * canvas.grain(traits.grain_um * 2.0, rng) + 0.5 * canvas.grain(max(0.3, traits.grain_um / 2.0), rng)
    texture = np.exp(np.clip(noise * np.float32(traits.clearing * 0.75), -1.6, 1.2))
    inner = canvas.blur(mask, _RIM_UM * 1.5)
    rim = mask * np.clip(1.0 - inner, 0.0, 0.5) * 2.0
    texture = texture + rim * np.float32(0.35 + 0.5 * traits.clearing)
    weight = float(mask.sum())
    mean = float((texture * mask).sum()) / weight if weight > 0.0 else 1.0
    return np.asarray(texture / np.float32(mean), dtype=np.float32)


def _nucleoli(traits: CellTraits, canvas: Canvas, centres: Points, nucleus: Plane, rng: np.random.Generator) -> Plane:
    """Density of nucleoli, anywhere in the inner half of the nuclei."""
    if traits.nucleoli == 0:
        return canvas.blank()
    contours = []
    for _ in range(traits.nucleoli):
        home = centres[int(rng.integers(len(centres)))]
        reach = traits.nucleus_um * 0.27 * math.sqrt(float(rng.uniform()))
        angle = float(rng.uniform(0.0, 2.0 * math.pi))
        place = home + reach * np.array([math.cos(angle), math.sin(angle)])
        radius = traits.nucleolus_um / 2.0 * float(rng.uniform(0.75, 1.1))
        contours.append(outline(radius, rng, irregular=traits.nucleolus_irregular, smoothness=0.9) + place)
    spots = canvas.fill(*contours, soft_um=0.12) * nucleus * np.float32(0.55)
    return np.asarray(spots, dtype=np.float32)


def _cytoplasm(traits: CellTraits, canvas: Canvas, body: Plane, rng: np.random.Generator) -> Plane:
    """Density of cytoplasm: dense middle, thinner edge, fine grain, foam and vacuoles, a slightly dense border."""
    dome = canvas.blur(body, traits.cell_um * 0.16)
    thinning = 1.0 - traits.lacy * np.clip(1.0 - dome, 0.0, 1.0)
    grain = 1.0 + 0.14 * canvas.grain(0.7, rng) + 0.12 * canvas.grain(2.2, rng)
    density = body * thinning * np.clip(grain, 0.2, 2.0)
    if traits.foam > 0.0:
        bubbles = canvas.grain(1.3, rng)
        density *= 1.0 - np.float32(traits.foam * 0.75) * np.clip(bubbles * 0.8, 0.0, 1.0)
    if traits.vacuoles:
        reach = traits.cell_um * 0.36
        centres = rng.uniform(-reach, reach, (traits.vacuoles, 2))
        radii = traits.vacuole_um / 2.0 * rng.uniform(0.5, 1.1, traits.vacuoles)
        holes = canvas.spots(centres, radii, soft_um=0.2)
        density *= 1.0 - 0.8 * holes
    border = body * np.clip(1.0 - canvas.blur(body, 0.5), 0.0, 0.5)
    strength = traits.cytoplasm * _spread(traits)
    return np.asarray((density + 0.35 * border) * np.float32(strength), dtype=np.float32)


def _spread(traits: CellTraits) -> float:
    """Cytoplasm left beside the nucleus, relative to the cell: a thin rim is also a pale one.

    With `_DILUTION` this keeps the mean colour of a cell nearly independent of its nuclear size, so that colour
    alone tells nothing of the class.
    """
    return max(0.15, 1.0 - traits.nuclei * (_nucleus_um(traits) / traits.cell_um) ** 2) * 1.25


def _nucleus_um(traits: CellTraits) -> float:
    """Diameter of one nucleus: several in a cell are each a little smaller."""
    return traits.nucleus_um / math.sqrt(math.sqrt(traits.nuclei))


def _granules(traits: CellTraits, canvas: Canvas, room: Plane, rng: np.random.Generator) -> Plane:
    count = int(3.2 * traits.cell_um**2 * 0.6)
    reach = traits.cell_um * 0.5
    centres = rng.uniform(-reach, reach, (count, 2))
    grains = canvas.spots(centres, rng.uniform(0.22, 0.4, count), soft_um=0.1)
    return np.asarray((0.35 + 0.65 * grains) * room * np.float32(traits.granules), dtype=np.float32)
