"""Reading again what a file system that hangs for a moment has refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from semflow.core.passing import is_passing

PAUSES = (0.5, 2.0, 8.0)
"""Seconds between an attempt and the next one."""

Result = TypeVar("Result")


def patiently(read: Callable[[], Result]) -> Result:
    """What a function returns, called again after errors that pass by themselves, such as EIO.

    Args:
        read: May be called several times.

    Raises:
        OSError: Of another kind, at once; of that kind, after the last attempt.
    """
    for pause in PAUSES:
        try:
            return read()
        except OSError as error:
            if not is_passing(error):
                raise
        time.sleep(pause)
    return read()
