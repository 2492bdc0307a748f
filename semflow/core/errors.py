"""The kinds of error that a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: one line saying what is wrong, what came and what to do.

    Entry points print it without a traceback and exit with code 2.
    """


class Busy(UserError):
    """Another process is making the same thing: wait for it and run again.

    Entry points exit with code 75, `EX_TEMPFAIL` of <sysexits.h>.
    """
