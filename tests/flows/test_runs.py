"""Real flow runs, through a real server, over a project of small stages."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from support.flows_project import LOCK, LOCKED_MD5, sh, state_of

import flows.stage
from flows.artifacts import prose
from flows.runs import evaluate, train

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (flows.stage.run_stage, flows.stage.push, flows.stage.pull):
        monkeypatch.setattr(task, "retry_delay_seconds", [0.1])


def client() -> SyncPrefectClient:
    return get_client(sync_client=True)


def ran(project: Path) -> list[str]:
    path = project / ".scratch" / "ran"
    return path.read_text("utf-8").split() if path.exists() else []


def checkpoint_note(project: Path, commit: str) -> dict[str, object]:
    message = sh(project, "git", "log", "-1", "--format=%B", commit)
    line = next(line for line in message.splitlines() if line.startswith("Checkpoint: "))
    found: dict[str, object] = json.loads(line.removeprefix("Checkpoint: "))
    return found


def commit_made_elsewhere(project: Path) -> str:
    """A commit that a flow on another processor could have made; nothing holds its checkpoint."""
    note = {"md5": LOCKED_MD5, "weights": {}, "versions": {}, "hardware": {"cpu": "abacus"}}
    metrics = {"segmentation": {"miou": 0.625, "pixel_accuracy": 0.75}}
    (project / "dvc.lock").write_text(LOCK, encoding="utf-8")
    (project / "reports" / "earth").mkdir(parents=True)
    (project / "reports" / "earth" / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    sh(project, "git", "add", "dvc.lock", "reports")
    sh(project, "git", "commit", "-q", "-m", f"evaluate earth\n\nCheckpoint: {json.dumps(note)}")
    return sh(project, "git", "rev-parse", "HEAD")


def artifacts_of(run: str) -> dict[str | None, str]:
    with client() as api:
        return {one.key: str(one.data) for one in api.read_artifacts() if one.description == run}


def tagged_tasks(run: State, tag: str, count: int) -> list[str]:
    """Names of a run's tasks with a tag, once the server has noted as many tasks as there are."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.state_details.flow_run_id]))
    with client() as api:
        while len(tasks := api.read_task_runs(flow_run_filter=of_run)) < count:
            time.sleep(0.1)
    return [task.name for task in tasks if tag in task.tags]


def only_run(project: Path) -> str:
    return sh(project, "git", "for-each-ref", "--format=%(refname:short)", "refs/heads/runs")


def test_a_run_is_recorded_on_a_branch_of_its_own_and_reproduced_from_the_cache(
    project: Path,
) -> None:
    before = state_of(project)
    state = evaluate("earth", {"train.steps": 7}, return_state=True)
    assert state.is_completed(), state.message
    assert ran(project) == ["index", "train", "evaluate", "report"]
    assert state_of(project) == before
    # One of the four stages asks for an accelerator; the tag's limit holds it back.
    assert tagged_tasks(state, "gpu", 4) == ["train@earth"]

    branch = only_run(project)
    tag = branch.removeprefix("runs/")
    assert sh(project, "git", "rev-parse", f"{tag}^{{commit}}", branch).split()[0] == sh(
        project, "git", "rev-parse", branch
    )
    assert sh(project, "git", "rev-parse", f"{branch}^") == before["commit"]
    changed = sh(project, "git", "diff", "--name-only", "main", branch).split()
    assert changed == ["dvc.lock", "params.yaml", "reports/earth/metrics.json"]
    assert (project / "logs" / "runs" / tag / "report.html").read_text("utf-8") == "<html>"

    artifacts = artifacts_of(tag)
    assert "segmentation.miou" in artifacts["earth-metrics"]
    assert branch in artifacts["earth-run"]
    # The report by a link of its own, by its path in the summary, and out of the cache.
    kept = (project / "logs" / "runs" / tag / "report.html").resolve()
    assert artifacts["earth-report"] == f"[{kept.as_uri()}]({kept.as_uri()})"
    fetch = f"dvc get . reports/earth/index.html --rev {tag} --out report.html"
    assert f"- report: `{kept}`; from the cache: `{fetch}`" in artifacts["earth-run"]
    sh(project, sys.executable, "-m", *fetch.replace("report.html", "../report.html").split())
    assert (project.parent / "report.html").read_text("utf-8") == "<html>"

    again = train("earth", revision=tag, return_state=True)
    assert again.is_completed()
    assert "from the cache" in str(again.message)
    assert "the same bytes as the commit's" in str(again.message)
    assert ran(project) == ["index", "train", "evaluate", "report"]


@pytest.mark.usefixtures("bucket")
def test_a_commit_comes_back_from_s3_alone(project: Path) -> None:
    sh(project, "git", "commit", "--quiet", "--all", "-m", "a remote")
    assert train("earth", {"train.steps": 8}, return_state=True).is_completed()
    tag = only_run(project).removeprefix("runs/")
    sh(project, "rm", "-rf", ".dvc/cache")
    again = train("earth", revision=tag, return_state=True)
    assert "from the remote; the same bytes" in str(again.message), again.message
    assert ran(project) == ["index", "train"]


def test_a_commit_comes_back_from_nothing_but_its_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("earth", {"train.steps": 8}, return_state=True).is_completed()
    tag = only_run(project).removeprefix("runs/")
    assert sh(project, "git", "tag", "--list", "earth@*") == "earth@v0.0.1"
    sh(project, sys.executable, "-m", "dvc", "artifacts", "get", ".", "earth", "-o", "../got")
    assert (project.parent / "got" / "unet" / "x.safetensors").read_text("utf-8") == "train 8"
    clone = project.parent / "clone"
    sh(project.parent, "git", "clone", "--quiet", "project", "clone")
    (clone / "data" / "raw").mkdir(parents=True)
    (project / "data" / "raw" / "earth").rename(clone / "data" / "raw" / "earth")
    sh(project, "rm", "-rf", ".dvc/cache")
    monkeypatch.chdir(clone)
    again = train("earth", revision=tag, return_state=True)
    assert "ran: index, train" in str(again.message), again.message
    assert "the same bytes as the commit's" in str(again.message)
    assert ran(clone) == ["index", "train"]


@pytest.mark.usefixtures("bucket")
def test_a_remote_that_cannot_be_asked_is_no_reason_to_train_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    commit_made_elsewhere(project)
    state = train("earth", revision="HEAD", return_state=True)
    assert state.is_failed()
    assert str(state.message).startswith("pull: ")
    assert "\n" not in str(state.message)
    assert ran(project) == []


def test_a_commit_made_elsewhere_is_retrained_and_its_metrics_are_compared(project: Path) -> None:
    commit = commit_made_elsewhere(project)
    state = evaluate("earth", revision=commit, return_state=True)
    assert state.is_completed(), state.message
    assert ran(project) == ["index", "train", "evaluate", "report"]
    assert "made elsewhere (cpu None, there abacus)" in str(state.message)
    said = "largest difference: segmentation.miou 0.625 there, 0.5 here"
    assert str(state.message).endswith(said)
    artifacts = artifacts_of(only_run(project).removeprefix("runs/"))
    rows = json.loads(artifacts["earth-comparison"])
    assert rows == [
        {"metric": "segmentation.miou", "commit": 0.625, "here": 0.5, "difference": -0.125},
        {
            "metric": "segmentation.pixel_accuracy",
            "commit": 0.75,
            "here": None,
            "difference": None,
        },
    ]
    assert prose(said) in artifacts["earth-run"]
    assert sh(project, "git", "tag", "--list", "earth@*") == ""


def test_what_cannot_be_is_refused_before_anything_runs(project: Path) -> None:
    before = state_of(project)
    for state in (
        train("earth", {"train.stps": 7}, return_state=True),
        train("earth", recipe="quick", return_state=True),
        train("earth", recipe="--all", return_state=True),
        train("mars", return_state=True),
        train("earth", revision="v9", return_state=True),
        train("earth", revision="--all", return_state=True),
        train("cityscapes", return_state=True),
    ):
        assert isinstance(state, State)
        assert state.is_failed()
        assert "\n" not in str(state.message)
    assert "data/raw/cityscapes/" in str(state.message)
    assert ran(project) == []
    assert not (project / ".scratch" / "runs").exists() or not any(
        path.is_dir() for path in (project / ".scratch" / "runs").iterdir()
    )
    assert state_of(project) == before


def test_a_mistake_ends_the_run_at_once_with_its_own_line(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = train("earth", {"train.steps": 2}, return_state=True)
    assert state.is_failed()
    assert state.message == "train@earth: no such luck"
    assert ran(project) == ["index", "train"]
    assert only_run(project) == ""
    assert "Traceback" not in caplog.text


def test_another_run_at_work_on_the_same_is_waited_for_without_a_failure(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.stage, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(flows.stage.run_stage, "retries", 0)
    state = train("earth", {"train.steps": 4}, return_state=True)
    assert state.is_completed(), state.message
    assert ran(project) == ["index", "train", "train"]

    assert train("earth", {"train.steps": 4}, return_state=True).is_completed()
    assert ran(project) == ["index", "train", "train"]
    # The same bytes are no new version.
    assert sh(project, "git", "tag", "--list", "earth@*") == "earth@v0.0.1"


def test_a_killed_stage_is_tried_again(project: Path) -> None:
    state = train("earth", {"train.steps": 3}, return_state=True)
    assert state.is_completed(), state.message
    assert ran(project) == ["index", "train", "train"]
    assert checkpoint_note(project, only_run(project))["weights"]
