from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dask
import pytest
from cryptography import x509
from distributed import LocalCluster, get_worker

from semflow.core import pool, progress
from semflow.core.errors import UserError
from semflow.core.pool import SCHEDULER_VARIABLE, WORKERS_VARIABLE, run_all
from semflow.core.run_certificate import run_security

CLOCK_SET_BACK = """
import itertools, time

def set_back(clock, seconds):
    looks = itertools.count()
    # Right when a process starts, then behind by an hour more at every fiftieth look.
    return lambda: clock() - next(looks) // 50 * seconds

time.time = set_back(time.time, 3600)
"""
TOUCHES_ALL = """
import sys
from functools import partial
from pathlib import Path
from core.test_pool import touch
from semflow.core.pool import run_all

if __name__ == "__main__":
    run_all(partial(touch, Path(sys.argv[1])), range(20), "shards", "shards")
"""


def touch(folder: Path, number: int) -> None:
    (folder / str(number)).touch()


def refuse_five(folder: Path, number: int) -> None:
    if number == 5:
        raise UserError("five is no shard; give another")
    touch(folder, number)


def note_level(folder: Path) -> None:
    """The level below which this worker's own program says nothing."""
    level = logging.getLogger("distributed.worker").getEffectiveLevel()
    (folder / "level").write_text(str(level), "utf-8")


def exit_at_once(number: int) -> None:
    os._exit(number)


def knock(folder: Path) -> None:
    """From within a worker: who answers whom, of the scheduler, the worker and its keeper."""
    worker = get_worker()
    doors = {
        "scheduler": worker.scheduler.address,
        "worker": worker.address,
        "keeper": worker.nanny,
    }
    shown = {
        "nothing": ssl.create_default_context(),
        "another run's": run_security().get_connection_args("client")["ssl_context"],
        "this run's": worker.security.get_connection_args("client")["ssl_context"],
    }
    for context in shown.values():
        # They are not the ones to be picky here.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = {
        name: {"address": address} | {kind: answer(address, shown[kind]) for kind in shown}
        for name, address in doors.items()
    }
    page = worker.http_server.port
    with socket.create_connection(("127.0.0.1", page), timeout=120) as door:
        door.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        found["page"] = {"answer": door.recv(64).decode()}
    (folder / "doors.json").write_text(json.dumps(found), encoding="utf-8")


def answer(address: str, context: ssl.SSLContext) -> str:
    host, port = address.rpartition("/")[2].split(":")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=120) as plain,
            context.wrap_socket(plain) as door,
        ):
            # A Dask server speaks first, once it has accepted a peer.
            return "spoke" if door.recv(1) else "closed"
    except (ssl.SSLError, ConnectionError):
        return "closed"


def test_local_workers_answer_nobody_without_this_runs_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    run_all(knock, [tmp_path], "shards", "shards")
    doors = json.loads((tmp_path / "doors.json").read_text("utf-8"))
    assert " 404 " in doors.pop("page")["answer"]
    for door in doors.values():
        assert door.pop("address").startswith("tls://127.0.0.1:")
        assert door == {"nothing": "closed", "another run's": "closed", "this run's": "spoke"}


def test_a_runs_certificate_holds_whatever_a_clock_shows() -> None:
    shown = x509.load_pem_x509_certificate(str(run_security().tls_ca_file).encode())
    assert shown.not_valid_before_utc < datetime(1971, 1, 1, tzinfo=UTC)
    assert shown.not_valid_after_utc > datetime(9999, 1, 1, tzinfo=UTC)


def test_a_clock_that_is_set_back_neither_ends_nor_holds_up_local_workers(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK_SET_BACK, encoding="utf-8")
    (tmp_path / "touches_all.py").write_text(TOUCHES_ALL, encoding="utf-8")
    (tmp_path / "touched").mkdir()
    places = [str(tmp_path), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), WORKERS_VARIABLE: "1"}
    del environment[SCHEDULER_VARIABLE]
    command = [sys.executable, str(tmp_path / "touches_all.py"), str(tmp_path / "touched")]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert len(list((tmp_path / "touched").iterdir())) == 20


def test_every_task_runs_and_progress_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUICK", 0.0)
    run_all(partial(touch, tmp_path), range(37), "shards", "shards")
    assert {path.name for path in tmp_path.iterdir()} == {str(number) for number in range(37)}
    assert "shards: 100%, 37 of 37 shards" in capsys.readouterr().err


def test_an_error_of_a_task_arrives_as_it_was_raised(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        run_all(partial(refuse_five, tmp_path), range(8), "shards", "shards")
    assert str(refusal.value) == "five is no shard; give another"


def test_without_tasks_no_worker_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://127.0.0.1:9")
    run_all(exit_at_once, [], "shards", "shards")


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_number_of_workers_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, count: str
) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    monkeypatch.setenv(WORKERS_VARIABLE, count)
    with pytest.raises(UserError, match=f"SEMFLOW_WORKERS is '{count}'; give"):
        run_all(exit_at_once, [1], "shards", "shards")


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://127.0.0.1:9")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9; start"),
    ):
        run_all(exit_at_once, [1], "shards", "shards")


def test_a_local_worker_is_silent_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    run_all(note_level, [tmp_path], "shards", "shards")
    assert (tmp_path / "level").read_text("utf-8") == str(logging.CRITICAL)


def test_a_task_that_kills_every_worker_is_given_up_in_one_line_and_nothing_else_is_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    with pytest.raises(UserError, match=r"workers die .* smaller number") as refusal:
        run_all(exit_at_once, [1], "shards", "shards")
    assert "\n" not in str(refusal.value)
    lines = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert [line for line in lines if line and not line.startswith("shards: ")] == []


def test_a_worker_that_finds_its_connections_gone_closes_without_a_word() -> None:
    class Ending:
        async def close(self, reason: str) -> str:
            if reason == "gone":
                raise RuntimeError("ConnectionPool is closed")
            return reason

    worker = Ending()
    pool.dask_setup(worker)  # type: ignore[arg-type]
    assert asyncio.run(worker.close(reason="gone")) is None
    assert asyncio.run(worker.close(reason="done")) == "done"


def test_why_a_run_ends_is_said_even_where_a_worker_cannot_be_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE)
    monkeypatch.setenv(WORKERS_VARIABLE, "1")
    close = LocalCluster.close

    def refused(self: LocalCluster) -> None:
        close(self)
        raise AssertionError("can only join a started process")

    monkeypatch.setattr(LocalCluster, "close", refused)
    with pytest.raises(UserError, match="workers die"):
        run_all(exit_at_once, [1], "shards", "shards")
