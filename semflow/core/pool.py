"""Pixel work on many cores or nodes: Dask workers, here or behind a scheduler's address."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar

import dask
from distributed import Client, KilledWorker, LocalCluster, Worker, as_completed

from semflow.core.errors import UserError
from semflow.core.progress import progress_bar
from semflow.core.run_certificate import run_security
from semflow.core.steady_clock import keep_dask_steady

WORKERS_VARIABLE = "SEMFLOW_WORKERS"
SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"
TASKS_PER_THREAD = 2
"""Handed out at a time: one at work and one waiting."""
_SILENT = ("distributed", "tornado", "tornado.application", "asyncio")
"""Loggers. Workers that come and go are no news: what matters arrives as an error of a task."""
_LOCAL = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # In a worker's environment: its first lines come before it hears of anything else.
    "distributed.nanny.pre-spawn-environ.DASK_LOGGING": repr(dict.fromkeys(_SILENT, "critical")),
    # Imported by a worker before it begins, for `keep_dask_steady` and `dask_setup`.
    "distributed.worker.preload": [__name__],
}
"""Settings of a cluster on this machine."""

Task = TypeVar("Task")

keep_dask_steady()


def dask_setup(worker: Worker) -> None:
    """Keeps a local worker silent while it closes; Dask calls this in the worker's own process.

    One that is told to end while it begins closes twice at once, and finds its connections gone:
    the traceback of its process would stand around the one line that says why the run ends.
    """
    close = worker.close

    async def closed(*arguments: Any, **options: Any) -> Any:
        """As before, without what a closed connection raises."""
        with suppress(OSError, RuntimeError):
            return await close(*arguments, **options)

    worker.close = closed  # type: ignore[method-assign]


def run_all(
    function: Callable[[Task], object], tasks: Sequence[Task], stage: str, noun: str
) -> None:
    """Calls a function for every task, spread over workers, in no particular order.

    Workers are local processes, $SEMFLOW_WORKERS or as many as there are processors, which answer
    nobody but this run; or those of the scheduler at $DASK_SCHEDULER_ADDRESS, whose owner says who
    may speak to it. A worker that dies loses nothing: its task goes to another one.

    Args:
        function: leaves its result in a folder that all workers share; may run twice for a task.
        tasks: small values.
        stage: its name, for the progress line.
        noun: what a task makes, for the progress line.

    Raises:
        UserError: raised by the function, no scheduler answers, or workers keep dying.
    """
    if not tasks:
        return
    with _client() as client, progress_bar(len(tasks), stage, noun) as progress:
        waiting = iter(tasks)
        threads = max(1, sum(client.nthreads().values()))
        first = islice(waiting, TASKS_PER_THREAD * threads)
        running = as_completed([client.submit(function, task, pure=False) for task in first])
        for future in running:
            try:
                future.result()
            except KilledWorker:
                raise UserError(
                    f"{stage}: workers die one after another, perhaps of lack of memory; "
                    f"set {WORKERS_VARIABLE} to a smaller number and run again"
                ) from None
            progress.update()
            for task in islice(waiting, 1):
                running.add(client.submit(function, task, pure=False))


@contextmanager
def _client() -> Iterator[Client]:
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if address := os.environ.get(SCHEDULER_VARIABLE):
        with _remote_client(address) as client:
            yield client
        return
    with _local_cluster(_worker_count()) as cluster, Client(cluster) as client:
        yield client


def _remote_client(address: str) -> Client:
    try:
        return Client(address)
    except (OSError, ValueError):
        raise UserError(
            f"no Dask scheduler answers at {address}; start one, or unset {SCHEDULER_VARIABLE} "
            "for local processes"
        ) from None


@contextmanager
def _local_cluster(workers: int) -> Iterator[LocalCluster]:
    # Whoever speaks to a scheduler or a worker can run code as its owner, and every user of this
    # machine reaches 127.0.0.1: they take only peers with this run's certificate, which is on no
    # disk. Their web servers, which ask for none, serve nothing.
    with dask.config.set(_LOCAL):
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            security=run_security(),
            scheduler_kwargs={"dashboard": False},
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        )
        try:
            yield cluster
        finally:
            # A worker that is just begun again cannot be waited for, and Dask asserts that it can;
            # it ends by itself once this process does. Why the run ends must not be lost over it.
            with suppress(AssertionError):
                cluster.close()


def _worker_count() -> int:
    text = os.environ.get(WORKERS_VARIABLE) or str(os.cpu_count() or 1)
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{WORKERS_VARIABLE} is {text!r}; give the number of processes, 1 or more")
    return int(text)
