"""Ask the CUDA driver what is there, before anything touches TensorRT: without a driver, TensorRT ends the process.

A process that has asked must not fork afterwards; it starts others by spawn. Source: edge reference 2.2, 2.7.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from engines.cuda.errors import CudaError
from engines.cuda.libcuda import LIBRARY, Libcuda

_NO_DEVICE = 100
_NOT_SUPPORTED = 801
_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
_MINOR = 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
_NAME_BYTES = 256

_INSTALL = "Install JetPack (on a Jetson) or NVIDIA's driver, or let the site allow the CPU runtime."
_LOOK = "Check the driver with nvidia-smi (on a Jetson: that /dev/nvmap and /dev/dri are open to this user)."
_RENDER_NODE = (
    "On a Jetson let this service open /dev/dri/renderD*: DeviceAllow= in its unit, group render for the user."
)


class GpuAbsent(CudaError):
    """No GPU can be used here, and why."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver describes it.

    compute_capability: of its multiprocessors (SM), e.g. "8.7" for Orin. cuda_driver: the newest CUDA that the driver
    serves, e.g. "12.6".
    """

    name: str
    compute_capability: str
    cuda_driver: str


def probe(library: str = LIBRARY, ordinal: int = 0) -> Gpu:
    """The GPU with this number. Raises GpuAbsent.

    library: the driver, by name or path.
    """
    try:
        driver = Libcuda(library)
    except OSError as error:
        raise GpuAbsent(f"There is no CUDA driver here ({error}).", remedy=_INSTALL) from error
    try:
        return _ask(driver, ordinal)
    except AttributeError as error:
        raise GpuAbsent(f"{library} is no CUDA driver ({error}).", remedy=_INSTALL) from error


def _ask(driver: Libcuda, ordinal: int) -> Gpu:
    _checked(driver, "cuInit", 0)
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    major, minor = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _checked(driver, "cuDeviceGetCount", ctypes.byref(count))
    if ordinal >= count.value:
        raise GpuAbsent(f"The CUDA driver has no GPU number {ordinal}; it counts {count.value}.", remedy=_LOOK)
    _checked(driver, "cuDeviceGet", ctypes.byref(device), ordinal)
    _checked(driver, "cuDeviceGetName", name, _NAME_BYTES, device)
    _checked(driver, "cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
    _checked(driver, "cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
    _checked(driver, "cuDriverGetVersion", ctypes.byref(version))
    return Gpu(
        name.value.decode("utf-8", "replace"),
        f"{major.value}.{minor.value}",
        f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def _checked(driver: Libcuda, call: str, *arguments: object) -> None:
    status = driver.status(call, *arguments)
    if status == _NO_DEVICE:
        raise GpuAbsent(f"The CUDA driver sees no GPU: {driver.name(status)}.", remedy=_LOOK)
    if status == _NOT_SUPPORTED:
        raise GpuAbsent(f"The CUDA driver may not reach the GPU: {driver.name(status)}.", remedy=_RENDER_NODE)
    if status:
        raise GpuAbsent(f"The CUDA driver refused {call}: {driver.name(status)}.", remedy=_LOOK)
