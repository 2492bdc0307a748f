"""Dask's time by a clock that nobody sets.

Dask and tornado take their deadlines from `time.time`. A clock that is set while they work (by a
time server, or when a machine wakes) makes them give up what has just begun, or wait for as long
as it was set back.
"""

from __future__ import annotations

import sys
import time

import distributed
from tornado.ioloop import IOLoop


def keep_dask_steady() -> None:
    """Makes Dask and tornado measure this process's time by `time.monotonic`.

    To be called before a client, scheduler or worker begins: a deadline of the one clock means
    nothing to the other. What processes of a machine tell each other stays comparable, since they
    share that clock; a scheduler on another machine compares a client's time with nothing.
    """
    settable = distributed.metrics.time
    for name, module in list(sys.modules.items()):
        if name.startswith("distributed.") and vars(module).get("time") is settable:
            vars(module)["time"] = time.monotonic
    # As tornado's documentation of IOLoop.time allows.
    vars(distributed.metrics)["time"] = time.monotonic
    IOLoop.time = _monotonic  # type: ignore[method-assign, assignment]


def _monotonic(_loop: IOLoop) -> float:
    return time.monotonic()
