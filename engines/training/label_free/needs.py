"""What training needs beyond the product itself, checked before anything is read."""

from __future__ import annotations

from importlib.util import find_spec

from engines.errors import EngineError

_MODULES = ("torch", "onnx")


def require_training() -> None:
    """Raises EngineError when the optional packages for training are not installed."""
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise EngineError(
            f"Training needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed.",
            remedy="Install the optional extra: pip install 'cytoscan-appliance[train]'.",
        )
