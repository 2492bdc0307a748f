from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.tiny import TinyDataset

from bench.readme import (
    END,
    README,
    RESULTS,
    RUNS,
    SEEDS,
    START,
    TILES,
    Run,
    all_parts,
    few,
    main,
    with_figures,
)
from semflow.card.picture import held_out_picture
from semflow.core.files import read_json
from semflow.evaluation.results import Metrics, write_metrics
from semflow.pipeline import SemFlowPipeline
from semflow.schema import read_params
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from tools.closure import ROOT

ONE, TWO = (Run(name.upper(), name, Path("docs") / name, "blocks") for name in ("one", "two"))


def test_the_figures_of_both_pages_are_those_that_were_kept() -> None:
    kept = [read_json(ROOT / run.path.with_suffix(".json")) for run in RUNS]
    for path, shown in ((README, [few(RUNS, kept)]), (RESULTS, all_parts(RUNS, kept))):
        page = (ROOT / path).read_text("utf-8")
        assert with_figures(page, shown) == page


def test_the_readme_fits_a_screen_and_has_the_rows_that_the_flow_loses_to() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) <= 80
    robots = read_json(ROOT / RUNS[0].path.with_suffix(".json"))["metrics"]
    unet = robots["baselines"]["unet"]["miou"]
    assert unet > robots["segmentation"]["miou"]
    assert f"| discriminative U-Net, same size, same samples | {unet:.3f} |" in readme
    assert "| painter: each class in its mean colour |" in readme


def test_the_short_table_puts_runs_side_by_side_and_leaves_out_what_a_row_has_not(
    metrics: Metrics,
) -> None:
    values = metrics.model_dump(mode="json")
    values["baselines"]["unet"]["miou"] = 0.8764
    lines = few([ONE, TWO], [{"metrics": metrics.model_dump(mode="json")}, {"metrics": values}])
    table = lines.splitlines()
    assert table[0] == "| | ONE: mIoU | round trip | FD | TWO: mIoU | round trip | FD |"
    assert table[2] == "| SemFlow, 1 step | 0.438 |  |  | 0.438 |  |  |"
    assert table[-1] == "On test, 37 samples of ONE and 37 samples of TWO."


def test_a_table_has_a_row_for_every_sampler_system_and_baseline(metrics: Metrics) -> None:
    kept = {"samples_seen": 28_800, "metrics": metrics.model_dump(mode="json")}
    more = {**kept, "samples_seen": 160_000}
    shown = all_parts([ONE, TWO], [kept, more])
    text = with_figures(f"before\n{START}\nstale\n{END}\nafter", shown)
    assert text.startswith(f"before\n{START}\n\n## one\n\n![Eight held-out samples](one.png)")
    assert text.endswith(f"\n\n{END}\nafter")
    assert "stale" not in text
    assert text.index("28,800 training samples seen; oracle mIoU 0.938.") < text.index("## two")
    assert text.index("## two") < text.index("160,000 training samples seen; oracle mIoU 0.938.")
    lines = text.splitlines()
    at = lines.index("| segmentation | mIoU |")
    assert lines[at + 2 : at + 7] == [
        "| SemFlow, 1 step | 0.438 |",
        "| SemFlow, 2 steps | 0.438 |",
        "| SemFlow, 10 steps | 0.438 |",
        "| dsm, euler-25 | - |",
        "| discriminative U-Net, same size, same samples | 0.875 |",
    ]
    assert lines.count("| 2 steps | 0.312 | 21.5 |") == 2
    assert lines.count("| real images | 0.875 | 0.5 |") == 2
    assert "N = 37 against 41 real images." in text
    assert "Two seeds differ by 0.203 ST-LPIPS, real images of other labels by -." in text


def test_intervals_and_the_painter_are_written_where_a_run_has_them(metrics: Metrics) -> None:
    values = metrics.model_dump(mode="json")
    values["segmentation"]["by_steps"]["1"]["miou_interval"] = [0.41, 0.4562]
    values["synthesis"]["diversity_of_images"] = 0.4321
    made = values["synthesis"]["by_steps"]["2"]
    made |= {"roundtrip_miou_unet_interval": [0.3, 0.35], "fd_mobilenetv2_interval": [20, 25.04]}
    values["systems"]["painter"] = {"segmentation": {}, "synthesis": {"mean": made}}
    text = "\n".join(all_parts([ONE], [{"samples_seen": 1, "metrics": values}]))
    assert "| SemFlow, 1 step | 0.438 <sub>[0.410, 0.456]</sub> |" in text
    pair = "0.312 <sub>[0.300, 0.350]</sub> | 21.5 <sub>[20.0, 25.0]</sub>"
    assert f"| 2 steps | {pair} |" in text
    assert f"| painter: each class in its mean colour | {pair} |" in text
    assert "37 test samples in 4 blocks" in text
    assert "these blocks are drawn anew" in text
    assert "real images of other labels by 0.432." in text


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(SystemExit, match="once each"):
        with_figures("no markers", ["figures"])


def test_the_picture_has_a_column_a_tile_and_five_rows(
    dataset: TinyDataset, moving_pipeline: SemFlowPipeline
) -> None:
    val = ShardFolder(read_manifest(dataset.shards / "val"))
    grid = held_out_picture(moving_pipeline, val, TILES, SEEDS)
    assert grid.shape == (5 * 16 + 4 * 2, 3 * 16 + 2 * 2, 3)
    # The two seeds' syntheses, below each other.
    assert not np.array_equal(grid[54:70, :16], grid[72:88, :16])


def test_a_runs_figures_and_picture_are_kept(
    project: Path,
    dataset: TinyDataset,
    moving_pipeline: SemFlowPipeline,
    metrics: Metrics,
    lines_of: Callable[..., list[str]],
) -> None:
    moving_pipeline.save_pretrained(project / "models" / "earth" / "pipeline")
    shutil.copytree(dataset.shards / "val", project / "data" / "shards" / "earth" / "test")
    write_metrics(metrics, project / "reports" / "earth" / "metrics.json")
    (project / "docs").mkdir()
    assert lines_of(main, "keep", "earth", "docs/tiny") == []
    train = read_params().dataset("earth").train
    assert read_json(project / "docs" / "tiny.json") == {
        "samples_seen": train.steps * train.batch_size,
        "metrics": metrics.model_dump(mode="json"),
    }
    assert Image.open(project / "docs" / "tiny.png").size == (2 * 52, 2 * 88)
