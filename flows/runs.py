"""The two flows: train a data set, and evaluate it both ways.

Either builds whatever its last stage needs: DVC decides what has to run, and each stage is a task.

    prefect deployment run train-cityscapes
    prefect deployment run evaluate-earth --param revision=train-earth-1a2b3c4d
    prefect deployment run train-earth --param recipe=smoke --param 'overrides={"train.seed": 1}'
"""

from __future__ import annotations

import logging
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.artifacts import key_of
from flows.output import StageFailed, StageInterrupted
from flows.parameters import Overrides, edited_params, with_dataset
from flows.road import build, reproduce
from flows.workspace import commit_of, git, repository_root, uncommitted, workspace
from semflow.core.errors import UserError
from semflow.core.files import write_text
from semflow.schema import PARAMS_FILE


@flow(name="train", flow_run_name="train-{dataset}", persist_result=False)
def train(
    dataset: str,
    overrides: dict[str, Any] | None = None,
    recipe: str | None = None,
    revision: str | None = None,
) -> State[None]:
    """From raw data to a checkpoint.

    Args:
        dataset: a block of params.yaml, for instance "celebamask_hq".
        overrides: values of that block, by dotted key or nested.
        recipe: a name below `recipes` in params.yaml, applied before the overrides.
        revision: the commit to work at; without recipe and overrides, its checkpoint is reproduced.
            None: HEAD.
    """
    return _carried_out("train", dataset, overrides or {}, recipe, revision)


@flow(name="evaluate", flow_run_name="evaluate-{dataset}", persist_result=False)
def evaluate(
    dataset: str,
    overrides: dict[str, Any] | None = None,
    recipe: str | None = None,
    revision: str | None = None,
) -> State[None]:
    """From a checkpoint, trained if need be, to metrics of both directions and the report.

    Args:
        dataset: as for `train`; so are the others.
        overrides: likewise.
        recipe: likewise.
        revision: likewise.
    """
    return _carried_out("evaluate", dataset, overrides or {}, recipe, revision)


def _carried_out(
    name: str, dataset: str, overrides: Overrides, recipe: str | None, revision: str | None
) -> State[None]:
    """A failure is a state and one line, not a traceback."""
    _keep_logs_free_of_tracebacks()
    try:
        repository = repository_root()
        commit = commit_of(repository, revision)
        if revision is None and uncommitted(repository):
            get_run_logger().warning("a run takes HEAD: what is not committed is not part of it")
        # Refused before anything is made or run.
        params = git(repository, "show", f"{commit}:{PARAMS_FILE}") + "\n"
        past = revision is not None and recipe is None and not overrides
        if past:
            params = with_dataset(params, dataset)
        else:
            params = edited_params(params, dataset, recipe, overrides)
        run = key_of(name, dataset, str(flow_run.id)[:8])
        with workspace(repository, run, commit) as found:
            write_text(found.folder / PARAMS_FILE, params)
            said = (reproduce if past else build)(found, name, dataset)
    except (UserError, StageFailed, StageInterrupted) as error:
        get_run_logger().error("error: %s", error)
        return Failed(message=str(error))
    return Completed(message=said)


def _keep_logs_free_of_tracebacks() -> None:
    """Prefect logs where a flow's failed state was read, which says nothing about the failure."""
    for name in ("prefect.flow_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(_says_more)


def _says_more(log_record: logging.LogRecord) -> bool:
    return not (log_record.exc_info and isinstance(log_record.exc_info[1], FailedRun))
