"""How DVC's exceptions and a stage's outcome are told from each other, without a word of theirs."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from dvc.exceptions import CheckoutError, DownloadError, ReproductionError, UploadError
from dvc.lock import LockError
from dvc.stage.exceptions import StageCmdFailedError

from flows.dvc_stage import Result, result_of
from flows.stage import (
    StageBusy,
    StageFailed,
    StageInterrupted,
    StageMissing,
    _checked,
    stage_environment,
)
from semflow.core.outcomes import Outcome, write_outcome

SLOW_DOWN = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
DENIED = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "swallowed", "how"),
    [
        (LockError("x"), [], "interrupted"),
        (caused(ReproductionError("x"), LockError("y")), [], "interrupted"),
        (UploadError(2), [EndpointConnectionError(endpoint_url="x")], "interrupted"),
        (UploadError(2), [ClientError(SLOW_DOWN, "PutObject")], "interrupted"),
        (UploadError(2), [ClientError(DENIED, "PutObject")], "failed"),
        (DownloadError(1), [OSError(errno.EIO, "x")], "interrupted"),
        (DownloadError(1), [NoCredentialsError()], "failed"),
        (DownloadError(1), [FileNotFoundError("x")], "missing"),
        (CheckoutError(["x"], {}), [], "missing"),
        (CheckoutError(["x"], {}), [PermissionError("x")], "failed"),
        (ConnectionResetError("x"), [], "interrupted"),
        (OSError(errno.ENOSPC, "full"), [], "failed"),
        (ValueError("x"), [], "failed"),
    ],
)
def test_an_exception_of_dvc_is_known_by_its_type_and_what_led_to_it(
    tmp_path: Path, error: Exception, swallowed: list[BaseException], how: str
) -> None:
    result = result_of(error, swallowed, tmp_path)
    assert result.how == how
    assert result.said
    assert "\n" not in result.said


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome("mistake", "no such luck"), Result("failed", "no such luck")),
        (Outcome("mistake", "no answer", passing=True), Result("interrupted", "no answer")),
        (Outcome("busy", "at work"), Result("busy", "at work")),
        (Outcome("running"), Result("interrupted", "ended by a signal")),
        (Outcome("terminated"), Result("interrupted", "ended by a signal")),
        (Outcome("failed", "ValueError: x"), Result("failed", "ValueError: x")),
        (Outcome("failed", "OSError: x", passing=True), Result("interrupted", "OSError: x")),
        (None, Result("failed", "its command ended before the stage began; the log says why")),
    ],
)
def test_a_failed_stage_is_what_its_own_outcome_says(
    tmp_path: Path, outcome: Outcome | None, result: Result
) -> None:
    if outcome is not None:
        write_outcome(tmp_path / "rank-0.json", outcome)
    error = caused(ReproductionError("x"), StageCmdFailedError("python", 1))
    # What DVC could not fetch before it ran the stage has nothing to do with that.
    assert result_of(error, [ConnectionResetError("x")], tmp_path) == result


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("busy", StageBusy),
        ("interrupted", StageInterrupted),
        ("missing", StageMissing),
        ("failed", StageFailed),
    ],
)
def test_a_task_raises_what_the_result_says(
    tmp_path: Path, how: str, kind: type[Exception]
) -> None:
    result = tmp_path / "result"
    result.write_text(json.dumps({"how": how, "said": "why"}), encoding="utf-8")
    with pytest.raises(kind, match=r"^train@earth: why$") as raised:
        _checked("train@earth", result, 1)
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("code", "kind"), [(-9, StageInterrupted), (143, StageInterrupted), (1, StageFailed)]
)
def test_without_a_result_the_exit_code_has_to_do(
    tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        _checked("train@earth", tmp_path / "result", code)


def test_the_guard_goes_before_the_users_launcher() -> None:
    found = stage_environment({"SEMFLOW_LAUNCH": "nice -n 1", "PATH": "/bin"}, "/s", "/o")
    assert found["SEMFLOW_LAUNCH"].endswith(" -P -m flows.guard nice -n 1")
    assert (found["SEMFLOW_SCRATCH"], found["SEMFLOW_OUTCOME"]) == ("/s", "/o")
    assert found["PATH"].endswith(":/bin")
    assert "SEMFLOW_SCRATCH" not in stage_environment({}, "", "/o")
