"""`cytoscan engine update | list | rollback` on a device's folder, with sticks of a maker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.cli import engine_installer, frame
from appliance.cli.exits import Exit
from appliance.cli.hardware import open_camera
from appliance.settings import Settings
from drivers.camera.frame import Camera
from engines.acceptance.golden import Golden
from engines.cuda.probe import Gpu, GpuAbsent
from engines.package import EnginePackage
from engines.tensorrt.signature import FrameSize
from tests.appliance.cli.engine_site import ABSENT, FRAME, WHO, Site, put_gpu
from tests.appliance.update.small import NAME, ORIN, Engine, contents, memory, read_slides, release
from tests.engines.releases.maker import BORN, DAY, Maker, on_stick

_HOLD = """
import sys
from pathlib import Path
from engines.slots.lock import SlotsLock
with SlotsLock(Path(sys.argv[1])).reading():
    print("reading", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with memory() as folder:
        yield folder


@pytest.fixture
def maker(tmp_path: Path, engine: Engine) -> Maker:
    """With one release, version 1.2.3."""
    made = Maker(tmp_path / "maker")
    release(made, engine)
    return made


@pytest.fixture
def stick(maker: Maker, tmp_path: Path) -> Path:
    return maker.export(tmp_path / "stick")


@pytest.fixture
def site(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A device without a GPU."""
    put_gpu(monkeypatch, ABSENT)
    return Site(tmp_path / "device", maker.root)


@pytest.fixture
def newer(maker: Maker, engine: Engine, tmp_path: Path) -> Path:
    """A stick with version 2.0.0, exported a day later."""
    release(maker, engine.version(tmp_path / "newer", "2.0.0"))
    return maker.export(tmp_path / "newer stick", now=BORN + DAY)


@pytest.fixture
def bare(site: Site, engine: Engine, tmp_path: Path) -> Path:
    """A stick with two packages without golden fields."""
    made = Maker(tmp_path / "bare maker")
    release(made, engine, golden=False)
    release(made, engine.version(tmp_path / "other", "1.0.0", name="paleness"), golden=False)
    site.trust_root.write_bytes(made.root)
    return made.export(tmp_path / "bare stick")


@contextmanager
def slide_in_another_process(site: Site) -> Iterator[None]:
    """Somebody reads a slide with the engines of this device."""
    lock = site.folder / "engines" / ".lock"
    lock.parent.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as scanner:
        assert scanner.stdout is not None
        assert scanner.stdout.readline() == "reading\n"
        yield
        assert scanner.stdin is not None
        scanner.stdin.close()


def only_locks(found: dict[str, bytes]) -> bool:
    """Whether nothing is there but locks, which hold nothing."""
    return found.keys() <= {"engines/.lock", "engines/.turns"} and not any(found.values())


def test_a_stick_is_installed_and_what_was_done_is_told_and_kept(
    site: Site, stick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.update(stick) == 0
    assert site.standing() == {"1.2.3": "active", "in use": "1.2.3"}
    (outcome,) = site.result["outcomes"]
    assert (outcome["package"], outcome["fate"], outcome["why"]) == ("redness-1.2.3.tar", "installed", "")
    assert site.result["dry_run"] is False
    told = capsys.readouterr().out
    assert f"The release on {stick} is genuine: of 2100-01-01, good until 2101-02-05." in told
    assert "There is no CUDA driver here. Nothing is built: the engine is tried on the processor." in told
    assert "redness 1.2.3 is in use, on trial." in told
    (row,) = site.audit()
    assert (row.who, row.action) == ("J. Doe", "engine.update")
    assert row.detail == {"why": "finds more", "stick": str(stick), "outcomes": [outcome]}


def test_once_more_it_changes_nothing_and_says_so(site: Site, stick: Path) -> None:
    site.update(stick)
    before = contents(site.folder / "engines")
    assert site.update(stick) == 0
    assert contents(site.folder / "engines") == before
    (outcome,) = site.result["outcomes"]
    assert outcome["fate"] == "in use already"


def test_nothing_is_left_beside_the_engines_but_what_the_device_keeps(site: Site, stick: Path) -> None:
    site.update(stick)
    (site.folder / "engines-scratch").mkdir()
    (site.folder / "engines-scratch" / "half").write_bytes(b"of an update that was killed")
    site.update(stick)
    kept = {path.name for path in site.folder.iterdir() if not path.name.startswith("journal.sqlite")}
    assert kept == {"engines", "engines-trusted"}
    assert len(list((site.folder / "engines-trusted").glob("state-*"))) == 1


def test_a_dry_run_changes_no_byte(site: Site, stick: Path, newer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.update(newer, "--dry-run") == 0
    assert only_locks(contents(site.folder))
    site.update(stick)
    before = contents(site.folder)
    assert site.told("engine", "update", newer, *FRAME, "--dry-run") == 0  # nobody has to say who
    assert contents(site.folder) == before
    (outcome,) = site.result["outcomes"]
    assert (site.result["dry_run"], outcome["fate"]) == (True, "would be installed")
    assert "redness-2.0.0.tar: would be installed" in capsys.readouterr().out


def test_a_dry_run_refuses_what_an_update_would_refuse_without_a_device(
    site: Site, maker: Maker, engine: Engine, tmp_path: Path
) -> None:
    foreign = engine.version(tmp_path / "foreign", "3.0.0").with_golden_of_another_network()
    release(maker, foreign)
    foreign_stick = maker.export(tmp_path / "foreign stick")
    for more in (["--dry-run"], []):
        assert site.update(foreign_stick, *more) == Exit.ENGINE
        (outcome,) = site.result["outcomes"]
        assert outcome["fate"] == "refused"
        assert "of the network 000000000000" in outcome["why"]
    assert site.standing() == {"in use": ""}


def test_a_stick_that_is_refused_changes_no_engine_and_stands_in_the_audit_trail(
    site: Site, stick: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.update(newer) == 0
    before = {name: data for name, data in contents(site.folder).items() if name.startswith("engines")}
    assert site.update(stick) == Exit.RELEASE_REFUSED
    assert {name: data for name, data in contents(site.folder).items() if name.startswith("engines")} == before
    row = site.audit()[-1]
    assert (row.who, row.action) == ("J. Doe", "engine.update.refused")
    assert row.detail["kind"] == "rolled back"
    assert row.detail["stick"] == str(stick)
    assert str(row.detail["refused"]) in capsys.readouterr().err
    rows = len(site.audit())
    assert site.update(stick, "--dry-run") == Exit.RELEASE_REFUSED
    assert len(site.audit()) == rows


def test_a_stick_that_ran_out_is_refused(site: Site, engine: Engine, tmp_path: Path) -> None:
    old = Maker(tmp_path / "old")
    release(old, engine)
    stick = old.export(tmp_path / "old stick", now=datetime(2020, 1, 1, tzinfo=timezone.utc), days=30)
    site.trust_root.write_bytes(old.root)
    assert site.update(stick) == Exit.RELEASE_REFUSED
    assert site.audit()[-1].detail["kind"] == "expired"
    assert site.store.names() == []


def test_a_torn_package_is_refused_with_the_same_code(site: Site, stick: Path) -> None:
    archive = on_stick(stick, "targets/*")
    archive.write_bytes(archive.read_bytes()[:-100])
    assert site.update(stick) == Exit.RELEASE_REFUSED
    (outcome,) = site.result["outcomes"]
    assert outcome["fate"] == "refused"
    assert "ends after" in outcome["why"]


def test_an_empty_stick_is_refused_with_the_same_code(site: Site, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert site.update(tmp_path / "empty") == Exit.RELEASE_REFUSED
    assert site.audit()[-1].detail["kind"] == "no release"


def test_an_engine_that_is_not_accepted_ends_with_its_own_code_and_the_older_stick_still_works(
    site: Site, stick: Path, maker: Maker, engine: Engine, tmp_path: Path
) -> None:
    release(maker, engine.version(tmp_path / "bad", "2.0.0").promises_too_much())
    bad = maker.export(tmp_path / "bad stick", now=BORN + DAY)
    assert site.update(bad) == Exit.NOT_ACCEPTED
    (outcome,) = site.result["outcomes"]
    assert outcome["fate"] == "refused"
    assert "redness 2.0.0 was not accepted" in outcome["why"]
    assert site.audit()[-1].detail["outcomes"] == [outcome]
    assert site.update(stick) == 0
    assert site.standing() == {"1.2.3": "active", "in use": "1.2.3"}


def test_while_another_process_reads_a_slide_nothing_is_changed(site: Site, stick: Path, newer: Path) -> None:
    site.update(stick)
    before = contents(site.folder / "engines")
    with slide_in_another_process(site):
        for command in (["update", newer, *FRAME], ["build", NAME, *FRAME], ["rollback", NAME]):
            assert site.run("engine", *command, *WHO) == Exit.BUSY
        assert site.run("engine", "list") == 0
    assert contents(site.folder / "engines") == before
    assert site.update(newer) == 0


def test_while_another_update_is_under_way_nothing_is_changed(site: Site, stick: Path) -> None:
    with site.store.updating():
        assert site.update(stick) == Exit.BUSY
    assert site.store.names() == []


@pytest.mark.parametrize("said", [[], ["--who", "J. Doe"], ["--who", "J. Doe", "--why", "  "]])
def test_where_nobody_can_be_asked_who_and_why_have_to_be_said(site: Site, stick: Path, said: list[str]) -> None:
    for command in (["update", stick, *FRAME], ["build", NAME, *FRAME], ["rollback", NAME]):
        assert site.run("engine", *command, *said) == Exit.USAGE
    assert contents(site.folder) == {}


def test_without_a_root_of_trust_no_stick_is_looked_at(tmp_path: Path, stick: Path, site: Site) -> None:
    site.root = b""
    assert site.update(stick) == Exit.SETTINGS
    site.root = b"-"
    site.trust_root.unlink()
    assert site.update(stick) == Exit.SETTINGS
    assert contents(site.folder) == {}


def test_a_package_that_is_not_on_the_stick_is_named(
    site: Site, stick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.update(stick, "--only", "blueness") == Exit.ENGINE
    assert "Not on the stick: blueness.\nChoose from: redness." in capsys.readouterr().err
    assert site.store.names() == []
    assert site.update(stick, "--only", NAME) == 0


def test_what_is_no_size_of_a_frame_is_refused_at_once(site: Site, stick: Path) -> None:
    for more in ([], ["--dry-run"]):
        assert site.run("engine", "update", stick, *WHO, "--frame", "wide", *more) == Exit.USAGE
    assert site.store.names() == []


@pytest.mark.parametrize("gpu", [ABSENT, ORIN], ids=["processor", "gpu"])
def test_a_dry_run_asks_no_camera_for_its_size(
    site: Site, bare: Path, monkeypatch: pytest.MonkeyPatch, gpu: Gpu | GpuAbsent
) -> None:
    put_gpu(monkeypatch, gpu)
    assert site.told("engine", "update", bare, "--dry-run") == 0  # no camera is set
    assert {one["fate"] for one in site.result["outcomes"]} == {"would be installed"}


def test_without_a_gpu_and_with_golden_fields_no_camera_is_asked_for_its_size(site: Site, stick: Path) -> None:
    assert site.run("engine", "update", stick, *WHO) == 0  # no camera is set
    assert site.standing()["in use"] == "1.2.3"


def test_where_golden_fields_are_drawn_the_camera_is_asked_once_for_its_size(
    site: Site, bare: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[FrameSize] = []
    opened: list[Camera] = []

    def drawn(package: EnginePackage, frame: FrameSize, _: Path) -> Golden:
        sizes.append(frame)
        return engine.load_golden(package)

    def camera(settings: Settings) -> Camera:
        opened.append(open_camera(settings))
        return opened[-1]

    monkeypatch.setattr(engine_installer, "drawn_golden", drawn)
    monkeypatch.setattr(frame, "open_camera", camera)
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "1.png"), np.full((96, 128, 3), 150, np.uint8))
    site.settings += ["camera.kind=replay", f"camera.address={tmp_path / 'pictures'}"]
    assert site.run("engine", "update", bare, *WHO) == 0
    assert sizes == [FrameSize(height_px=96, width_px=128)] * 2
    assert len(opened) == 1


def test_on_a_gpu_a_camera_that_does_not_tell_its_size_refuses_the_package_and_is_kept(
    site: Site, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(monkeypatch, ORIN)
    assert site.told("engine", "update", stick, *WHO) == Exit.SETTINGS  # no camera is set
    (outcome,) = site.result["outcomes"]
    assert (outcome["fate"], "camera.address is empty" in outcome["why"]) == ("refused", True)
    assert site.audit()[-1].detail["outcomes"] == [outcome]
    assert site.standing() == {"in use": ""}, "nothing was staged"


def test_list_says_what_lies_in_the_slots(
    site: Site, stick: Path, newer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.told("engine", "list") == 0
    assert site.result == {"engines": []}
    assert "No engine is installed here: the shipped packages are used." in capsys.readouterr().out
    site.update(stick)
    site.update(newer)
    capsys.readouterr()
    assert site.told("engine", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" since ")[0] for line in lines] == [
        "  redness a: 1.2.3, accepted",
        "* redness b: 2.0.0, active",
    ]
    told = [(one["version"], one["state"], one["in_use"]) for one in site.result["engines"]]
    assert told == [("1.2.3", "accepted", False), ("2.0.0", "active", True)]
    history = site.result["engines"][1]["history"]
    assert [(step["state"], step["who"]) for step in history] == [
        (state, "J. Doe") for state in ("staged", "built", "accepted", "active")
    ]


def test_list_names_an_altered_engine(site: Site, stick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.update(stick)
    slot = site.store.current(NAME)
    assert slot is not None
    (slot.package / "MODEL_CARD.md").write_text("better")
    assert site.told("engine", "list") == 0
    assert "MODEL_CARD.md does not belong to redness 1.2.3." in capsys.readouterr().out
    assert [one["in_use"] for one in site.result["engines"]] == [False]


def test_rollback_goes_back_once_and_is_kept(site: Site, stick: Path, newer: Path) -> None:
    site.update(stick)
    read_slides(site.store)
    site.update(newer)
    before = contents(site.folder)
    assert site.told("engine", "rollback", NAME, "--dry-run") == 0
    assert (site.result["version"], site.result["in_use"]) == ("1.2.3", False)
    assert contents(site.folder) == before
    assert site.told("engine", "rollback", NAME, "--who", "R. Roe", "--why", "misses bacilli") == 0
    assert (site.result["version"], site.result["in_use"]) == ("1.2.3", True)
    assert site.standing() == {"1.2.3": "good", "2.0.0": "rejected", "in use": "1.2.3"}
    row = site.audit()[-1]
    assert (row.who, row.action, row.detail["why"]) == ("R. Roe", "engine.rollback", "misses bacilli")
    assert row.detail["package"] == "redness 1.2.3"
    assert site.run("engine", "rollback", NAME, *WHO) == Exit.ENGINE
    assert site.standing()["in use"] == "1.2.3"


def test_what_failed_its_trial_is_not_built_upon(site: Site, stick: Path, newer: Path) -> None:
    site.update(stick)
    read_slides(site.store)
    site.update(newer)
    store = site.store
    with store.reading():
        for _ in range(2):
            store.slide_started(NAME)
    assert site.update(newer) == 0
    assert site.standing() == {"1.2.3": "good", "2.0.0": "active", "in use": "2.0.0"}
    current = site.store.current(NAME)
    assert current is not None
    assert current.record.slides_started == 0
