"""Killed before any of the things it does to the disk, an update leaves a working engine, and started again it ends."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from appliance.cli.engine_update import update
from tests.appliance.cli.engine_site import ABSENT, Site, put_gpu
from tests.engines.releases.maker import BORN, DAY, Maker
from tests.engines.slots.dying import dies_at

from .small import Engine, read_slides, release

OLD, NEW = "1.2.3", "2.0.0"
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def update_on(site: Site, stick: Path) -> None:
    """The command, called as Python: what reads its options takes as long as all the rest."""
    update(stick, who="J. Doe", why="finds more", frame="128x96", overrides=site.given)


def left(site: Site) -> set[str]:
    """What lies beside the journal, and what the device trusts."""
    beside = {path.name for path in site.folder.iterdir() if not path.name.startswith("journal.sqlite")}
    return beside | {path.name.partition("-")[0] for path in (site.folder / "engines-trusted").iterdir()}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_each_step_a_device_has_a_working_engine_and_reaches_its_goal(
    engine: Engine, maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(monkeypatch, ABSENT)
    release(maker, engine)
    first = maker.export(tmp_path / "first")
    release(maker, engine.version(tmp_path / "newer", NEW))
    second = maker.export(tmp_path / "second", now=BORN + DAY)
    trusted = (second / "cytoscan-engines/metadata/timestamp.json").read_bytes()
    before = Site(tmp_path / "before", maker.root)
    update_on(before, first)
    read_slides(before.store)
    seen: list[str] = []
    step, died = 0, True
    while died:
        step += 1
        site = Site(shutil.copytree(before.folder, tmp_path / "device", symlinks=True), maker.root)
        died = dies_at(step, partial(update_on, site, second))
        standing = site.standing()  # each file of the engine in use is verified
        assert standing["in use"] in {OLD, NEW}, f"killed at step {step}"
        seen.append(standing.get(NEW, ""))
        update_on(site, second)
        assert site.standing() == {OLD: "good", NEW: "active", "in use": NEW}, f"killed at step {step}"
        assert (site.folder / "engines-trusted/current/metadata/timestamp.json").read_bytes() == trusted
        assert left(site) == {"engines", "engines-trusted", "current", "state"}
        shutil.rmtree(site.folder)
    assert list(dict.fromkeys(seen)) == ["", "staged", "built", "accepted", "active"]
    assert step > 100
