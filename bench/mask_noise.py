"""The modes of `latents.mask_noise` side by side: trains and measures each, one after another.

    git clone . ../modes && cd ../modes && python -m bench.mask_noise earth

Changes params.yaml, so run it in a clone of its own (one that shares the DVC cache is quicker).
Each mode sees the same samples; only the checkpoint's default numbers of steps are measured. Prints
a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench import figure
from semflow.core.files import write_text
from semflow.core.logs import log_folder
from semflow.evaluation.results import Metrics, read_metrics
from semflow.params.recipes import round_trip, written
from stages.entry import Folders

PARAMS = Path("params.yaml")
MODES = ("online", "variants", "moments")
HEAD = (
    "| mask_noise | mIoU | round trip | FD-MobileNetV2 | two seeds | samples/s |",
    "|---|---|---|---|---|---|",
)

Repro = Callable[..., None]
"""Runs `dvc repro ARGUMENTS...`."""


def main() -> None:
    """Prints one row a mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("modes", nargs="*", default=list(MODES), metavar="MODE")
    options = parser.parse_args()
    print("\n".join(HEAD), flush=True)
    for mode in options.modes:
        print(measure(options.dataset, mode, _dvc_repro), flush=True)


def measure(dataset: str, mode: str, repro: Repro) -> str:
    """Trains and evaluates with one mode, and returns its row.

    Args:
        dataset: Its name.
        mode: A value of `latents.mask_noise`.
        repro: Runs `dvc repro`.
    """
    text, batch_size = with_mode(PARAMS.read_text("utf-8"), dataset, mode)
    write_text(PARAMS, text)
    # Training is forced, and alone, so that it is measured also where its result is known.
    repro(f"mask_latents@{dataset}")
    repro("-f", "-s", f"train@{dataset}")
    repro(f"evaluate@{dataset}")
    lines = (log_folder(dataset) / "train.jsonl").read_text("utf-8").splitlines()
    speed = batch_size * steps_per_second([json.loads(one) for one in lines])
    return row(mode, speed, read_metrics(Folders(dataset).metrics))


def with_mode(text: str, dataset: str, mode: str) -> tuple[str, int]:
    """A params.yaml in which a data set has one mode and is measured on val by its default steps.

    Returns:
        The text, and the training's batch size.
    """
    document = round_trip().load(text)
    block = document[dataset]
    block["latents"]["mask_noise"] = mode
    # A choice between settings is made on val.
    block["evaluate"]["split"] = "val"
    block["evaluate"]["segmentation_steps"] = [block["inference"]["segment_steps"]]
    block["evaluate"]["synthesis_steps"] = [block["inference"]["synthesize_steps"]]
    block["evaluate"]["adaptive"] = False
    return written(document), int(block["train"]["batch_size"])


def steps_per_second(lines: Sequence[dict[str, Any]]) -> float:
    """Over a whole training, from what its log says of the time between two lines.

    Args:
        lines: By step; each holds `step`, and `steps_per_second` since the line before.
    """
    steps = [0, *(int(one["step"]) for one in lines)]
    seconds = sum(
        (step - before) / one["steps_per_second"]
        for (before, step), one in zip(pairwise(steps), lines, strict=True)
    )
    return float(steps[-1] / seconds)


def row(mode: str, speed: float, metrics: Metrics) -> str:
    """One line of the table; speed in samples a second."""
    synthesis = metrics.two_way_synthesis()
    made = synthesis.by_steps[synthesis.steps]
    return (
        f"| {mode} | {figure(metrics.two_way_segmentation().miou, 3)} "
        f"| {figure(synthesis.roundtrip_miou, 3)} | {made.fd_mobilenetv2:.1f} "
        f"| {synthesis.diversity_st_lpips:.3f} | {speed:.0f} |"
    )


def _dvc_repro(*arguments: str) -> None:
    subprocess.run(["dvc", "repro", "-q", *arguments], check=True)


if __name__ == "__main__":
    main()
