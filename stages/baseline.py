"""Stage `baseline`: a colour classifier and a discriminative U-Net on the flow's own samples."""

from semflow.baselines.schema import BaselineStage
from semflow.baselines.train import train_baselines
from semflow.training.inputs import ModelInputs
from stages.entry import Folders, run


def main(dataset: str, params: BaselineStage, folders: Folders) -> None:
    """Fits both."""
    inputs = ModelInputs(
        dataset, folders.shards, folders.image_latents, folders.autoencoder, folders.backbone
    )
    train_baselines(inputs, params, folders.baseline)


if __name__ == "__main__":
    run(main, BaselineStage)
