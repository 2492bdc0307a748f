"""What is wrong with a parameter file, in one line that names the place as the file has it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

TAGS = ("reader", "scheme", "source", "system")
"""The keys that choose a member of a union."""
# A few characters of any value: YAML's aliases make some that are gigabytes when written out.
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxstring = 1, 60
_LONGEST_NAME, _MANY = 60, 40


def describe_misfit(
    error: ValidationError, values: Any, schema: type[BaseModel], below: str = ""
) -> str:
    """The first misfit: where, what came, what is allowed; and how many more there are.

    Args:
        error: From validating `values` against `schema`.
        values: Plain mappings and sequences.
        schema: Model of the values.
        below: Where the values stand in the file; empty for the whole file.
    """
    misfits = error.errors(include_url=False)
    # A mistyped key is also a missing one; the name that came says more than the one that did not.
    first = min(misfits, key=lambda misfit: misfit["type"] != "extra_forbidden")
    path = list(_place(first["loc"], values, first["type"]))
    where = ".".join([*([below] if below else []), *map(str, path)]) or "the file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(path[:-1], values, schema)
        return f"unknown parameter {where}; {nearest_name(str(path[-1]), known)}{more}"
    if first["type"] == "missing":
        return f"missing parameter {where}; {_mistyped(path, values)}{more}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{where}: {message}{more}"
    return f"{where} = {shown(first['input'])}: {message[0].lower()}{message[1:]}{more}"


def shown(value: object) -> str:
    """A value of any size in some 60 characters."""
    try:
        return _SHOWN.repr(value)
    except ValueError:
        # Python writes out no integer of thousands of digits, and YAML's hexadecimal ones may be.
        return "a number of thousands of digits"


def nearest_name(name: str, known: Sequence[str]) -> str:
    """ "did you mean ...?" where a known name is close, else all of them."""
    # Its time grows with the product of the lengths.
    match = difflib.get_close_matches(name[:_LONGEST_NAME], known, n=1, cutoff=0.5)
    if match:
        return f"did you mean {match[0][:_LONGEST_NAME]}?"
    more = f" and {len(known) - _MANY} more" if len(known) > _MANY else ""
    return f"known are {', '.join(one[:_LONGEST_NAME] for one in known[:_MANY])}{more}"


def _mistyped(path: Sequence[Any], values: Any) -> str:
    """What to do about a missing key: it may stand there under a name that is nearly right."""
    for part in path[:-1]:
        values = values[part]
    present = list(map(str, values)) if isinstance(values, Mapping) else []
    close = difflib.get_close_matches(str(path[-1]), present, n=1, cutoff=0.8)
    return f"is it {close[0]}?" if close else "add it"


def _place(loc: Sequence[int | str], values: Any, kind: str) -> Iterator[int | str]:
    """Pydantic's location without the names of chosen union members, which no file has."""
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        if not last and isinstance(values, Mapping) and part in map(values.get, TAGS):
            continue
        inside = isinstance(values, Mapping) and part in values
        listed = isinstance(values, (list, tuple)) and isinstance(part, int) and part < len(values)
        if inside or listed:
            values = values[part]
            yield part
        elif last and kind in ("extra_forbidden", "missing"):
            yield part


def _known_keys(path: Sequence[Any], values: Any, model: Any) -> list[str]:
    for part in path:
        values = values[part]
        if isinstance(part, int):
            continue  # an item of a list, whose model came with the list
        annotation = _annotation(model, part)
        members = getattr(annotation, "__args__", (annotation,))
        model = next(member for member in members if _fits(member, values))
    return list(model.model_fields)


def _annotation(model: Any, key: str) -> Any:
    if key in model.model_fields:
        return model.model_fields[key].annotation
    # A key beside the fields, which only a model with extra values takes: dict[str, their type].
    return get_args(get_type_hints(model)["__pydantic_extra__"])[1]


def _fits(model: Any, block: Any) -> bool:
    tags = [tag for tag in TAGS if tag in model.model_fields and tag in block]
    return all(block[tag] in model.model_fields[tag].annotation.__args__ for tag in tags)
