"""Lets `prefect deployment run train-earth` mean `train/train-earth`.

An entry point of Prefect's group `prefect.plugins`, called before a `prefect` command reads its
arguments. It changes nothing but those, so that without it, or with another Prefect, the full name
still works.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

_BARE = re.compile(r"(train|evaluate)-[a-z0-9-]+")


def setup_environment(**_context: Any) -> Any:
    """The hook: completes names, and turns plugins off in the processes that this one starts.

    Prefect would call the hook inside their event loops, which it then complains of.
    """
    if Path(sys.argv[0]).name == "prefect":
        sys.argv[1:] = completed(sys.argv[1:])
    try:
        from prefect.plugins import SetupResult
    except ImportError:
        return None
    return SetupResult(env={"PREFECT_PLUGINS_ENABLED": "false"})


def completed(arguments: list[str]) -> list[str]:
    """A command line's arguments with the flow's name before that of a deployment.

    Args:
        arguments: Those after the program's name; not of `prefect deployment`: returned as they
            are.
    """
    if arguments[:1] != ["deployment"]:
        return arguments
    return [
        f"{found[1]}/{word}"
        if (found := _BARE.fullmatch(word)) and not _takes_value(before)
        else word
        for before, word in zip(["", *arguments], arguments, strict=False)
    ]


def _takes_value(word: str) -> bool:
    return word.startswith("-") and word not in ("--watch", "--no-watch")


try:
    from prefect.plugins import register_hook
except Exception:  # a Prefect without such plugins
    pass
else:
    setup_environment = register_hook(setup_environment)
