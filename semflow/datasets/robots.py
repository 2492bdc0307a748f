"""Robots composed of the part layers of RoboHash's set1; the label says which part is on top.

Art: Zikri Kader, robots (set1) and backgrounds of RoboHash 2.0, CC BY 3.0 or 4.0. Of each part
there are 10 designs, each in 10 colours. Of every part one design is only in val and one only in
test, and each of their robots has at least one such part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semflow.core.errors import UserError
from semflow.core.labels import ClassTable
from semflow.datasets.base import Sample, UnreadableSample
from semflow.datasets.layers import Window, paint, read_backdrop, read_layer
from semflow.datasets.schema import RobotsIndex

PARTS_FOLDER = "set1"
BACKGROUNDS_FOLDER = "backgrounds"
FETCH = "dvc repro stages/dvc.yaml:raw@robots"
SPLITS = ("train", "val", "test")
COLORS = (
    "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow"
)  # fmt: skip
# In the order of painting, which is that of RoboHash's folder names after the #.
PARTS = {
    "body": "01Body",
    "face": "02Face",
    "accessory": "Accessory",
    "eyes": "Eyes",
    "mouth": "Mouth",
}
DESIGNS = range(1, 11)
CLASSES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("background", (40, 44, 52)),
    ("body", (66, 133, 244)),
    ("face", (250, 188, 60)),
    ("mouth", (219, 68, 85)),
    ("eyes", (240, 240, 240)),
    ("accessory", (52, 168, 83)),
)
CLASS_IDS = {name: class_id for class_id, (name, _) in enumerate(CLASSES)}
BACKGROUNDS = (
    *(f"final{number}" for number in range(1, 11)),
    *(f"robotBG-{number:02d}" for number in (*range(1, 5), *range(6, 9), *range(10, 13))),
)
# Of every part; no robot of another split has it.
HELD_OUT = {"val": 5, "test": 10}
Catalogue = Mapping[tuple[str, ...], str]


class RobotsReader:
    """As many robots as the parameters say, each determined by (seed, split, number)."""

    classes = ClassTable(
        names=tuple(name for name, _ in CLASSES),
        colors=tuple(color for _, color in CLASSES),
        mirrored=tuple(range(len(CLASSES))),
        background=CLASS_IDS["background"],
    )

    def __init__(self, raw: Path, params: RobotsIndex) -> None:
        """Args: raw: the folder that the `raw` stage fills; params: how many robots, and how.

        Raises:
            UserError: a layer is missing.
        """
        self._raw = raw
        self._params = params
        read_catalogue(raw)

    def files(self) -> list[Path]:
        """All layers and backgrounds."""
        return [self._raw / name for name in sorted(read_catalogue(self._raw).values())]

    def samples(self) -> Iterator[Sample]:
        """Split by split in the order of numbers; a sample's place names its layers."""
        catalogue = read_catalogue(self._raw)
        wanted = self._params.samples
        for split, count in zip(SPLITS, (wanted.train, wanted.val, wanted.test), strict=True):
            for number in range(count):
                place = _draw(catalogue, self._params, split, number)
                yield Sample(f"{split}_{number:06d}", split, place)

    def read(self, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One robot: image (S, S, 3) uint8 and label (S, S) uint8.

        The label is the last painted part whose coverage is above 127 of 255, at the image's own
        resolution.

        Raises:
            UserError: A layer is unreadable: which, and how to fetch it anew.
        """
        place, size = sample.place, self._params.size
        window = Window(size, *(int(place[name]) / 1000 for name in ("scale", "across", "down")))
        try:
            image = read_backdrop(self._raw / str(place["background"]), size).copy()
            label = np.full((size, size), CLASS_IDS["background"], np.uint8)
            for part in PARTS:
                layer = read_layer(self._raw / str(place[part]))
                paint(image, label, layer, window, CLASS_IDS[part])
        except UnreadableSample as error:
            # Not the sample's own fault: other samples have the same layer.
            raise UserError(f"{self._raw}: {error}; delete that folder and run: {FETCH}") from None
        return image, label


def read_catalogue(raw: Path) -> Catalogue:
    """The file of every (colour, part, design) and ("background", name), relative to the raw tree.

    Raises:
        UserError: One is missing: which, and how to fetch it.
    """
    found: dict[tuple[str, ...], str] = {}
    for key, pattern in _patterns():
        path = next(raw.glob(pattern), None)
        if path is None:
            raise UserError(f"{raw / pattern} is missing; fetch it with: {FETCH}")
        found[key] = path.relative_to(raw).as_posix()
    return found


def _patterns() -> Iterator[tuple[tuple[str, ...], str]]:
    """Where each layer lies: numbers before a # differ from colour to colour."""
    for color, (part, folder), design in itertools.product(COLORS, PARTS.items(), DESIGNS):
        place = f"{PARTS_FOLDER}/{color}/*#{folder}"
        yield (color, part, str(design)), f"{place}/*#{color}_*-{design:02d}.png"
    for name in BACKGROUNDS:
        yield ("background", name), f"{BACKGROUNDS_FOLDER}/*/*#{name}.png"


def _draw(
    catalogue: Catalogue, params: RobotsIndex, split: str, number: int
) -> dict[str, int | str]:
    """The layers of one robot, and its scale and shifts in thousandths.

    `across` and `down` are in thousandths of the image's side.
    """
    draws = np.random.default_rng([params.seed, SPLITS.index(split), number])
    color = COLORS[draws.integers(len(COLORS))]
    chosen = _designs(draws, split)
    place: dict[str, int | str] = {part: catalogue[color, part, chosen[part]] for part in PARTS}
    # Robots of the same parts are alike, whatever their colour and place.
    place["group"] = "-".join(chosen.values())
    background = BACKGROUNDS[draws.integers(len(BACKGROUNDS))]
    place["background"] = catalogue["background", background]
    ranges = {
        "across": (-params.max_across, params.max_across),
        "down": params.down,
        "scale": params.scale,
    }
    for name, (low, high) in ranges.items():
        place[name] = int(draws.integers(round(1000 * low), round(1000 * high), endpoint=True))
    return place


def _designs(draws: np.random.Generator, split: str) -> dict[str, str]:
    """The design of each part; of val and test at least one is the split's own."""
    designs = [design for design in DESIGNS if design not in HELD_OUT.values()]
    if split not in HELD_OUT:
        return {part: str(designs[draws.integers(len(designs))]) for part in PARTS}
    designs.append(HELD_OUT[split])
    chosen = {part: str(designs[draws.integers(len(designs))]) for part in PARTS}
    unseen = list(PARTS)[draws.integers(len(PARTS))]
    return {**chosen, unseen: str(HELD_OUT[split])}
