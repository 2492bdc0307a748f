"""Stage `mask_latents`: what training needs of the masks ahead of time, by noise mode."""

from semflow.mask_latents.encode_masks import encode_masks
from semflow.mask_latents.schema import MaskLatentsStage
from stages.entry import Folders, run


def main(dataset: str, params: MaskLatentsStage, folders: Folders) -> None:
    """In mode `online` nothing: masks are perturbed and encoded at every step."""
    encode_masks(dataset, params, folders.pseudo_masks, folders.autoencoder, folders.mask_latents)


if __name__ == "__main__":
    run(main, MaskLatentsStage)
