"""Stage `mask_latents`: what training needs of the masks ahead of time, by noise mode."""

from semflow.latents.mask_latents import encode_masks
from semflow.schema import DatasetParams
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """In mode `online` nothing: masks are perturbed and encoded at every step."""
    encode_masks(
        dataset,
        params.latents,
        params.palette,
        folders.shards,
        folders.autoencoder,
        folders.mask_latents,
    )


if __name__ == "__main__":
    run(main)
