"""The one kind of error a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: one line saying what is wrong, what came and what to do.

    Entry points print it without a traceback and exit with code 2.
    """
