"""Generated stand-ins for raw downloads.

    python -m tools.raw_trees DATASET FOLDER --images N

They have the real layouts, names, sizes and file kinds, and blocky contents whose colour follows
from the label, so that the whole road can run, and learn something, without the real data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.uint8]

# One colour for each look, the same in every tree: what is learned in one holds in another. A class
# looks like its id; a right part like its left twin, from which only its place tells it apart.
HUES = np.random.default_rng(7).integers(10, 206, (256, 3)).astype(np.uint8)
OPAQUE = np.concatenate([HUES, np.full((256, 1), 255, np.uint8)], axis=-1)
GRAIN = 16  # side of a cell of the images' noise, pixels

CITIES = {
    "train": ("aachen", "bochum", "bremen", "cologne"),
    "val": ("frankfurt", "lindau", "munster"),
    "test": ("berlin", "bielefeld"),
}
CITYSCAPES_IDS = range(34)

# As g_mask.py paints them; the box of each in 16ths of a face: left, top, right, bottom. l_ is the
# person's left, which a photo shows on its right.
FACE: tuple[tuple[str, tuple[int, int, int, int]], ...] = (
    ("skin", (4, 3, 12, 13)),
    ("nose", (7, 7, 9, 9)),
    ("eye_g", (4, 5, 12, 7)),
    ("l_eye", (9, 5, 11, 6)),
    ("r_eye", (5, 5, 7, 6)),
    ("l_brow", (9, 4, 11, 5)),
    ("r_brow", (5, 4, 7, 5)),
    ("l_ear", (12, 6, 13, 9)),
    ("r_ear", (3, 6, 4, 9)),
    ("mouth", (6, 10, 10, 12)),
    ("u_lip", (6, 10, 10, 11)),
    ("l_lip", (6, 11, 9, 12)),
    ("hair", (2, 1, 14, 3)),
    ("hat", (3, 0, 13, 2)),
    ("ear_r", (12, 9, 13, 10)),
    ("neck_l", (5, 14, 12, 15)),
    ("neck", (6, 13, 10, 15)),
    ("cloth", (1, 15, 15, 16)),
)
FACE_LOOKS = np.arange(256, dtype=np.uint8)
FACE_LOOKS[[5, 7, 9]] = 4, 6, 8
NUM_FACES = 30_000
# The first photo of CelebA in the val and in the test part, and how many there are.
CELEBA_PARTS = (0, 162_771, 182_638, 202_599)

COCO_VALUES = [
    value for value in range(182) if value not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
]
COCO_SIZES = ((480, 640), (640, 480), (427, 640), (375, 500))

FOLDER_IDS = {"nothing": 0, "sky": 10, "left wall": 20, "right wall": 30, "ground": 40}
FOLDER_LOOKS = np.arange(256, dtype=np.uint8)
FOLDER_LOOKS[FOLDER_IDS["right wall"]] = FOLDER_IDS["left wall"]


def make_cityscapes(root: Path, images: int, seed: int, scale: float = 1.0) -> None:
    """`leftImg8bit` and `gtFine`, 1024x2048, with every file kind that the downloads have.

    Args:
        root: Receives the tree.
        images: Number in train and val together; two of the test split come on top.
        seed: Seed of the contents.
        scale: Factor of the sides, for quick tests.
    """
    draws = np.random.default_rng(seed)
    shape = _scaled((1024, 2048), scale)
    counts = _split_counts(images) | {"test": 2}
    for split, count in counts.items():
        for number in range(count):
            city = CITIES[split][number % len(CITIES[split])]
            key = f"{city}_{number // len(CITIES[split]):06d}_000019"
            # The test split's labels hold only what is no class.
            ids = range(7) if split == "test" else CITYSCAPES_IDS
            label = _blocks(draws, shape, ids, (8, 16))
            photo = root / "leftImg8bit" / split / city / f"{key}_leftImg8bit.png"
            _save(_photo(draws, label), photo)
            stem = str(root / "gtFine" / split / city / f"{key}_gtFine")
            _save(label, Path(f"{stem}_labelIds.png"))
            _save(np.take(OPAQUE, label, axis=0), Path(f"{stem}_color.png"))
            _save(label.astype(np.uint16) * 1000, Path(f"{stem}_instanceIds.png"))
            about = {"imgHeight": shape[0], "imgWidth": shape[1], "objects": []}
            Path(f"{stem}_polygons.json").write_text(json.dumps(about), encoding="utf-8")


def make_celebamask_hq(root: Path, images: int, seed: int, scale: float = 1.0) -> None:
    """Faces of 1024x1024, parts of 512x512 in 15 folders, and the mapping, which lists the faces.

    Args:
        root: Receives the tree.
        images: Number, spread over the 30,000 numbers; eight of ten are in the official train part.
        seed: Seed of the contents.
        scale: Factor of the sides, for quick tests.
    """
    draws = np.random.default_rng(seed)
    side = _scaled((512, 512), scale)[0]
    rows = ["idx         orig_idx    orig_file"]
    for place in range(images):
        number = place * NUM_FACES // images
        label = np.zeros((side, side), np.uint8)
        for class_id, (name, covered) in enumerate(_face(draws, place // 10, side), start=1):
            label[covered] = class_id
            part = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
            mask = np.where(covered, np.uint8(255), np.uint8(0))
            # The download's parts are RGB; a grey one is read the same.
            pixels = mask if place % 10 == 9 else np.repeat(mask[..., None], 3, axis=-1)
            if covered.any():
                _save(pixels, part / f"{number:05d}_{name}.png")
        large = label.repeat(2, axis=0).repeat(2, axis=1)
        _save(_photo(draws, FACE_LOOKS[large]), root / "CelebA-HQ-img" / f"{number}.jpg")
        part_of_celeba = {8: 1, 9: 2}.get(place % 10, 0)
        first, end = CELEBA_PARTS[part_of_celeba : part_of_celeba + 2]
        photo = int(draws.integers(first, end))
        rows.append(f"{number:<11d} {photo:<11d} {photo + 1:06d}.jpg")
    for folder in range(15):
        (root / "CelebAMask-HQ-mask-anno" / str(folder)).mkdir(parents=True, exist_ok=True)
    mapping = root / "CelebA-HQ-to-CelebA-mapping.txt"
    mapping.write_text("\n".join(rows) + "\n", encoding="utf-8")


def make_coco_stuff(root: Path, images: int, seed: int, scale: float = 1.0) -> None:
    """`train2017`, `val2017` and `stuffthingmaps_trainval2017`, in sizes that vary.

    Args:
        root: Receives the tree.
        images: Number in train and val together.
        seed: Seed of the contents.
        scale: Factor of the sides, for quick tests.
    """
    draws = np.random.default_rng(seed)
    order = draws.permutation(COCO_VALUES)
    for split, count in _split_counts(images).items():
        # So many classes an image that all occur in the split, where an image has room for them.
        some = min(max(10, -(-len(order) // count)), len(order))
        for number in range(count):
            values = [int(order[(number * some + i) % len(order)]) for i in range(some)]
            shape = _scaled(COCO_SIZES[number % len(COCO_SIZES)], scale)
            label = _blocks(draws, shape, [*values, 255], (14, 14))
            photo = _photo(draws, label)
            key = f"{139 + 146 * number + 7 * (split == 'train'):012d}"
            # A few of the real photos are grey.
            _save(
                photo[..., 1] if number % 50 == 49 else photo, root / f"{split}2017" / f"{key}.jpg"
            )
            _save(label, root / "stuffthingmaps_trainval2017" / f"{split}2017" / f"{key}.png")


def make_folder(root: Path, images: int, seed: int, scale: float = 1.0) -> None:
    """`<split>/{images,labels}` with the ids of FOLDER_IDS; photos are PNG and JPEG in turn.

    Args:
        root: Receives the tree.
        images: Number in train and val together; as many as in val are in test on top.
        seed: Seed of the contents.
        scale: Factor of the sides, for quick tests.
    """
    draws = np.random.default_rng(seed)
    left, right = FOLDER_IDS["left wall"], FOLDER_IDS["right wall"]
    counts = _split_counts(images)
    for split, count in (counts | {"test": counts["val"]}).items():
        for number in range(count):
            label = _blocks(draws, _scaled((192, 256), scale), [*FOLDER_IDS.values()], (6, 8))
            walls = np.isin(label, (left, right))
            sides = np.where(np.arange(label.shape[1]) < label.shape[1] // 2, left, right)
            label = np.where(walls, sides, label).astype(np.uint8)
            ending = ("png", "jpg", "jpeg")[number % 3]
            photo = root / split / "images" / f"photo_{number:05d}.{ending}"
            _save(_photo(draws, FOLDER_LOOKS[label]), photo)
            _save(label, root / split / "labels" / f"photo_{number:05d}.png")


def _split_counts(images: int) -> dict[str, int]:
    """A fifth is in the folder of val; each folder has an image."""
    if images < 2:
        raise SystemExit(f"error: two splits need two images at least, got {images}")
    val = max(1, images // 5)
    return {"train": images - val, "val": val}


def _scaled(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(32, round(shape[0] * scale)), max(32, round(shape[1] * scale))


def _blocks(
    draws: np.random.Generator, shape: tuple[int, int], ids: Sequence[int], cells: tuple[int, int]
) -> Pixels:
    """A label (H, W) of rectangular cells that has all the ids if there are cells enough."""
    count = cells[0] * cells[1]
    grid = draws.permutation(np.resize(np.asarray(ids, np.uint8), count)).reshape(cells)
    rows = np.arange(shape[0]) * cells[0] // shape[0]
    columns = np.arange(shape[1]) * cells[1] // shape[1]
    return grid[rows][:, columns]


def _face(
    draws: np.random.Generator, place: int, side: int
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Where each part is, (side, side); in one of four faces a part other than skin is absent."""
    unit = side // 16
    shift = int(draws.integers(-unit // 2, unit // 2 + 1))
    for order, (name, (left, top, right, bottom)) in enumerate(FACE):
        mask = Image.new("1", (side, side))
        box = (left * unit + shift, top * unit, right * unit + shift - 1, bottom * unit - 1)
        if order == 0 or (place + order) % 4 != 0:
            ImageDraw.Draw(mask).rectangle(box, fill=1)
        yield name, np.asarray(mask)


def _photo(draws: np.random.Generator, looks: Pixels) -> Pixels:
    """(H, W, 3): each look's colour, and a light that changes from cell to cell."""
    height, width = looks.shape
    cells = draws.integers(0, 41, (-(-height // GRAIN), -(-width // GRAIN), 1), dtype=np.uint8)
    light = cells.repeat(GRAIN, axis=0).repeat(GRAIN, axis=1)[:height, :width]
    return np.take(HUES, looks, axis=0) + light


def _save(pixels: NDArray[np.generic], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each format takes its own setting and overlooks the other.
    Image.fromarray(pixels).save(path, compress_level=1, quality=90)


MAKERS: dict[str, Callable[[Path, int, int, float], None]] = {
    "cityscapes": make_cityscapes,
    "celebamask_hq": make_celebamask_hq,
    "coco_stuff": make_coco_stuff,
    "folder": make_folder,
}


def main() -> None:
    """Makes one tree in a folder that is empty or does not exist, so that no real data is hurt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=MAKERS)
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="of the sides")
    options = parser.parse_args()
    if options.root.exists() and any(options.root.iterdir()):
        raise SystemExit(f"error: {options.root} is not empty; name another folder")
    MAKERS[options.dataset](options.root, options.images, options.seed, options.scale)


if __name__ == "__main__":
    main()
