"""Stand-ins for RoboHash's layers: small rectangles in the real layout, under the real names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semflow.datasets.robots import BACKGROUNDS, COLORS, DESIGNS, PARTS

SIDE = 20
# Left, top, right, bottom of each part in the frame; a design is one pixel wider every second time.
BOXES = {
    "body": (4, 14, 16, 20),
    "face": (5, 5, 15, 15),
    "accessory": (8, 1, 11, 6),
    "eyes": (6, 7, 13, 9),
    "mouth": (7, 11, 12, 13),
}


def make_layers(root: Path) -> Path:
    """Every layer that the reader wants; returns the root.

    A layer's red is its part's place in PARTS, its green its design, its blue its colour's place in
    COLORS, each times 20. A background is of one grey level: 10 times its place in BACKGROUNDS.
    """
    for number, color in enumerate(COLORS):
        for order, (part, folder) in enumerate(PARTS.items()):
            for design in DESIGNS:
                # As in the package, each colour has an order of its own.
                prefix = (3 * design + number) % 10
                name = f"{prefix:03d}#{color}_{part}-{design:02d}.png"
                pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
                left, top, right, bottom = BOXES[part]
                fill = 20 * order, 20 * design, 20 * number, 255
                pixels[top:bottom, left : right + design % 2] = fill
                save(pixels, root / "set1" / color / f"{4 - order:03d}#{folder}" / name)
    for place, name in enumerate(BACKGROUNDS):
        folder = root / "backgrounds" / f"bg{place % 2 + 1}"
        save(np.full((30, 30, 3), 10 * place, np.uint8), folder / f"{place:03d}#{name}.png")
    return root


def save(pixels: NDArray[np.uint8], path: Path) -> None:
    """Writes a PNG and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
