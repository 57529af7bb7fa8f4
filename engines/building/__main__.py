"""`python -m engines.building`: builds one engine and ends. SIGTERM stops it at its next step.

Exit codes: 0 built; 3 TensorRT built none; 4 bad package; 5 no GPU; 6 no TensorRT; 7 the disk refused; 8 stopped.
1 and 2 are Python's own: it broke off with a traceback; its options are wrong.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engines.building import background
from engines.cuda.libcuda import LIBRARY


def main() -> int:
    """Read the options, build, and return the exit code."""
    options = _parser().parse_args()
    background.enter(options.nice)
    # Only now, as numpy starts threads when it is imported.
    from engines.building.process import Task, run  # noqa: PLC0415
    from engines.tensorrt.signature import FrameSize  # noqa: PLC0415

    frame = FrameSize(options.height, options.width)
    return run(Task(options.package, frame, options.workspace_mib, options.caches, options.out, options.libcuda))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engines.building", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, required=True, help="folder of the engine package")
    parser.add_argument("--height", type=int, required=True, help="of the camera's frame, px")
    parser.add_argument("--width", type=int, required=True, help="of the camera's frame, px")
    parser.add_argument("--workspace-mib", type=int, required=True, help="memory that a layer may use for its work")
    parser.add_argument("--caches", type=Path, required=True, help="folder of the timing caches, one for each device")
    parser.add_argument("--out", type=Path, required=True, help="folder for plan and record, not there yet")
    parser.add_argument("--libcuda", default=LIBRARY, help="the CUDA driver, by name or path")
    parser.add_argument("--nice", type=int, default=19, help="priority, 0 to 19 (the last in turn)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
