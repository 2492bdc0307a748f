"""How far a stage is: what is done, the rate and the time left, on standard error.

A terminal gets one line that is rewritten in place. A log, which keeps every line, gets a whole one
now and then, and none of what is over at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from semflow.core.errors import UserError

SECONDS_VARIABLE = "SEMFLOW_PROGRESS_SECONDS"
DEFAULT_SECONDS = 30.0
"""Between two lines of a log."""
QUICK = 2.0
"""Seconds; what is over by then leaves no line in a log."""
TERMINAL_SECONDS = 0.5
"""Between two states of a terminal's line."""
BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_noinv_fmt}{postfix}]"
LINE = (
    "{desc}: {percentage:3.0f}%, {n_fmt} of {total_fmt}{unit} in {elapsed}, {rate_noinv_fmt}, "
    "{remaining} left{postfix}"
)
"""In tqdm's terms; the rate is units a second, also where it is less than one."""

Item = TypeVar("Item")


def progress_bar(
    total: int, stage: str, unit: str, done: int = 0, *, stays: bool = True
) -> tqdm[Any]:
    """A bar to update, and to close or to use as a context.

    Of the processes of a launch the first one shows it; where nothing is left to do, none does.

    Args:
        total: How many units there are.
        stage: What is going on, at the line's start.
        unit: What is counted, in the plural.
        done: Units that an earlier run has left; they do not count for the rate.
        stays: Whether the line is left there in the end, and not taken away for the next one.

    Raises:
        UserError: SEMFLOW_PROGRESS_SECONDS is no number of seconds.
    """
    # Every update looks at the clock, however many units have come.
    options: dict[str, Any] = {
        "total": total,
        "desc": stage,
        "unit": f" {unit}",
        "initial": done,
        "miniters": 0,
        "leave": stays,
        "disable": done == total or os.environ.get("RANK", "0") != "0",
        "file": sys.stderr,
    }
    if sys.stderr.isatty():
        return tqdm(dynamic_ncols=True, mininterval=TERMINAL_SECONDS, bar_format=BAR, **options)
    return _Lines(mininterval=_seconds(), smoothing=0, bar_format=LINE, gui=True, **options)


def progress_over(
    items: Iterable[Item], total: int, stage: str, unit: str, done: int = 0, *, stays: bool = True
) -> Iterator[Item]:
    """The items in order, behind a bar that counts those that have been dealt with."""
    with progress_bar(total, stage, unit, done, stays=stays) as bar:
        for item in items:
            yield item
            bar.update()


class _Lines(tqdm):  # type: ignore[type-arg]
    """Whole lines in place of one that is rewritten; `gui` keeps tqdm from writing any itself."""

    def display(self, *_args: object) -> None:
        """Writes a line."""
        print(self, file=self.fp, flush=True)

    def close(self) -> None:
        """Writes the last line, unless there was nothing to wait for."""
        if not self.disable and self.leave and self.format_dict["elapsed"] >= QUICK:
            self.display()
        super().close()


def _seconds() -> float:
    text = os.environ.get(SECONDS_VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{SECONDS_VARIABLE} is {text!r}; give a number of seconds, 0 or more")
    return seconds
