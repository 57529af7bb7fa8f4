"""The engine that reads an assay's slides on this device, and on which runtime.

The settings may name a package; otherwise the one that was installed here is used, or else the shipped one. Falling
back to the processor is a decision, never an accident: without an engine on a GPU, only the twin's slides are read,
which are nobody's, unless the site has allowed more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.assays import Assay, known_assays, load_assay
from appliance.errors import ApplianceError, SettingsError
from appliance.journal import utc_now
from appliance.settings.model import Settings
from drivers.errors import DeviceError
from engines.cuda.probe import Gpu, GpuAbsent, probe
from engines.onnx_cpu import OnnxCpuScorer
from engines.package import EnginePackage, load_package, shipped
from engines.runtimes import GPU_KIND, CpuRuntime, frame_of, is_built, open_built, what_changed
from engines.slots.slot import Slot
from engines.slots.store import SlotStore
from engines.slots.trial import Trial
from engines.tensorrt.signature import FrameSize

WHO = "scanner"
Open = Callable[[EnginePackage, "Path | None"], OnnxCpuScorer]


@dataclass(frozen=True)
class OpenEngine:
    """A verified package, loaded. store: of the slot that it lies in; None where it is the shipped or a named one.

    frame: the only size of pictures that it reads; None where it reads any.
    """

    package: EnginePackage
    scorer: OnnxCpuScorer
    trial: Trial
    store: SlotStore | None = None
    frame: FrameSize | None = None

    @contextmanager
    def slide(self) -> Iterator[None]:
        """One slide, counted for the engine's trial; ended by the operator, a device or the disk, it did its part."""
        if self.store is None:
            yield
            return
        name = self.package.manifest.name
        self.store.slide_started(name)
        try:
            yield
        except (ApplianceError, KeyboardInterrupt, DeviceError):
            self.store.slide_finished(name, self.trial, who=WHO, now=utc_now())
            raise
        self.store.slide_finished(name, self.trial, who=WHO, now=utc_now())


def trial_of(settings: Settings) -> Trial:
    """How long a new engine is on trial here."""
    section = settings.engines
    return Trial(section.good_after, section.failed_allowed, section.restarts_allowed)


def runtime_record(settings: Settings) -> Path:
    """Where `bench engine --keep` records which processor runtime is fastest on this machine."""
    return settings.journal.path.parent / "engine-runtime.json"


def present_gpu() -> Gpu | GpuAbsent:
    """The GPU, or why there is none."""
    try:
        return probe()
    except GpuAbsent as absent:
        return absent


def engine_folder(settings: Settings, assay: Assay) -> Path:
    """Folder of the package that the settings name for this assay, that is installed here, or that was shipped.

    What failed its trial has fallen back by then. Raises EngineError, SettingsError.
    """
    with _watched(settings) as store:
        return _chosen(store, settings, assay)[0]


def installed_for(store: SlotStore, settings: Settings, assay: Assay) -> Slot | None:
    """The slot in use whose engine reads this assay at the scale in force. Raises SettingsError where two do."""
    found = []
    for name in store.names():
        slot = store.current(name)
        if slot is None:
            continue
        manifest = load_package(slot.package).manifest
        scale = manifest.scale
        if manifest.assay == assay.name and scale.min_um_per_px <= settings.optics.um_per_px <= scale.max_um_per_px:
            found.append(slot)
    if len(found) > 1:
        raise SettingsError(
            f"Several engines are installed for {assay.name}: {', '.join(slot.name for slot in found)}.",
            remedy=f"Name the package folder of one in engines.{assay.name}.",
        )
    return found[0] if found else None


@contextmanager
def scorer(settings: Settings, assay: Assay) -> Iterator[OpenEngine]:
    """The engine for this assay. While it is open, no update changes the engines of this device.

    Raises EngineError; SettingsError where the site has not allowed the only runtime there is.
    """
    with _watched(settings) as store:
        folder, slot = _chosen(store, settings, assay)
        package = load_package(folder)
        if package.manifest.assay != assay.name:
            raise SettingsError(
                f"The engine package {package.title} is made for the assay {package.manifest.assay}, not {assay.name}.",
                remedy=f"Name a package for {assay.name} in engines.{assay.name}.",
            )
        with closing(_allowed_runtime(settings, package, slot)(package, slot.engine if slot else None)) as loaded:
            frame = frame_of(slot.engine) if slot and loaded.backend.kind == GPU_KIND else None
            yield OpenEngine(package, loaded, trial_of(settings), store if slot else None, frame)


def assays_read(settings: Settings) -> list[Assay]:
    """Those that are read at the magnification in force; the scanner loads the network of each when it starts."""
    known = [load_assay(name) for name in known_assays()]
    return [assay for assay in known if settings.optics.magnification in assay.magnifications]


def count_restart(settings: Settings, assay: Assay | None) -> list[str]:
    """Hold a hang or crash of the scanner against the engine on trial that reads the assay; without one, against each.

    Returns the names of the engines. Raises SettingsError, EngineError.
    """
    if not settings.engines.slots.is_dir():
        return []
    store = SlotStore(settings.engines.slots)
    with store.updating():
        used = [_used_for(store, settings, one) for one in ([assay] if assay else assays_read(settings))]
        names = sorted({slot.name for slot in used if slot is not None})
        for name in names:
            store.scanner_restarted(name)
    return names


@contextmanager
def _watched(settings: Settings) -> Iterator[SlotStore]:
    """The engines installed here, held for reading after those that failed their trial have fallen back."""
    store = SlotStore(settings.engines.slots)
    with store.looked_after(trial_of(settings), who=WHO, now=utc_now()):
        yield store


def _named(settings: Settings, assay: Assay) -> Path | None:
    """The package that the settings name."""
    named: Path | None = getattr(settings.engines, assay.name, None)
    return named


def _used_for(store: SlotStore, settings: Settings, assay: Assay) -> Slot | None:
    """The slot whose engine reads this assay's slides; None where the settings name another, or none is installed."""
    return None if _named(settings, assay) is not None else installed_for(store, settings, assay)


def _chosen(store: SlotStore, settings: Settings, assay: Assay) -> tuple[Path, Slot | None]:
    """The package's folder, and the slot in which it lies, if it does."""
    slot = _used_for(store, settings, assay)
    if slot is not None:
        return slot.package, slot
    return _named(settings, assay) or shipped(assay.name, settings.optics.um_per_px), None


def _allowed_runtime(settings: Settings, package: EnginePackage, slot: Slot | None) -> Open:
    """How the package is opened."""
    why, remedy = why_not_on_gpu(package, slot)
    if not why:
        return open_built
    if settings.camera.kind != "twin" and not settings.engines.cpu_allowed:
        raise SettingsError(
            f"{why} This site has not allowed slides to be read on the processor.",
            safe="No slide was read.",
            remedy=f"{remedy} Or set engines.cpu_allowed: true; each verdict then says so.",
        )
    return CpuRuntime(runtime_record(settings)).open


def why_not_on_gpu(package: EnginePackage, slot: Slot | None) -> tuple[str, str]:
    """Why the engine does not run on this device's GPU, and what helps; empty where it does."""
    build = f"Build it: cytoscan engine build {package.manifest.name}."
    gpu = present_gpu()
    if isinstance(gpu, GpuAbsent):
        return gpu.what, gpu.remedy
    if slot is None or not is_built(slot.engine):
        return f"No engine of {package.title} has been built for this device's GPU.", build
    if changed := what_changed(slot, package, gpu):
        return f"The engine of {package.title} was built under other conditions: {' '.join(changed)}", build
    return "", ""
