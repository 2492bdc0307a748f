"""Stage `train`: backbone, autoencoder and latents -> a two-way checkpoint."""

from semflow.training.flow import train_flow
from semflow.training.inputs import FlowInputs
from semflow.training.stage import TrainStage
from stages.entry import Folders, run


def main(dataset: str, params: TrainStage, folders: Folders) -> None:
    """Trains the velocity field."""
    inputs = FlowInputs(
        dataset,
        folders.shards,
        folders.image_latents,
        folders.autoencoder,
        folders.backbone,
        folders.pseudo_masks,
        folders.mask_latents,
    )
    train_flow(inputs, params, folders.pipeline)


if __name__ == "__main__":
    run(main, TrainStage)
