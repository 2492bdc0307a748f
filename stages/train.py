"""Stage `train`: backbone, autoencoder and latents -> a two-way checkpoint."""

from semflow.schema import DatasetParams
from semflow.training.flow import train_flow
from semflow.training.inputs import TrainingInputs
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Trains the velocity field."""
    inputs = TrainingInputs(
        dataset, folders.shards, folders.image_latents, folders.autoencoder, folders.backbone
    )
    train_flow(inputs, folders.mask_latents, params, folders.pipeline)


if __name__ == "__main__":
    run(main)
