"""Errors that say a disk takes nothing more, whatever library has met them."""

from __future__ import annotations

import errno
import os
import re

from semflow.core.passing import chain

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_NUMBER = re.compile(r"\(os error (\d+)\)")
_PLACE = re.compile(r'at path "([^"]+)"')


def refusal_of(error: BaseException) -> OSError | None:
    """The operating system's refusal to write that an error is, or that led to it.

    Args:
        error: An OSError; what torch makes of one that a file of Python's has raised; or one of
            safetensors, which is of no such kind but states the number.

    Returns:
        With its number and place, where they are known; None for any other error.
    """
    for one in chain(error):
        found = one if isinstance(one, OSError) else _stated_by_safetensors(one)
        if found is not None and found.errno in (*NO_ROOM, *UNWRITABLE):
            return found
    return None


def _stated_by_safetensors(error: BaseException) -> OSError | None:
    # By name: the library need not have been imported.
    if type(error).__name__ != "SafetensorError":
        return None
    number, place = _NUMBER.search(str(error)), _PLACE.search(str(error))
    if number is None:
        return None
    code = int(number[1])
    return OSError(code, os.strerror(code), place[1] if place else None)
