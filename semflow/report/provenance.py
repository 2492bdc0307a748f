"""The section on what made the page: checkpoint files, parameters, and whose data it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from semflow.report.content import Content
from semflow.report.formats import count
from semflow.report.markup import Markup, Row, details, element, join, paragraphs, table
from semflow.report.texts import CREDITS

_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*")
# Words that YAML 1.1 readers take for truth values or for nothing.
_TAKEN = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false", "null"})


def provenance_section(content: Content) -> Markup:
    """Checksums, parameters and credits."""
    block = {content.dataset: content.params.model_dump(mode="json")}
    return element(
        "section",
        element("h2", "What made it"),
        paragraphs(
            "This page follows from the checkpoint, its metrics, the parameters and the validation "
            "samples; it carries no date and no timing."
        ),
        _files(content),
        _making(content),
        details(
            f"All parameters of {content.dataset}",
            element("pre", element("code", "\n".join(yaml_lines(block))), tabindex=0),
        ),
        _credits(content),
        id="provenance",
    )


def yaml_lines(block: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Nested mappings of JSON values in the manner of params.yaml: lists stay on one line."""
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}:"
            yield from yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{name}: {_yaml_value(value)}"


def _yaml_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml_value, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _TAKEN:
        return value
    return json.dumps(value, ensure_ascii=False)


def _files(content: Content) -> Markup:
    rows = [
        Row(
            join([element("code", file.name)]),
            [count(file.values), element("code", file.sha256, class_="hash")],
        )
        for file in content.weights
    ]
    return table(
        f"Weights in models/{content.dataset}/pipeline", ["File", "Values", "sha256"], [rows]
    )


def _making(content: Content) -> Markup:
    made = content.provenance
    if made is None:
        return paragraphs("The checkpoint does not say what made it.")
    parts = [
        ("Hardware", made.hardware),
        ("Versions", made.versions),
        ("Inputs, sha256", made.inputs),
        ("Code, sha256", made.code),
    ]
    entries = [
        join([element("dt", f"{title}: {name}"), element("dd", str(value))])
        for title, values in parts
        for name, value in values.items()
    ]
    return details("Hardware, versions, inputs and code of the training", element("dl", *entries))


def _credits(content: Content) -> Markup:
    lines = CREDITS.get(content.params.index.reader, ())
    if not lines:
        return Markup()
    entries = (join([element("dt", what), element("dd", whose)]) for what, whose in lines)
    return join([element("h3", "Credits"), element("dl", *entries)])
