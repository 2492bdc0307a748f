from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from report.page_reader import Reader, as_number

from semflow.cli.report import report
from semflow.core.errors import UserError
from semflow.core.files import write_json
from semflow.evaluation.results import Metrics, read_metrics
from semflow.report.comparison import differences, find_metrics, render_comparison
from tools.closure import ROOT

RESULTS = ROOT / "study/results"


@pytest.fixture(scope="module")
def measured() -> dict[str, Metrics]:
    """Two systems that go both ways, and one that segments alone."""
    names = ("robots-semflow-0", "robots-faithful", "robots-dsm-0")
    return find_metrics([RESULTS / name for name in names])


def test_runs_are_named_by_their_folders_whether_a_file_or_a_folder_is_given() -> None:
    found = find_metrics([RESULTS / "robots-faithful", RESULTS / "robots-dsm-0/metrics.json"])
    assert list(found) == ["robots-faithful", "robots-dsm-0"]
    assert found["robots-dsm-0"] == read_metrics(RESULTS / "robots-dsm-0/metrics.json")


def test_two_runs_of_one_name_are_refused(tmp_path: Path, measured: dict[str, Metrics]) -> None:
    folder = tmp_path / "robots-dsm-0"
    write_json(folder / "metrics.json", measured["robots-dsm-0"].model_dump(mode="json"))
    with pytest.raises(UserError, match="two runs are named robots-dsm-0"):
        find_metrics([folder, RESULTS / "robots-dsm-0"])


def test_a_run_whose_folder_has_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"run\xff")
    shutil.copytree(RESULTS / "robots-dsm-0", odd)
    page = render_comparison(find_metrics([RESULTS / "robots-faithful", odd]))
    assert r"run\udcff" in page.encode().decode()


@pytest.mark.parametrize("run", ["one", "one/metrics.json"])
def test_no_page_is_written_over_a_run(run: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        shutil.copytree(RESULTS / "robots-dsm-0", tmp_path / name)
    with pytest.raises(UserError, match=r"metrics\.json is one of the runs; name another file"):
        report([tmp_path / run, tmp_path / "other"], tmp_path / "other/../one/metrics.json")
    read_metrics(tmp_path / "one/metrics.json")


def test_every_step_of_every_run_has_its_row_with_its_figures(measured: dict[str, Metrics]) -> None:
    page = Reader(render_comparison(measured))
    rows = {
        (kind, row[0], int(row[1])): [as_number(cell.split()[0]) for cell in row[2:]]
        for kind in ("Segmentation", "Synthesis")
        for row in page.table(kind).rows
    }
    for name, metrics in measured.items():
        assert metrics.segmentation is not None
        for steps, figures in metrics.segmentation.by_steps.items():
            assert figures.miou is not None
            assert rows["Segmentation", name, steps][0] == pytest.approx(
                100 * figures.miou, abs=0.051
            )
    synthesis = measured["robots-faithful"].synthesis
    assert synthesis is not None
    for steps, made in synthesis.by_steps.items():
        assert rows["Synthesis", "robots-faithful", steps][0] == pytest.approx(
            made.fd_mobilenetv2, rel=1e-3
        )
    assert ("Synthesis", "robots-dsm-0", 1) not in rows


def test_systems_that_go_one_way_are_no_difference_and_other_samples_are(
    measured: dict[str, Metrics],
) -> None:
    assert differences(measured) == []
    fewer = measured["robots-faithful"].model_dump()
    fewer["segmentation"]["samples"], fewer["split"] = 96, "val"
    told = differences({"a": measured["robots-faithful"], "b": Metrics.model_validate(fewer)})
    assert told == [
        "Not the same split: a: test; b: val.",
        "Not the same number of segmented images: a: 256; b: 96.",
    ]


def test_the_page_needs_nothing_beside_itself_and_says_its_charts_in_words(
    measured: dict[str, Metrics],
) -> None:
    page = render_comparison(measured)
    assert page == render_comparison(measured)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "mIoU by network evaluations, %, by network evaluations. robots-semflow-0: 77.8" in page


def test_what_solves_nothing_is_a_level_once_where_runs_agree_and_by_run_where_they_do_not(
    measured: dict[str, Metrics],
) -> None:
    def changed(unet: float, floor: float) -> Metrics:
        """A run whose U-Net and floor are these, beside a painter with a round trip of 0.5."""
        value = measured["robots-faithful"].model_dump()
        value["baselines"]["unet"]["miou"] = unet
        value["synthesis"]["floor_fd_mobilenetv2"] = floor
        value["systems"]["painter"]["synthesis"]["mean"]["roundtrip_miou_unet"] = 0.5
        return Metrics.model_validate(value)

    reader = Reader(render_comparison({"a": changed(0.75, 10.0), "b": changed(0.25, 10.0)}))
    mious, distances, trips = [
        attrs["aria-label"] or "" for tag, attrs in reader.tags if tag == "svg" and "role" in attrs
    ]
    assert "; U-Net of a: 75.0; U-Net of b: 25.0; " in mious
    assert "; Floor: real images: 10; Painter: " in distances
    assert "; Painter: 50.0." in trips
