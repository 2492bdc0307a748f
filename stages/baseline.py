"""Stage `baseline`: a colour classifier and a discriminative U-Net on the flow's own samples."""

from semflow.baselines.train import train_baselines
from semflow.schema import DatasetParams
from semflow.training.inputs import TrainingInputs
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Fits both."""
    inputs = TrainingInputs(
        dataset, folders.shards, folders.image_latents, folders.autoencoder, folders.backbone
    )
    train_baselines(inputs, params, folders.baseline)


if __name__ == "__main__":
    run(main)
