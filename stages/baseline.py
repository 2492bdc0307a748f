"""Stage `baseline`: a colour classifier and a discriminative U-Net on the flow's own samples."""

from semflow.baselines.train import train_baselines
from semflow.params import DatasetParams
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Fits both."""
    train_baselines(
        dataset,
        params,
        pixels=folders.shards,
        latents=folders.image_latents,
        autoencoder_folder=folders.autoencoder,
        backbone=folders.backbone,
        out=folders.baseline,
    )


if __name__ == "__main__":
    run(main)
