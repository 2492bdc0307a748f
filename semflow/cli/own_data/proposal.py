"""The block of a user's own data set: classes, size and split, on the values of small.yaml."""

from __future__ import annotations

import colorsys
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from semflow.cli.own_data.classes import Color, NamedClass
from semflow.cli.own_data.labels import LabelSurvey
from semflow.core.errors import UserError
from semflow.core.files import read_json
from semflow.core.labels import IGNORE_INDEX
from semflow.params.recipes import round_trip

SMALL = Path(__file__).with_name("small.yaml")
SIDE = 64
"""Shorter side of the images that the small model trains on, pixels."""
GOLDEN = 0.618034


def ignored_ids(
    survey: LabelSurvey, classes: Sequence[NamedClass], ignored: Collection[str]
) -> set[int]:
    """The ids without a class: those that a user names, and 255 where it is no class.

    Raises:
        UserError: A name to ignore is neither an id nor a line of the classes' file.
    """
    by_name = {one.name: one.id for one in classes}
    found = set()
    for value in ignored:
        if value in by_name:
            found.add(by_name[value])
        elif value.isdecimal() and len(value) <= 3 and int(value) <= 255:
            found.add(int(value))
        else:
            raise UserError(
                f"--ignore {value[:60]}: neither an id from 0 to 255 nor a class's name"
            )
    # A mask of black and white has two classes, and white is 255.
    is_class = IGNORE_INDEX in by_name.values() or (not classes and survey.ids == [0, IGNORE_INDEX])
    return found if is_class else found | {IGNORE_INDEX}


def proposed_classes(
    survey: LabelSurvey, named: Sequence[NamedClass], ignored: Collection[int]
) -> list[tuple[NamedClass, Color]]:
    """The classes, each with a colour to show it in.

    Args:
        survey: What the labels hold.
        named: Of the user's file; without one, an id that occurs is a class `class_<id>`.
        ignored: Ids without a class.

    Raises:
        UserError: An id has no line in the file, or the classes are fewer than 2 or more than 255.
    """
    known = {one.id for one in named} | set(ignored)
    if named and (strange := [one for one in survey.ids if one not in known]):
        raise UserError(
            f"label id {strange[0]} has no line in --classes FILE; "
            f"add it, or leave it out with --ignore {strange[0]}"
        )
    listed = named or [NamedClass(f"class_{one}", one, None) for one in survey.ids]
    classes = [one for one in listed if one.id not in ignored]
    if not 2 <= len(classes) <= IGNORE_INDEX:
        raise UserError(
            f"the labels have {len(classes)} classes (ids {_spans(survey.ids)}); "
            "a data set has 2 to 255"
        )
    return [
        (one, one.color or survey.palette.get(one.id) or _wheel(number))
        for number, one in enumerate(classes)
    ]


def mirrored_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of classes whose names differ in left and right alone."""
    return [
        (name, name.replace("left", "right"))
        for name in names
        if "left" in name and name.replace("left", "right") in names
    ]


def image_size(sizes: Sequence[tuple[int, int]], multiple: int) -> tuple[int, int]:
    """The size to train on: the proportions of most images, no side below `multiple`.

    The shorter side is SIDE, or the images' own where that is less; both are multiples of what
    autoencoder and backbone halve away.
    """
    height, width = (median(one[axis] for one in sizes) for axis in (0, 1))
    scale = min(1.0, SIDE / min(height, width))
    high, wide = (
        max(multiple, int(side * scale / multiple + 0.5) * multiple) for side in (height, width)
    )
    return high, wide


def proposed_block(
    classes: Sequence[tuple[NamedClass, Color]],
    ignored: Collection[int],
    sizes: Sequence[tuple[int, int]],
    has_test: bool,
) -> CommentedMap:
    """A data set's block for params.yaml, with the style of its other blocks.

    Raises:
        UserError: The embedded autoencoder is missing.
    """
    values = round_trip().load(SMALL)
    block = CommentedMap(index=_index(classes, ignored))
    block.update(values)
    high, wide = image_size(sizes, _multiple(block))
    block["shards"]["image_size"] = _row([high, wide])
    if not has_test:
        block["evaluate"].update(split="val", reference="own")
    return block


def _multiple(block: Any) -> int:
    """What both sides of an image must be multiples of, pixels."""
    config = read_json(Path(block["autoencoder"]["path"]) / "config.json")
    halved = 2 ** (len(block["backbone"]["block_out_channels"]) - 1)
    return int(config["patch_size"]) * halved


def _index(classes: Sequence[tuple[NamedClass, Color]], ignored: Collection[int]) -> CommentedMap:
    listed = CommentedSeq()
    for one, color in classes:
        line = CommentedMap(name=one.name, color=_row(color), id=one.id)
        line.fa.set_flow_style()
        listed.append(line)
    pairs = [_row(pair) for pair in mirrored_pairs([one.name for one, _ in classes])]
    return CommentedMap(
        reader="folder",
        classes=listed,
        mirrored=_row(pairs),
        ignore_ids=_row(sorted(ignored)),
        background=None,
        max_rejects=0,
    )


def _row(values: Sequence[Any]) -> CommentedSeq:
    """A list that is written in one line."""
    row = CommentedSeq(values)
    row.fa.set_flow_style()
    return row


def _wheel(number: int) -> Color:
    """A colour for a class without one: neighbours on the list are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.65, 0.9 - 0.3 * (number % 3) / 2)
    return round(red * 255), round(green * 255), round(blue * 255)


def _spans(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:6])) + (", ..." if len(ids) > 6 else "")
