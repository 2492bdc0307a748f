"""Stage `evaluate`: the checkpoint and its baselines over a split -> metrics.json, details.json."""

from semflow.evaluation.details import write_details
from semflow.evaluation.evaluate import EvaluationInputs, evaluate_dataset
from semflow.evaluation.results import write_curves, write_metrics
from semflow.evaluation.schema import EvaluateStage
from stages.entry import Folders, run


def main(dataset: str, params: EvaluateStage, folders: Folders) -> None:
    """Measures both directions; the first rank writes what all of them found."""
    inputs = EvaluationInputs(
        folders.pipeline, folders.baseline, folders.metric_weights, folders.shards
    )
    found = evaluate_dataset(dataset, inputs, params.evaluate)
    if found is not None:
        write_metrics(found.metrics, folders.metrics)
        write_details(found.details, folders.details)
        write_curves(found.metrics, folders.segmentation_curve, folders.synthesis_curve)


if __name__ == "__main__":
    run(main, EvaluateStage)
