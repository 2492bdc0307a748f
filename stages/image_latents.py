"""Stage `image_latents`: pixel shards -> posterior moments of every image, plain and mirrored."""

from semflow.networks.sources import load_autoencoder
from semflow.params import DatasetParams
from semflow.shards.latents import write_image_latents
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Depends on the images' digests and not on the shards: a new palette changes nothing here."""
    write_image_latents(
        folders.shards,
        folders.digests,
        load_autoencoder(folders.autoencoder),
        params.latents.batch_size,
        folders.image_latents,
    )


if __name__ == "__main__":
    run(main)
