"""The two flows: train a data set, and evaluate it both ways.

Either builds whatever its last stage needs: DVC decides what has to run, and each stage is a task.

    prefect deployment run train-cityscapes
    prefect deployment run evaluate-earth --param revision=train-earth-1a2b3c4d
    prefect deployment run train-earth --param recipe=smoke --param 'overrides={"train.seed": 1}'
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows.artifacts import (
    code,
    key_of,
    prose,
    show_comparison,
    show_metrics,
    show_report,
    show_samples,
    show_summary,
)
from flows.graph import Stage, stages_for
from flows.parameters import Overrides, edited_params, recipe_at, with_dataset
from flows.record import noted_checkpoint, read_checkpoint, record, register
from flows.reproduce import (
    comparison,
    largest_difference,
    locked_md5,
    metric_paths,
    metrics_at,
    metrics_here,
    restore,
    side_by_side,
)
from flows.stage import GPU_TAG, StageFailed, StageInterrupted, push, run_stage
from flows.workspace import (
    Workspace,
    commit_of,
    git,
    has_remote,
    link_raw_data,
    repository_root,
    scratch_root,
    uncommitted,
    workspace,
)
from semflow.core.errors import UserError
from semflow.core.files import read_json, write_text
from semflow.core.terminal import printable
from semflow.datasets.readers import open_reader
from semflow.params.reading import PARAMS_FILE
from semflow.schema import read_params

TRAIN = "train"
TARGETS = {"train": TRAIN, "evaluate": "report"}
"""The last stage of each flow."""


@flow(name="train", flow_run_name="train-{dataset}", persist_result=False)
def train(
    dataset: str,
    overrides: dict[str, Any] | None = None,
    recipe: str | None = None,
    revision: str | None = None,
) -> State[None]:
    """From raw data to a checkpoint.

    Args:
        dataset: A block of params.yaml, for instance "celebamask_hq".
        overrides: Values of that block, by dotted key or nested.
        recipe: Name of a file in the commit's recipes/, applied before the overrides.
        revision: The commit to work at; without recipe and overrides, its checkpoint is reproduced.
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
        dataset: As for `train`; so are the others.
        overrides: Likewise.
        recipe: Likewise.
        revision: Likewise.
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
            values = recipe_at(repository, commit, recipe, dataset) if recipe is not None else None
            params = edited_params(params, dataset, values, overrides)
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


def build(found: Workspace, flow: str, dataset: str) -> str:
    """Brings a flow's stages up to date and records what came of it.

    Args:
        found: A workspace whose params.yaml says what is wanted.
        flow: A key of TARGETS.
        dataset: Listed in that params.yaml.

    Returns:
        What happened, in a line.

    Raises:
        UserError: Raw data is missing.
        StageFailed: Likewise StageInterrupted, after retries.
    """
    stages = stages_for(TARGETS[flow], dataset, found.folder)
    said = run_stages(found, stages, dataset)
    return _keep(found, flow, dataset, stages, [said], key_of(dataset) if flow == TRAIN else None)


def reproduce(found: Workspace, flow: str, dataset: str) -> str:
    """Brings back what a commit holds: from the cache, the remote, or by running its stages.

    Args:
        found: A workspace at that commit, its parameters unchanged.
        flow: As for `build`.
        dataset: Likewise.

    Returns:
        Where it came from, and whether it has the commit's bytes.

    Raises:
        UserError: Raw data is missing.
        StageFailed: Also if the bytes differ where hardware and versions are the commit's.
    """
    stages = stages_for(TARGETS[flow], dataset, found.folder)
    train = _training(stages)
    md5 = locked_md5(found.folder, train.address, train.outs[0])
    source = restore(found, list(dict.fromkeys([train, stages[-1]])))
    said = [f"from {source}"] if source else [run_stages(found, stages, dataset)]
    made = read_checkpoint(found.folder / train.outs[0])
    good, compared = comparison(made, md5, noted_checkpoint(found.repository, found.commit))
    said.append(compared)
    if made.md5 != md5:
        said.append(compare_metrics(found, dataset, stages))
    # What comes back is no new version of the model.
    line = _keep(found, flow, dataset, stages, said, None)
    if not good:
        raise StageFailed(line)
    return line


def compare_metrics(found: Workspace, dataset: str, stages: Sequence[Stage]) -> str:
    """Shows the commit's metrics beside those of the workspace.

    Args:
        found: A workspace whose stages are up to date.
        dataset: That they are of.
        stages: Of the flow.

    Returns:
        How far they differ; where none of the stages measures, how to compare them.
    """
    paths = metric_paths(stages)
    if not paths:
        again = f"evaluate-{key_of(dataset)} --param revision={found.commit}"
        return f"compare metrics by: prefect deployment run {again}"
    there = metrics_at(found.repository, found.commit, paths)
    rows = side_by_side(there, metrics_here(found.folder, paths))
    show_comparison(found.name, dataset, [asdict(row) for row in rows])
    return largest_difference(rows)


def run_stages(found: Workspace, stages: Sequence[Stage], dataset: str) -> str:
    """Each stage as a task, in order.

    Returns:
        The stages that had to run, in a line.

    Raises:
        UserError: Raw data is missing: which, where to get it and where it goes.
        StageFailed: Likewise StageInterrupted, after retries.
    """
    missing = link_raw_data(found, stages)
    if missing:
        open_reader(missing[0], read_params(found.folder / PARAMS_FILE).dataset(dataset).index)
        raise UserError(f"{missing[0]} is missing; no stage makes it and git does not hold it")
    scratch, pull = str(scratch_root(found.repository)), has_remote(found.folder)
    happened: dict[str, list[str]] = {}
    for stage in stages:
        one = run_stage.with_options(tags={GPU_TAG} if stage.gpu else set())
        what = one(stage.address, str(found.folder), scratch, pull)
        happened.setdefault(what, []).append(stage.name)
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in happened.items())


def _training(stages: Sequence[Stage]) -> Stage:
    return next(stage for stage in stages if stage.name == TRAIN)


def _keep(
    found: Workspace,
    flow: str,
    dataset: str,
    stages: Sequence[Stage],
    said: list[str],
    model: str | None,
) -> str:
    """Pushes, commits, registers as a model's version, and shows it; returns what was said."""
    title = f"{flow} {dataset}: {'; '.join(said)}"
    made = read_checkpoint(found.folder / _training(stages).outs[0])
    pushed = "no DVC remote is set"
    if has_remote(found.folder):
        # Before the commit, which promises what it names.
        push([stage.address for stage in stages], str(found.folder))
        pushed = "outputs pushed to the DVC remote"
    commit, branch = record(found, f"{flow} {dataset}", stages, made)
    version = register(found, model, commit, made) if model else None
    report = _kept_report(found, stages)
    lines = [
        f"commit {code(commit)} on branch {code(branch)}, tag {code(found.name)}; {pushed}",
        f"checkpoint md5 {code(made.md5)}"
        + (f", registered as {code(version)}" if version else ""),
        *(f"{code(name)} sha256 {code(digest)}" for name, digest in made.weights.items()),
        f"curves and samples: {code(str(found.logs))}",
        *([_where(report, stages[-1].outs[0], found.name)] if report else []),
    ]
    for line in [*map(printable, said), *lines]:
        get_run_logger().info(line)
    show_summary(found.name, dataset, [*map(prose, said), *lines])
    show_samples(found.name, found.logs, dataset)
    if report:
        show_report(found.name, dataset, report)
    metrics = found.folder / "reports" / dataset / "metrics.json"
    if flow == "evaluate":
        show_metrics(found.name, dataset, read_json(metrics))
    return title


def _where(report: Path, out: str, tag: str) -> str:
    """Where this machine has a run's report, and how any other gets it."""
    fetch = f"dvc get . {out} --rev {tag} --out report.html"
    return f"report: {code(str(report))}; from the cache: {code(fetch)}"


def _kept_report(found: Workspace, stages: Sequence[Stage]) -> Path | None:
    """A copy of the report that stays when the workspace goes."""
    page = found.folder / stages[-1].outs[0]
    if page.suffix != ".html":
        return None
    return Path(shutil.copyfile(page, found.logs / "report.html"))
