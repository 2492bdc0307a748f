"""Stage `evaluate`: the checkpoint and its baselines over the val split -> metrics.json."""

from semflow.evaluation.evaluate import evaluate
from semflow.params import DatasetParams
from semflow.results import write_curves, write_metrics
from stages.entry import Folders, run_once


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Measures both directions."""
    metrics = evaluate(
        folders.pipeline,
        folders.baseline,
        folders.metric_weights,
        folders.shards,
        params.evaluate,
    )
    write_metrics(metrics, folders.metrics)
    write_curves(metrics, folders.segmentation_curve, folders.synthesis_curve)


if __name__ == "__main__":
    run_once(main)
