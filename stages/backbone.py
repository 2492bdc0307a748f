"""Stage `backbone`: from a folder, a hub, or random numbers -> a U-Net and its null prompt."""

from semflow.core.files import whole_folder
from semflow.core.seals import seal
from semflow.networks.schema import BackboneStage
from semflow.networks.sources import load_autoencoder, obtain_backbone
from stages.entry import Folders, run_once


def main(dataset: str, params: BackboneStage, folders: Folders) -> None:
    """Takes the number of latent channels from the autoencoder."""
    channels = load_autoencoder(folders.autoencoder).config.latent_channels
    unet, null_prompt = obtain_backbone(params.backbone, channels)
    with whole_folder(folders.backbone) as folder:
        unet.save_pretrained(folder / "unet")
        null_prompt.save_pretrained(folder / "null_prompt")
        for part in ("unet", "null_prompt"):
            seal(folder / part)


if __name__ == "__main__":
    run_once(main, BackboneStage)
