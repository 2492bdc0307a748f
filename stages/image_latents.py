"""Stage `image_latents`: pixel shards -> posterior moments of every image, plain and mirrored."""

from semflow.latents.image_latents import encode_images
from semflow.schema import DatasetParams
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Depends on the images' digests and not on the shards: a new palette changes nothing here."""
    encode_images(
        dataset,
        params.latents.batch_size,
        folders.shards,
        folders.digests,
        folders.autoencoder,
        folders.image_latents,
    )


if __name__ == "__main__":
    run(main)
