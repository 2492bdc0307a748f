"""Stage `image_latents`: pixel shards -> posterior moments of every image, plain and mirrored."""

from semflow.image_latents.encode_images import encode_images
from semflow.image_latents.schema import ImageLatentsStage
from stages.entry import Folders, run


def main(dataset: str, params: ImageLatentsStage, folders: Folders) -> None:
    """Knows no palette and no noise: another one changes nothing here."""
    batch_size = params.latents.batch_size
    encode_images(dataset, batch_size, folders.shards, folders.autoencoder, folders.image_latents)


if __name__ == "__main__":
    run(main, ImageLatentsStage)
