"""Stage `autoencoder`: from a folder, a hub, or trained on the shards -> one diffusers folder."""

from semflow.core.files import whole_folder
from semflow.core.resume import Alone, resumable
from semflow.core.seals import seal
from semflow.networks.encoding import factor_of
from semflow.networks.schema import AutoencoderStage, ScratchAutoencoder, check_factor
from semflow.networks.sources import obtain_autoencoder
from semflow.pretraining.autoencoder import train_autoencoder
from semflow.shards.manifest import read_manifest
from stages.entry import Folders, run_once


def main(dataset: str, params: AutoencoderStage, folders: Folders) -> None:
    """Trains it where it is to be made from scratch, else fetches it."""
    source, values = params.autoencoder, params.model_dump(mode="json")
    image_size = read_manifest(folders.shards / "train").about["image_size"]
    if isinstance(source, ScratchAutoencoder):
        check_factor(image_size, source.patch_size)
    with resumable("autoencoder", dataset, values, [folders.shards], Alone()) as work:
        if isinstance(source, ScratchAutoencoder):
            autoencoder = train_autoencoder(dataset, source, folders.shards, work.folder)
        else:
            autoencoder = obtain_autoencoder(source)
            check_factor(image_size, factor_of(autoencoder))
        with whole_folder(folders.autoencoder) as folder:
            autoencoder.save_pretrained(folder)
            seal(folder)


if __name__ == "__main__":
    run_once(main, AutoencoderStage)
