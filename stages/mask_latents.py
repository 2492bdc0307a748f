"""Stage `mask_latents`: what training needs of the masks ahead of time, by noise mode."""

from semflow.params import DatasetParams
from semflow.shards.latents import write_mask_latents
from stages.entry import Folders, run


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """In mode `online` nothing: masks are perturbed and encoded at every step."""
    write_mask_latents(folders.shards, params.latents.mask_noise, folders.mask_latents)


if __name__ == "__main__":
    run(main)
