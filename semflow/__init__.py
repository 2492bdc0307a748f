"""SemFlow: one rectified flow that segments images and, run backward, synthesizes them."""

from __future__ import annotations

import importlib
from typing import Any

from semflow.core import torchvision_guard

__version__ = "0.1.0"

torchvision_guard.install()

# By name and not by import, so that `import semflow` costs no torch. Checkpoints name these too.
_PUBLIC = {
    "SemFlowPipeline": "semflow.pipeline",
    "PatchAutoencoder": "semflow.networks.autoencoder",
    "NullPrompt": "semflow.networks.null_prompt",
}

__all__ = ["NullPrompt", "PatchAutoencoder", "SemFlowPipeline"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'semflow' has no attribute {name!r}")
