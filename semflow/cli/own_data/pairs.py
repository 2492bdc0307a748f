"""Which label belongs to which image, and which split a pair is in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from semflow.core.errors import UserError
from semflow.datasets.folder import IMAGE_ENDINGS
from semflow.evaluation.schema import LEAST_SAMPLES

LABEL_ENDING = ".png"
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders, such as ADE20K's images/training, that say a split."""
HELD_OUT = 10
"""One of so many samples is val, and one is test, where folders do not say."""
SEPARATORS = "_-."


@dataclass(frozen=True)
class Pair:
    """An image file, its label file, and the name and split that they have in the raw tree."""

    key: str
    image: Path
    label: Path
    split: str | None


def find_pairs(images: Path, labels: Path, labelled_only: bool) -> list[Pair]:
    """The pairs of two folders, by the image's name.

    A label has its image's stem, or that and a suffix which all labels share, such as CamVid's
    `_L`. Folders below that have the name of a split say the split.

    Args:
        images: Holds .png, .jpg or .jpeg files, itself or below.
        labels: Holds .png files likewise.
        labelled_only: Leaves out images that have no label.

    Raises:
        UserError: A folder is missing or empty, no label has an image, an image has no label, or
            two images have one name.
    """
    photos = _by_place(images, _files(images, IMAGE_ENDINGS, "image"), "")
    files = _files(labels, (LABEL_ENDING,), "label")
    suffix = _shared_suffix({stem for _, stem in photos}, [path.stem for path in files])
    masks = _by_place(labels, [path for path in files if path.stem.endswith(suffix)], suffix)
    both = sorted(photos.keys() & masks.keys(), key=lambda place: (place[1], place[0] or ""))
    if not both:
        raise UserError(
            f"no label in {labels} has the name of an image in {images}, such as "
            f"{next(iter(photos.values())).name} and {files[0].name}; "
            "give labels <name>.png or <name>_<suffix>.png"
        )
    alone = sorted(photos[place].name for place in photos.keys() - masks.keys())
    if alone and not labelled_only:
        raise UserError(
            f"{len(alone)} of {len(photos)} images have no label in {labels}, {alone[0]} first; "
            "add them, or leave these images out with --labelled-only"
        )
    return [Pair(stem, photos[split, stem], masks[split, stem], split) for split, stem in both]


def with_splits(pairs: list[Pair]) -> list[Pair]:
    """The pairs with a split each: their folders', or one drawn from their names.

    Where folders say train, those of val and test that are missing are held out of it; test only
    where val is missing too, since folders of train and val alone are a split that somebody chose.

    Raises:
        UserError: There are too few for splits that can be evaluated, or only some have a split.
    """
    said = {pair.split for pair in pairs}
    if None in said and said != {None}:
        raise UserError(
            "some images lie in folders of splits and some beside them; put all into train, val "
            "and test, or none"
        )
    wanted = ["val", "test"] if said == {None} else [] if "val" in said else ["val"]
    rest = sorted(
        (pair for pair in pairs if pair.split in (None, "train")),
        # The name's checksum: an order that nothing else follows, and the same on every machine.
        key=lambda pair: hashlib.sha256(pair.key.encode("utf-8", "surrogatepass")).digest(),
    )
    held = max(LEAST_SAMPLES, len(rest) // HELD_OUT)
    split_of = {
        pair.key: name
        for number, name in enumerate(wanted)
        for pair in rest[number * held : (number + 1) * held]
    }
    chosen = [
        replace(pair, split=split_of.get(pair.key, "train"))
        if pair.split in (None, "train")
        else pair
        for pair in pairs
    ]
    _check_enough(chosen)
    return chosen


def counts(pairs: Iterable[Pair]) -> Counter[str]:
    """Number of pairs of each split that has some."""
    return Counter(pair.split or "" for pair in pairs)


def _check_enough(pairs: list[Pair]) -> None:
    found = counts(pairs)
    least = {"train": 1, "val": LEAST_SAMPLES} | ({"test": LEAST_SAMPLES} if found["test"] else {})
    for split, needed in least.items():
        if found[split] < needed:
            raise UserError(
                f"{len(pairs)} pairs leave {found[split]} for {split}, which needs {needed} or "
                f"more; give {2 * LEAST_SAMPLES + 1} or more, or folders train, val and test"
            )


def _files(folder: Path, endings: tuple[str, ...], kind: str) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give the one that holds the {kind}s")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(endings) and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise UserError(f"{folder} holds no {kind} file named *{' or *'.join(endings)}")
    return found


def _by_place(root: Path, files: list[Path], suffix: str) -> dict[tuple[str | None, str], Path]:
    """Each file by its split, if a folder says one, and its stem without the suffix."""
    found: dict[tuple[str | None, str], Path] = {}
    for path in files:
        folders = path.relative_to(root).parts[:-1]
        split = next((SPLIT_FOLDERS[one] for one in folders if one in SPLIT_FOLDERS), None)
        other = found.setdefault((split, path.stem.removesuffix(suffix)), path)
        if other != path:
            raise UserError(f"{other} and {path} have one name; rename one of them")
    return found


def _shared_suffix(stems: set[str], labels: list[str]) -> str:
    """What stands behind the image's stem in most labels; nothing where any has just the stem."""
    if any(label in stems for label in labels):
        return ""
    ends = Counter(
        label[cut:]
        for label in labels
        for cut in range(1, len(label))
        if label[cut] in SEPARATORS and label[:cut] in stems
    )
    return ends.most_common(1)[0][0] if ends else ""
