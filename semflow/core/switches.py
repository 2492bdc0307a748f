"""Settings of the environment that are on or off."""

from __future__ import annotations

import os

from semflow.core.errors import UserError


def is_on(variable: str) -> bool:
    """Whether a variable is 1; 0, empty and absent are off.

    Raises:
        UserError: It has another value.
    """
    value = os.environ.get(variable, "")
    if value not in ("", "0", "1"):
        raise UserError(f"{variable} is {value!r}; give 1 to switch it on, 0 or nothing for off")
    return value == "1"
