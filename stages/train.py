"""Stage `train`: backbone, autoencoder and latents -> a two-way checkpoint."""

from semflow.params import DatasetParams
from semflow.training.flow import train_flow
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Trains the velocity field."""
    train_flow(
        dataset,
        params,
        pixels=folders.shards,
        latents=folders.image_latents,
        mask_latents=folders.mask_latents,
        autoencoder_folder=folders.autoencoder,
        backbone=folders.backbone,
        out=folders.pipeline,
    )


if __name__ == "__main__":
    run(main)
