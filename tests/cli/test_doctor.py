from __future__ import annotations

import json
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from support.tiny import Command

from semflow.cli import health
from tools.closure import ROOT


@pytest.fixture
def project(workspace: Path) -> Path:
    """The repository's own params.yaml and weights; no data."""
    shutil.copy(ROOT / "params.yaml", workspace)
    (workspace / "pretrained").symlink_to(ROOT / "pretrained")
    return workspace


def lists(project: Path, names: str) -> None:
    """Other listed data sets in params.yaml."""
    text = (project / "params.yaml").read_text("utf-8")
    (project / "params.yaml").write_text(text.replace("[earth]", names), "utf-8")


def findings(said: dict[str, Any], dataset: str) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in said["datasets"][dataset]["findings"]}


@pytest.mark.usefixtures("project")
def test_a_fresh_clone_lacks_nothing_for_the_embedded_data_set(semflow_command: Command) -> None:
    result = semflow_command("doctor")
    assert (result.code, result.err) == (0, "")
    assert f"  torch: {version('torch')}\n" in result.out
    assert "\nearth\n  raw files: not fetched yet; run: dvc repro report@earth\n" in result.out
    assert "  autoencoder: in pretrained/earth-autoencoder\n" in result.out
    assert (
        "\ncityscapes (not in datasets)\n  raw files: not there; data/raw/cityscapes/" in result.out
    )
    assert "MISSING" not in result.out


def test_a_listed_data_set_without_raw_files_is_exit_code_1_with_where_to_get_them(
    semflow_command: Command, project: Path
) -> None:
    lists(project, "[celebamask_hq]")
    result = semflow_command("doctor")
    assert (result.code, result.err) == (1, "")
    assert "  raw files: MISSING not there; data/raw/celebamask_hq/CelebA-HQ-img is" in result.out
    assert "get CelebAMask-HQ.zip from github.com/switchablenorms/CelebAMask-HQ" in result.out


def test_weights_that_a_block_names_and_that_are_gone_are_missing(
    semflow_command: Command, project: Path
) -> None:
    (project / "pretrained").unlink()
    result = semflow_command("doctor", "--json")
    said = json.loads(result.out)
    assert (result.code, said["complete"]) == (1, False)
    assert findings(said, "earth")["autoencoder"]["missing"]
    assert "pretrained/earth-autoencoder" in findings(said, "earth")["autoencoder"]["cure"]


def test_json_says_what_stages_have_made(semflow_command: Command, project: Path) -> None:
    (project / "models/earth/pipeline").mkdir(parents=True)
    (project / "models/earth/pipeline/model_index.json").write_text("{}", encoding="utf-8")
    result = semflow_command("doctor", "--json")
    said = json.loads(result.out)
    assert (result.code, said["complete"]) == (0, True)
    assert said["datasets"]["earth"]["listed"]
    assert findings(said, "earth")["checkpoint"]["state"] == "in models/earth/pipeline"
    assert findings(said, "earth")["shards"]["state"].startswith("not made yet; run: dvc repro")
    assert {one["what"] for one in said["packages"]} >= {"python", "torch", "dvc", "prefect"}
    assert "processor" in {one["what"] for one in said["devices"]}


@pytest.mark.usefixtures("project")
def test_a_package_that_is_not_installed_is_missing(
    semflow_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_of_dvc(name: str) -> str:
        if name == "dvc":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(health, "version", none_of_dvc)
    result = semflow_command("doctor")
    assert result.code == 1
    assert "  dvc: MISSING not installed; run: make setup\n" in result.out


@pytest.mark.usefixtures("workspace")
def test_outside_of_a_project_it_says_where_to_run(semflow_command: Command) -> None:
    result = semflow_command("doctor")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "run from the repository's root" in result.err
