"""The one kind of error a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: one line saying what is wrong, what came and what to do.

    Entry points print it without a traceback and exit with code 2.
    """


class Busy(UserError):
    """Another run is making the same thing: to be waited for. Entry points exit with code 75."""
