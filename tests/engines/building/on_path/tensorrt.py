"""What the building process finds as `tensorrt` where this folder is on its path: the fake, told by the environment.

FAKE_TENSORRT is JSON: what goes wrong in the fake's own words, and besides
"ends the process", "cannot be imported": when it is imported; "breaks off": a traceback in the middle of a build;
"opens nothing": no plan is good; "waits in": a folder with two pipes, see `conftest.Held`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

TOLD = json.loads(os.environ.get("FAKE_TENSORRT", "{}"))
if TOLD.get("ends the process"):
    os.abort()
if TOLD.get("cannot be imported"):
    raise ImportError("libnvinfer.so.10: cannot open shared object file")

from tests.engines.tensorrt import fake_tensorrt as fake  # noqa: E402


class Builder(fake.Builder):
    def build_serialized_network(
        self, network: fake.INetworkDefinition, config: fake.IBuilderConfig
    ) -> fake.IHostMemory | None:
        monitor = config.progress_monitor
        assert monitor is not None
        sys.stdout.write("a library prints\n")
        sys.stdout.flush()
        monitor.phase_start("Timing", "", 1)
        if TOLD.get("breaks off"):
            raise RuntimeError("out of tactics")
        if folder := TOLD.get("waits in"):
            (Path(folder) / "here").write_text(str(os.getpid()))
            (Path(folder) / "go").read_text()
        if not monitor.step_complete("Timing", 0):
            return None
        return super().build_serialized_network(network, config)


class Runtime(fake.Runtime):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> fake.ICudaEngine | None:
        return super().deserialize_cuda_engine(b"" if TOLD.get("opens nothing") else serialized_engine)


fake.BEHAVIOUR.update(TOLD)
fake.Builder, fake.Runtime = Builder, Runtime  # type: ignore[misc]
sys.modules[__name__] = fake
