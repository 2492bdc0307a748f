"""YAML as SemFlow's files use it: no nested aliases, no tags, a few deep; checked before loading.

A parser makes what aliases stand for, which a few letters can make gigabytes and minutes; calls
whatever a tag names; and descends with each level, in C until the process ends without a word. Its
events cost nothing of that, so they are looked at first.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    ScalarEvent,
)

from semflow.core.errors import UserError

DEEPEST = 32
"""Levels. The repository's own files have 5."""
MOST_ALIASES = 200
"""Of which each stands for a part of the document that holds no alias itself."""


def plain_yaml(content: str | bytes, source: str, parser: YAML | None = None) -> Any:
    """The values of a YAML document.

    Args:
        content: The document; bytes are UTF-8.
        source: Where it comes from, for errors.
        parser: What makes values of it; plain ones where None.

    Raises:
        UserError: It is no YAML, has a tag or an alias inside of an anchor, or is nested too deep.
    """
    try:
        text = content.decode() if isinstance(content, bytes) else content
        _check_events(text, source)
        return (parser or YAML(typ="safe")).load(text)
    except (YAMLError, ValueError) as error:
        # Also bytes that are no text, and numbers or dates that Python does not take.
        raise UserError(f"{source} is not YAML: {' '.join(str(error).split())[:200]}") from None
    except TypeError:
        # What a mapping of Python's has for a key cannot change.
        raise UserError(f"{source}: a list or a mapping stands for a key; write a name") from None


def _check_events(text: str, source: str) -> None:
    open_collections: list[bool] = []  # whether each of them has an anchor
    aliases = 0
    for event in YAML(typ="safe").parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            aliases += 1
            if any(open_collections) or aliases > MOST_ALIASES:
                what = "inside of an anchor" if any(open_collections) else "beyond all measure"
                raise UserError(
                    f"{source}, line {line}: an alias (*{event.anchor}) {what}; write its value"
                )
        if isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag is not None:
            raise UserError(f"{source}, line {line}: a tag ({event.tag}); write the plain value")
        if isinstance(event, CollectionStartEvent):
            open_collections.append(event.anchor is not None)
        elif isinstance(event, CollectionEndEvent):
            open_collections.pop()
        if len(open_collections) > DEEPEST:
            raise UserError(f"{source}, line {line}: nested more than {DEEPEST} deep; flatten it")
