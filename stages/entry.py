"""How every stage starts and how it fails: one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from semflow.errors import UserError
from semflow.params import DatasetParams, read_params


class Folders:
    """Where a data set's artifacts lie; dvc.yaml names the same paths."""

    def __init__(self, dataset: str) -> None:
        self.raw = Path("data/raw") / dataset
        self.index = Path("data/index") / dataset
        self.shards = Path("data/shards") / dataset
        self.digests = Path("data/digests") / f"{dataset}.json"
        self.image_latents = Path("data/image_latents") / dataset
        self.mask_latents = Path("data/mask_latents") / dataset
        self.autoencoder = Path("models") / dataset / "autoencoder"
        self.backbone = Path("models") / dataset / "backbone"
        self.pipeline = Path("models") / dataset / "pipeline"
        self.baseline = Path("models") / dataset / "baseline"
        self.metric_weights = Path("models/metrics")
        self.metrics = Path("reports") / dataset / "metrics.json"
        self.segmentation_curve = Path("reports") / dataset / "segmentation_by_steps.json"
        self.synthesis_curve = Path("reports") / dataset / "synthesis_by_steps.json"
        self.report = Path("reports") / dataset / "index.html"


def run(stage: Callable[[str, DatasetParams, Folders], None]) -> None:
    """Runs a stage for the data set named on the command line."""

    def named() -> None:
        if len(sys.argv) != 2:
            raise UserError(f"usage: python -m stages.{Path(sys.argv[0]).stem} DATASET")
        dataset = sys.argv[1]
        stage(dataset, read_params().dataset(dataset), Folders(dataset))

    run_plain(named)


def run_plain(stage: Callable[[], None]) -> None:
    """Runs a stage that belongs to no data set."""
    try:
        stage()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
