"""Golden fields belong to one package: its network, labels and scale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.acceptance.belonging import check_belongs, check_sizes
from engines.acceptance.errors import BadGolden
from engines.acceptance.golden import Golden
from engines.package import EnginePackage, Label, Scale, Tiling
from engines.tensorrt.signature import FrameSize


def test_those_that_were_made_of_a_package_belong_to_it(redness: EnginePackage, golden: Golden) -> None:
    check_belongs(redness, golden)


def test_those_of_another_network_do_not(redness: EnginePackage, golden: Golden) -> None:
    with pytest.raises(BadGolden, match=r"are of the network 000000000000….*redness 1\.2\.3 has"):
        check_belongs(redness, replace(golden, onnx_sha256="0" * 64))


def test_those_of_other_labels_do_not(redness: EnginePackage, golden: Golden) -> None:
    label = Label(name="blue", target=True, box_um=(1, 1), separation_um=1)
    other = replace(redness, manifest=redness.manifest.model_copy(update={"labels": (label,)}))
    with pytest.raises(BadGolden, match=r"The golden fields expect red; redness 1\.2\.3 finds blue\."):
        check_belongs(other, golden)


def test_those_of_another_scale_do_not(redness: EnginePackage, golden: Golden) -> None:
    scale = Scale(native_um_per_px=5, min_um_per_px=4, max_um_per_px=6)
    other = replace(redness, manifest=redness.manifest.model_copy(update={"scale": scale}))
    with pytest.raises(BadGolden, match=r"The golden field empty has .* µm/px; redness 1\.2\.3 was made for 4 to 6"):
        check_belongs(other, golden)


def test_a_single_field_of_another_scale_is_named(redness: EnginePackage, golden: Golden) -> None:
    *others, last = golden.fields
    mixed = replace(golden, fields=(*others, replace(last, name="odd", um_per_px=9.0)))
    with pytest.raises(BadGolden, match="The golden field odd has 9 µm/px"):
        check_belongs(redness, mixed)


def test_those_that_show_nothing_are_none(redness: EnginePackage, golden: Golden) -> None:
    blank = replace(golden, fields=tuple(replace(field, expected=()) for field in golden.fields))
    with pytest.raises(BadGolden, match="there is nothing to be found"):
        check_belongs(redness, blank)


def test_an_engine_for_frames_of_another_size_cannot_read_them_unless_it_reads_tiles(
    redness: EnginePackage, golden: Golden
) -> None:
    height_px, width_px = golden.empty.picture.shape[:2]
    check_sizes(redness, golden, FrameSize(height_px, width_px))
    with pytest.raises(BadGolden, match=f"empty of redness 1.2.3 has {width_px}x{height_px} px; .* gives 1928x1208"):
        check_sizes(redness, golden, FrameSize(1208, 1928))
    tiling = Tiling(answers="map", height_px=height_px, width_px=width_px)
    tiled = replace(redness, manifest=redness.manifest.model_copy(update={"tiling": tiling}))
    check_sizes(tiled, golden, FrameSize(1208, 1928))
