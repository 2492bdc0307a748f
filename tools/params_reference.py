"""docs/params.md: every key of a data set's block, from the schema that holds params.yaml.

    python -m tools.params_reference

The tables are read off the JSON schema, so that kinds, bounds and meanings are those that a run
enforces; tests/test_tools.py holds the committed page equal to what this makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semflow.core.files import write_text
from semflow.schema import DatasetParams
from tools.closure import ROOT

PAGE = Path("docs/params.md")
HEAD = """# Reference of params.yaml

Written by `python -m tools.params_reference` from the schema that every run holds params.yaml
against. No key has a default: what a result depends on stands in the file. `datasets` lists the
blocks that `dvc repro` runs; every other key at the top is a block:
"""
BOUNDS = (
    ("minimum", "≥ {}"),
    ("exclusiveMinimum", "> {}"),
    ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"),
    ("pattern", "matches `{}`"),
)
LARGEST_SHOWN = 1e9
"""Bounds beyond this only keep numbers within what a format holds."""

Schema = Mapping[str, Any]


def page() -> str:
    """The whole page."""
    schema = DatasetParams.model_json_schema()
    definitions: Schema = schema["$defs"]
    lines = [HEAD.rstrip()]
    for name, value in schema["properties"].items():
        lines += ["", f"## {name}"]
        kinds = [_resolved(one, definitions) for one in value.get("oneOf", [value])]
        tag = value.get("discriminator", {}).get("propertyName")
        for kind in kinds:
            lines += _block(kind, tag, definitions)
    return "\n".join(lines) + "\n"


def _block(block: Schema, tag: str | None, definitions: Schema) -> Iterator[str]:
    """A block's heading, where one of several is chosen by a tag, its sentence and its table."""
    properties = dict(block["properties"])
    if tag is not None:
        yield from ("", f"### `{tag}: {properties.pop(tag)['const']}`")
    yield from ("", block["description"])
    if properties:
        yield from ("", "| key | kind | meaning |", "|---|---|---|")
        yield from _rows(properties, "", definitions)


def _rows(properties: Schema, prefix: str, definitions: Schema) -> Iterator[str]:
    """A row for each key, and below it those of a group of keys."""
    for name, value in properties.items():
        meaning = value.get("description") or _resolved(value, definitions).get("description", "")
        kind = kind_of(value, definitions).replace("|", "\\|")
        yield f"| `{prefix}{name}` | {kind} | {_one_line(meaning)} |"
        for group in _groups(value, definitions):
            yield from _rows(group["properties"], f"{prefix}{name}.", definitions)


def kind_of(value: Schema, definitions: Schema) -> str:
    """What may stand there, in words: kind, bounds and alternatives."""
    value = _resolved(value, definitions)
    if "anyOf" in value:
        return " or ".join(kind_of(one, definitions) for one in value["anyOf"])
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    match value.get("type"):
        case "array":
            return _list(value, definitions)
        case "object":
            return "keys below"
        case "null":
            return "null"
        case kind:
            return ", ".join([str(kind), *_bounds(value)])


def _list(value: Schema, definitions: Schema) -> str:
    if "prefixItems" in value:
        kinds = [kind_of(one, definitions) for one in value["prefixItems"]]
        return f"{len(kinds)} of them: {kinds[0]}" if len(set(kinds)) == 1 else ", ".join(kinds)
    least = "" if not value.get("minItems") else f", {value['minItems']} or more"
    return f"list of ({kind_of(value['items'], definitions)}){least}"


def _bounds(value: Schema) -> Iterator[str]:
    for key, words in BOUNDS:
        bound = value.get(key)
        if bound is not None and not (isinstance(bound, int | float) and bound > LARGEST_SHOWN):
            yield words.format(bound)


def _groups(value: Schema, definitions: Schema) -> Iterator[Schema]:
    """The groups of keys that a value, an alternative of it or an item of its list has."""
    value = _resolved(value, definitions)
    for one in (*value.get("anyOf", ()), *([value["items"]] if "items" in value else ())):
        yield from _groups(one, definitions)
    if value.get("properties"):
        yield value


def _resolved(value: Schema, definitions: Schema) -> Schema:
    """The definition that a value refers to; what stands beside the reference goes before."""
    if "$ref" not in value:
        return value
    return definitions[value["$ref"].rpartition("/")[2]] | {
        key: one for key, one in value.items() if key != "$ref"
    }


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write_text(ROOT / PAGE, page())
