"""TensorRT in memory, for what needs a GPU. It has only names and signatures that every supported version has, which
`test_real_api.py` checks; and it refuses and fails as the real one does: by None, by False, and in its log.

A plan is JSON: the engine's tensors and how it answers. `install` puts it where `import tensorrt` finds it.
"""

from __future__ import annotations

import json
import sys
import weakref
from enum import Enum, IntEnum
from types import ModuleType

import numpy as np

from ..cuda.fake_cuda import FakeCuda

__version__ = "10.3.0"
GPU: list[FakeCuda] = []
"""The one that engines run on; tests put it here."""
BEHAVIOUR: dict[str, object] = {}
"""What goes wrong: see where it is read."""
CONTEXTS: weakref.WeakSet[IExecutionContext] = weakref.WeakSet()
"""Those that were not freed yet."""


class ILogger:
    class Severity(Enum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self) -> None:
        pass

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        pass

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(Enum):
    WORKSPACE = 0


class ProfilingVerbosity(Enum):
    DETAILED = 2


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(Enum):
    FLOAT = 0
    UINT8 = 5


class LayerInformationFormat(Enum):
    JSON = 1


class Dims:
    def __init__(self, shape: list[int]) -> None:
        self._sizes = tuple(shape)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, arg0: int) -> int:
        return self._sizes[arg0]


class IHostMemory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bytes__(self) -> bytes:
        return self._data


class ITensor:
    def __init__(self, name: str) -> None:
        self.name = name
        self.shape = Dims([-1, -1, -1, 3])


class INetworkDefinition:
    def __init__(self) -> None:
        self._inputs: list[ITensor] = []
        self._answer = "mean"

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> ITensor:
        return self._inputs[index]


class ITimingCache:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._data + b"+")


class IBuilderConfig:
    def __init__(self) -> None:
        self.profiling_verbosity: ProfilingVerbosity | None = None
        self.progress_monitor: IProgressMonitor | None = None
        self._pools: dict[MemoryPoolType, int] = {}
        self._cache: ITimingCache | None = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        self._pools[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        if cache._data.startswith(b"other device") and not ignore_mismatch:
            return False
        self._cache = cache
        return not BEHAVIOUR.get("no timing cache")

    def get_timing_cache(self) -> ITimingCache | None:
        return self._cache


class ParserError:
    def __init__(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        self._network = network
        self._errors: list[ParserError] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def parse(self, model: bytes) -> bool:
        if not model.startswith(b"onnx:"):
            self._errors.append(ParserError("not a model"))
            return False
        names, self._network._answer = model.decode().split(":")[1:3]
        self._network._inputs = [ITensor(name) for name in names.split(",")]
        return True

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def create_network(self, flags: int = 0) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED, "only strongly typed networks"
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory | None:
        if why := BEHAVIOUR.get("build fails"):
            self._logger.log(ILogger.Severity.ERROR, str(why))
            return None
        self._logger.log(ILogger.Severity.INFO, "building")
        self._logger.log(ILogger.Severity.WARNING, "a slow layer")
        monitor = config.progress_monitor
        if monitor is not None:
            monitor.phase_start("Building", "", 2)
            going = [monitor.step_complete("Building", step) for step in (0, 1)]
            monitor.phase_finish("Building")
            if not all(going):
                return None
        (tensor,) = network._inputs
        size = [tensor.shape[axis] for axis in range(4)]
        assert min(size) > 0, "an engine of no certain size"
        return IHostMemory(plan({tensor.name: size}, {"maps": [1, 2, size[1] // 8, size[2] // 8]}, network._answer))


def plan(
    inputs: dict[str, list[int]], outputs: dict[str, list[int]], answer: str = "mean", kind: str = "UINT8"
) -> bytes:
    """A plan for tests. answer: "mean" of the picture everywhere, "nothing" is written, "nan", "refuse" to run."""
    return json.dumps({"inputs": inputs, "outputs": outputs, "answer": answer, "kind": kind}).encode()


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        try:
            return ICudaEngine(json.loads(serialized_engine))
        except ValueError:
            self._logger.log(ILogger.Severity.ERROR, "Serialization assertion magicTagRead failed")
            return None


class EngineInspector:
    def __init__(self, text: str) -> None:
        self._text = text

    def get_engine_information(self, format: LayerInformationFormat) -> str:  # noqa: A002 - its name
        assert format is LayerInformationFormat.JSON
        return self._text


class ICudaEngine:
    def __init__(self, what: dict[str, object]) -> None:
        self._what = what
        self._tensors = {**what["inputs"], **what["outputs"]}  # type: ignore[dict-item]

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._what["inputs"] else TensorIOMode.OUTPUT  # type: ignore[operator]

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(self._tensors[name])

    def get_tensor_dtype(self, name: str) -> DataType:
        is_input = self.get_tensor_mode(name) is TensorIOMode.INPUT
        return DataType[str(self._what["kind"])] if is_input else DataType.FLOAT

    def create_engine_inspector(self) -> EngineInspector:
        layers = [{"Inputs": [{"Format/Datatype": kind}]} for kind in ("Channel major UINT8", "Int8 NHWC4", "Int8")]
        return EngineInspector(json.dumps({"Layers": layers, "Bindings": []}))

    def create_execution_context(self) -> IExecutionContext | None:
        left = BEHAVIOUR.get("contexts")
        if isinstance(left, int):
            BEHAVIOUR["contexts"] = left - 1
            if left == 0:
                return None
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        CONTEXTS.add(self)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return name in self._engine._tensors and BEHAVIOUR.get("no address for") != name

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._addresses.keys() == self._engine._tensors.keys(), "a tensor has no address"
        if self._engine._what["answer"] == "refuse":
            return False
        assert stream_handle != 0, "never the default stream"
        GPU[-1].enqueue(stream_handle, self._compute)
        return True

    def _compute(self) -> None:
        """When the stream gets there: reads and writes what the addresses name by then."""
        gpu, what = GPU[-1], self._engine._what
        (read,), (written,) = what["inputs"], what["outputs"]  # type: ignore[misc]
        picture = gpu.buffer_at(self._addresses[read]).array
        answer = gpu.buffer_at(self._addresses[written]).array.view(np.float32)
        if what["answer"] == "mean":
            answer[:] = picture.mean() / 255
        elif what["answer"] == "nan":
            answer[:] = np.nan


def install() -> None:
    """Where no real TensorRT is, this takes its name."""
    module = sys.modules[__name__]
    assert isinstance(module, ModuleType)
    sys.modules.setdefault("tensorrt", module)
