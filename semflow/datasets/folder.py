"""A folder of a user's own images and labels, whose classes params.yaml names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX, ClassTable
from semflow.datasets.base import Sample
from semflow.datasets.files import map_ids, names_in, read_pair, require
from semflow.datasets.schema import FolderIndex

SPLITS = ("train", "val")
"""Every data set needs them."""
TEST = "test"
"""Where there is no such folder, nothing can be stated of a test split."""
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
ORIGIN = (
    "the folder reader takes train/images, train/labels, val/images and val/labels, and a label "
    "<name>.png for each image <name>.png, .jpg or .jpeg; test/ likewise, where there is one"
)


class FolderReader:
    """`<split>/images/<key>.{png,jpg,jpeg}` and `<split>/labels/<key>.png`."""

    def __init__(self, raw: Path, params: FolderIndex) -> None:
        """Args: raw: holds the splits; params: the classes and their ids in the label files.

        Raises:
            UserError: a folder is missing.
        """
        self._splits = (*SPLITS, TEST) if (raw / TEST).is_dir() else SPLITS
        folders = [f"{split}/{kind}" for split in self._splits for kind in ("images", "labels")]
        require(raw, folders, ORIGIN)
        self._raw = raw
        self._class_ids = dict.fromkeys(params.ignore_ids, IGNORE_INDEX) | {
            one.id: class_id for class_id, one in enumerate(params.classes)
        }
        self.classes = class_table(params)

    def files(self) -> list[Path]:
        """None: every file belongs to one sample."""
        return []

    def samples(self) -> Iterator[Sample]:
        """The train images by name, then the val images, then the test images if there are any.

        Raises:
            UserError: a split has no image, or two whose names differ in the ending only.
        """
        for split in self._splits:
            folder = self._raw / split / "images"
            found: dict[str, str] = {}
            for name in names_in(folder, IMAGE_ENDINGS):
                other = found.setdefault(Path(name).stem, name)
                if other != name:
                    raise UserError(f"{folder} has {other} and {name}, one label's two images")
            yield from (Sample(key, split, {"file": found[key]}) for key in sorted(found))

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One image (H, W, 3) uint8 and its label (H, W) uint8; sizes may vary."""
        folder = self._raw / sample.split
        image, label = read_pair(
            folder / "images" / str(sample.place["file"]), folder / "labels" / f"{sample.key}.png"
        )
        return image, map_ids(label, self._class_ids)


def class_table(params: FolderIndex) -> ClassTable:
    """The classes in the order of the parameters."""
    names = [one.name for one in params.classes]
    mirrored = list(range(len(names)))
    for one, other in params.mirrored:
        left, right = names.index(one), names.index(other)
        mirrored[left], mirrored[right] = right, left
    return ClassTable(
        names=tuple(names),
        colors=tuple(one.color for one in params.classes),
        mirrored=tuple(mirrored),
        background=None if params.background is None else names.index(params.background),
    )
