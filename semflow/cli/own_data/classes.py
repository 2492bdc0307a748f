"""A user's file of classes: names, and the id or colour that each has in the label files."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from semflow.core.errors import UserError
from semflow.core.labels import IGNORE_INDEX
from semflow.params.messages import shown

Color = tuple[int, int, int]

FORMS = "give lines of NAME, of ID NAME, or of RED GREEN BLUE NAME"
_LINE = re.compile(r"((?:\d+[\s,;:]+)*)(\S.*)")


@dataclass(frozen=True)
class NamedClass:
    """A line of the file: the id in the raw tree's labels, and the colour in coloured labels."""

    name: str
    id: int
    color: Color | None


def read_classes(path: Path, ignored: Collection[str]) -> list[NamedClass]:
    """The classes of a file whose lines are `NAME`, `ID NAME`, or `RED GREEN BLUE NAME`.

    Numbers and name are separated by spaces, commas or tabs; empty lines and those that start with
    # are passed over. Without ids, lines count from 0, and ids that are ignored are left out.

    Args:
        path: The file.
        ignored: Ids and names of what has no class; a line of that name is one of these.

    Raises:
        UserError: The file is missing or empty, its lines differ in form, a number is not in
            0..255, something is there twice, or there are more than 255 classes.
    """
    lines = _lines(path)
    forms = {len(numbers) for numbers, _ in lines}
    if len(forms) != 1 or not forms <= {0, 1, 3}:
        raise UserError(f"{path}: lines have {sorted(forms)} numbers before the name; {FORMS}")
    free = (number for number in range(len(lines) + 256) if str(number) not in ignored)
    classes = [
        NamedClass(
            name,
            numbers[0] if len(numbers) == 1 else next(free),
            (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None,
        )
        for numbers, name in lines
    ]
    if len(classes) > IGNORE_INDEX or max(one.id for one in classes) > 255:
        raise UserError(f"{path} has {len(classes)} classes; labels of one byte have up to 255")
    for values in ([one.name for one in classes], [str(one.id) for one in classes]):
        if twice := [value for number, value in enumerate(values) if value in values[:number]]:
            raise UserError(f"{path}: {twice[0]!r} is there twice; keep one")
    return classes


def _lines(path: Path) -> list[tuple[list[int], str]]:
    """Numbers and name of each line that says a class."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} not found; {FORMS}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is unreadable ({error}); {FORMS}") from None
    lines = []
    for line in (one.strip() for one in text.splitlines()):
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match is not None  # the line has a character
            # Four digits are enough to be too many; Python makes no number of thousands of them.
            words = (word.lstrip("0")[:4] for word in re.findall(r"\d+", match[1]))
            numbers = [int(word or 0) for word in words]
            if max(numbers, default=0) > 255:
                raise UserError(f"{path}: {shown(line)} has a number above 255; {FORMS}")
            lines.append((numbers, match[2]))
    if not lines:
        raise UserError(f"{path} names no class; {FORMS}")
    return lines
