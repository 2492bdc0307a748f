"""Stage `evaluate_peer` of the study: a peer, measured as stage `evaluate` measures the flow."""

from semflow.evaluation.evaluate import evaluate_dataset
from semflow.evaluation.peers import PeerInputs, one_pass
from semflow.evaluation.results import write_metrics
from semflow.evaluation.schema import EvaluateStage
from stages.entry import Folders, run


def main(row: str, params: EvaluateStage, folders: Folders) -> None:
    """Measures the ways that it goes; the first rank writes what all of them found."""
    inputs = PeerInputs(
        folders.pipeline,
        folders.baseline,
        folders.metric_weights,
        folders.shards,
        folders.autoencoder,
    )
    found = evaluate_dataset(row, inputs, one_pass(params.evaluate))
    if found is not None:
        write_metrics(found.metrics, folders.metrics)


if __name__ == "__main__":
    run(main, EvaluateStage)
