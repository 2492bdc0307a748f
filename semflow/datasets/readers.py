"""Which reader belongs to which raw data set."""

from __future__ import annotations

from pathlib import Path

from semflow.core.labels import ClassTable
from semflow.datasets.base import Reader
from semflow.datasets.celebamask_hq import CelebAMaskHQReader
from semflow.datasets.cityscapes import CityscapesReader
from semflow.datasets.coco_stuff import CocoStuffReader
from semflow.datasets.earth import EarthReader
from semflow.datasets.folder import FolderReader
from semflow.datasets.robots import RobotsReader
from semflow.datasets.schema import (
    CelebAMaskHQIndex,
    CityscapesIndex,
    CocoStuffIndex,
    EarthIndex,
    FolderIndex,
    IndexParams,
    RobotsIndex,
)


def published_classes(params: IndexParams) -> ClassTable | None:
    """The classes that a data set's publishers fixed; None where raw files or params.yaml say them.

    Args:
        params: The block `index`, which names the reader.
    """
    match params:
        case CityscapesIndex():
            return CityscapesReader.classes
        case CelebAMaskHQIndex():
            return CelebAMaskHQReader.classes
        case CocoStuffIndex():
            return CocoStuffReader.classes
        case _:
            return None


def open_reader(raw: Path, params: IndexParams) -> Reader:
    """Opens the raw tree of a data set.

    Raises:
        UserError: raw files are missing or unreadable: where to get them and where they go.
    """
    match params:
        case EarthIndex():
            return EarthReader(raw, params)
        case RobotsIndex():
            return RobotsReader(raw, params)
        case CityscapesIndex():
            return CityscapesReader(raw, params)
        case CelebAMaskHQIndex():
            return CelebAMaskHQReader(raw, params)
        case CocoStuffIndex():
            return CocoStuffReader(raw, params)
        case FolderIndex():
            return FolderReader(raw, params)


def count_classes(params: IndexParams) -> int:
    """How many classes a data set has, by its parameters alone."""
    match params:
        case EarthIndex() | FolderIndex():
            return len(params.classes)
        case RobotsIndex():
            return len(RobotsReader.classes.names)
        case CityscapesIndex():
            return len(CityscapesReader.classes.names)
        case CelebAMaskHQIndex():
            return len(CelebAMaskHQReader.classes.names)
        case CocoStuffIndex():
            return len(CocoStuffReader.classes.names)
