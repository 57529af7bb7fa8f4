"""Calls of `CudaApi` by the driver's names: what each binding has to say of a driver that refuses one."""

from __future__ import annotations

CALLS = {
    "cuMemHostAlloc": lambda cuda, stream, event: cuda.host_alloc(8),
    "cuMemHostGetDevicePointer": lambda cuda, stream, event: cuda.host_alloc(8),
    "cuStreamCreate": lambda cuda, stream, event: cuda.stream(),
    "cuStreamSynchronize": lambda cuda, stream, event: cuda.stream_wait(stream),
    "cuEventCreate": lambda cuda, stream, event: cuda.event(),
    "cuEventRecord": lambda cuda, stream, event: cuda.record(event, stream),
    "cuEventQuery": lambda cuda, stream, event: cuda.is_done(event),
    "cuStreamBeginCapture": lambda cuda, stream, event: cuda.capture(stream),
    "cuStreamEndCapture": lambda cuda, stream, event: (cuda.capture(stream), cuda.captured(stream)),
    "cuGraphInstantiate": lambda cuda, stream, event: (cuda.capture(stream), cuda.captured(stream)),
}
