"""What installs engines on this device: the runtime it has, the camera's size, golden fields where none came along."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.cli.build_progress import build_progress
from appliance.cli.frame import frame_size
from appliance.cli.golden_fields import drawn_golden
from appliance.cli.plain_console import plain_console
from appliance.cli.scoring import present_gpu, runtime_record, trial_of
from appliance.journal import utc_now
from appliance.settings import Settings
from appliance.update.install import Draw, Installer
from engines.acceptance.golden import Golden
from engines.cuda.probe import Gpu
from engines.package import EnginePackage
from engines.runtimes import CpuRuntime, GpuRuntime, Runtime
from engines.slots.store import SlotStore


@contextmanager
def installer_on(settings: Settings, store: SlotStore, frame: str | None) -> Iterator[tuple[Installer, Draw]]:
    """What installs here, and draws golden fields of the camera's size for packages that bring none."""
    console = plain_console()
    size = frame_size(settings, frame)
    with ExitStack() as held:
        folder = Path(held.enter_context(TemporaryDirectory(prefix="golden-")))
        bar = held.enter_context(build_progress(console))
        gpu = present_gpu()
        runtime: Runtime
        if isinstance(gpu, Gpu):
            runtime = GpuRuntime(gpu, size, settings.engines.slots.parent, settings.engines.workspace_mib)
        else:
            console.print(f"{gpu.what} Nothing is built: the engine is tried on the processor.")
            runtime = CpuRuntime(runtime_record(settings))

        def golden_fields(package: EnginePackage) -> Golden:
            console.print("The release brings no golden fields; the twin draws some.")
            return drawn_golden(package, size(), folder / package.manifest.onnx.sha256)

        yield (
            Installer(store, runtime, now=utc_now, clock=time.monotonic, tell=console.print, progress=bar),
            golden_fields,
        )


def fall_back(store: SlotStore, settings: Settings) -> None:
    """What failed its trial is not built upon."""
    for name in store.names():
        store.watch(name, trial_of(settings), who="update", now=utc_now())
