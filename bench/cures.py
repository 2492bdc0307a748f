"""Trials of the flow's parameters side by side: trains each, and measures both directions on val.

    dvc repro baseline@robots mask_latents@robots
    python -m bench.cures robots bench/cures.yaml docs/cures-robots.json
    python -m bench.cures robots bench/cures.yaml docs/cures-robots.json --table

Needs a data set that is made up to its baseline. A trial is a name and what it changes in the data
set's block of params.yaml, after what the file says under `start`; trials that the results file has
with the same block are left out, and a killed trial goes on where it was. All see the same samples
in the same order; choices are made on val. The last form prints the results as a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from semflow.core.files import read_json, write_json
from semflow.evaluation.evaluate import EvaluationInputs, evaluate_dataset
from semflow.evaluation.results import Metrics
from semflow.params.reading import PARAMS_FILE, read_values
from semflow.params.recipes import merge
from semflow.schema import DatasetParams
from semflow.training.stage import TrainStage
from stages import train
from stages.entry import Folders

SAMPLES = 256
SEGMENTATION_STEPS = (1, 2, 5, 10, 25)
SYNTHESIS_STEPS = (1, 2, 5, 25)
HEAD = (
    "| trial | mIoU at 1 / 2 / 5 / 10 / 25 steps | FD at 1 / 2 / 5 / 25 | round trip at the same "
    "| two seeds | minutes |",
    "|---|---|---|---|---|---|",
)


def main() -> None:
    """Runs what is missing, or prints what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("trials", type=Path, help="YAML: name of a trial -> changes of the block")
    parser.add_argument("results", type=Path, help="JSON that results are added to")
    parser.add_argument("--only", nargs="*", help="names of trials, in this order")
    parser.add_argument("--table", action="store_true", help="print the results")
    options = parser.parse_args()
    results = read_json(options.results) if options.results.is_file() else {}
    if options.table:
        print("\n".join((*HEAD, *rows(results))))
        return
    trials = dict(read_values(options.trials))
    start = trials.pop("start")
    for name in options.only or trials:
        params = block_of(options.dataset, start, trials[name] or {})
        if results.get(name, {}).get("block") != params.model_dump(mode="json"):
            results[name] = run_trial(options.dataset, name, params)
            write_json(options.results, results)
            print(*rows({name: results[name]}), flush=True)


def block_of(dataset: str, *changes: Mapping[str, Any]) -> DatasetParams:
    """A data set's block of params.yaml with changes, one after another, measured on val."""
    block = read_values(PARAMS_FILE)[dataset]
    measured = {
        "split": "val",
        "samples": SAMPLES,
        "segmentation_steps": SEGMENTATION_STEPS,
        "synthesis_steps": SYNTHESIS_STEPS,
        "adaptive": False,
    }
    for values in ({"evaluate": measured}, *changes):
        merge(block, values)
    return DatasetParams.model_validate(block)


def run_trial(dataset: str, name: str, params: DatasetParams) -> dict[str, Any]:
    """Trains and measures one trial.

    Returns:
        `block`, `minutes` of training, and `metrics`.
    """
    folders = Folders(dataset)
    # The stage itself, but for where its checkpoint goes: DVC's own stays as it is.
    folders.pipeline = Path("models") / dataset / "cures" / name
    started = time.monotonic()
    train.main(dataset, TrainStage.model_validate(params.model_dump()), folders)
    minutes = (time.monotonic() - started) / 60
    inputs = EvaluationInputs(
        folders.pipeline, folders.baseline, folders.metric_weights, folders.shards
    )
    found = evaluate_dataset(dataset, inputs, params.evaluate)
    assert found is not None
    return {
        "block": params.model_dump(mode="json"),
        "minutes": minutes,
        "metrics": found.metrics.model_dump(mode="json"),
    }


def rows(results: Mapping[str, Any]) -> Iterator[str]:
    """One line of the table for each trial."""
    for name, result in results.items():
        metrics = Metrics.model_validate(result["metrics"])
        segmented = metrics.two_way_segmentation().by_steps
        made = metrics.two_way_synthesis().by_steps
        mious = " / ".join(f"{segmented[number].miou:.3f}" for number in SEGMENTATION_STEPS)
        distances = " / ".join(f"{made[number].fd_mobilenetv2:.0f}" for number in SYNTHESIS_STEPS)
        trips = " / ".join(f"{made[number].roundtrip_miou_unet:.3f}" for number in SYNTHESIS_STEPS)
        yield (
            f"| {name} | {mious} | {distances} | {trips} "
            f"| {metrics.two_way_synthesis().diversity_st_lpips:.3f} | {result['minutes']:.1f} |"
        )


if __name__ == "__main__":
    main()
