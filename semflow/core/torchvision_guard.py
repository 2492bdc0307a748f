"""Lets a torchvision built for CUDA import beside a CPU-only torch.

Such a pair is what plain package installs give on machines without a GPU. torchvision's compiled
operators then fail to load, and its import stops at the first operator it wants to describe
("operator torchvision::nms does not exist"), taking torchmetrics, lpips and diffusers'
AutoencoderKL down with it. None of them uses those operators: declaring their schemas is enough.
On a working pair this does nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_keep_alive: list[Any] = []


class _Finder(importlib.abc.MetaPathFinder):
    """Waits for the first import of torchvision, repairs the pair, and steps aside."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds nothing, ever; sees what is looked for, and repairs the pair in time."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec("torchvision")
            if spec is not None and spec.origin is not None:
                _declare_missing_operators(Path(spec.origin).parent)
        return None


def _declare_missing_operators(package: Path) -> None:
    import torch

    try:
        for compiled in package.glob("_C*.so"):
            torch.ops.load_library(compiled)
    except OSError:
        pass
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            library.define(schema)
        # The declarations last as long as this object.
        _keep_alive.append(library)


def install() -> None:
    """Hooks the import of torchvision, once, unless it is there already."""
    if "torchvision" in sys.modules or any(isinstance(f, _Finder) for f in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
