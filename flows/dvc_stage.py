"""One command of DVC, in a process of its own, and how it ended as a JSON file.

    python -P -m flows.dvc_stage REQUEST RESULT

REQUEST is JSON: {"action": ..., "targets": [...], "pull": true or false}. What DVC and the stage
print is for the log; what happened is told by exception types and by the outcome that the stage has
left in the folder that SEMFLOW_OUTCOME names.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dvc.exceptions import CheckoutError, DvcException, FileTransferError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.stage.exceptions import StageCmdFailedError
from dvc.ui import ui
from dvc_objects.fs.errors import AuthError, ConfigError

from semflow.core.files import write_json
from semflow.core.outcomes import BUSY, EXIT_CODES, FAILED, KILLED, OUTCOME_VARIABLE, read_outcome
from semflow.core.passing import is_passing

How = Literal["done", "busy", "interrupted", "missing", "failed"]
RAN, RESTORED, UNCHANGED = "ran", "restored from the cache", "unchanged"


@dataclass(frozen=True)
class Result:
    """How the command ended.

    Args:
        how: "missing" where neither the cache nor a remote that answers has what is asked for.
        said: After "done", what was to be done; else one line that says what is wrong.
    """

    how: How
    said: str


class _Swallowed(logging.Handler):
    """Keeps the exceptions that DVC logs and goes on after, to count them in the end."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Takes the exception of a record, if it has one."""
        if record.exc_info and record.exc_info[1]:
            self.errors.append(record.exc_info[1])


def main() -> int:
    """Carries the request out; returns 0 if it ended well."""
    request, result = json.loads(sys.argv[1]), Path(sys.argv[2])
    swallowed = _Swallowed()
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).addHandler(swallowed)
    ui.enable()
    try:
        end = Result("done", _carried_out(request["action"], request["targets"], request["pull"]))
    except Exception as error:
        end = result_of(error, swallowed.errors, _outcome_folder())
        if isinstance(error, (DvcException, AuthError, ConfigError)):
            logging.getLogger("dvc").error("", exc_info=error)
        else:
            traceback.print_exc()
    write_json(result, asdict(end))
    return EXIT_CODES["done" if end.how == "done" else FAILED]


def _carried_out(action: str, targets: Sequence[str], pull: bool) -> str:
    with Repo() as repo:
        # What DVC advises after every stage, a flow does at its end.
        repo.scm_context.quiet = True
        if action == "reproduce":
            changed = repo.reproduce(targets, single_item=True, pull=pull)
            if not changed:
                return UNCHANGED
            return RESTORED if read_outcome(_outcome_folder(), 0) is None else RAN
        if action == "push":
            repo.push(targets)
        elif action == "pull":
            repo.pull(targets)
        else:
            repo.checkout(targets)
        return action


def result_of(error: BaseException, swallowed: Sequence[BaseException], outcome: Path) -> Result:
    """What an exception of DVC stands for.

    Args:
        error: That has ended the command.
        swallowed: What DVC has logged and gone on after.
        outcome: Folder in which the stage's ranks have noted how they ended.
    """
    chain = list(_causes(error))
    if any(isinstance(one, StageCmdFailedError) for one in chain):
        return stage_result(outcome)
    errors = [error, *swallowed]
    if any(isinstance(one, LockError) for one in chain) or any(map(is_passing, errors)):
        return Result("interrupted", _said(error, swallowed))
    unreadable = [one for one in swallowed if not isinstance(one, FileNotFoundError)]
    if isinstance(error, (CheckoutError, FileTransferError)) and not unreadable:
        return Result("missing", _said(error, swallowed))
    return Result("failed", _said(error, swallowed))


def stage_result(folder: Path) -> Result:
    """What the outcome that a failed stage has left stands for."""
    outcome = read_outcome(folder, EXIT_CODES[KILLED])
    if outcome is None:
        return Result("failed", "its command ended before the stage began; the log says why")
    if outcome.state == BUSY:
        return Result("busy", outcome.said)
    if outcome.state in (KILLED, "terminated"):
        return Result("interrupted", "ended by a signal")
    return Result("interrupted" if outcome.passing else "failed", outcome.said)


def _outcome_folder() -> Path:
    return Path(os.environ[OUTCOME_VARIABLE])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _said(error: BaseException, swallowed: Sequence[BaseException]) -> str:
    """First lines of the error and of what led to it, the first that was swallowed at last."""
    first: list[Any] = [*_causes(error), *swallowed[:1]]
    lines = [next(iter(str(one).splitlines()), type(one).__name__) for one in first]
    return ": ".join(dict.fromkeys(lines))


if __name__ == "__main__":
    sys.exit(main())
