"""Stage `autoencoder`: from a folder, a hub, or trained on the shards -> one diffusers folder."""

from semflow.networks.schema import ScratchAutoencoder
from semflow.networks.sources import obtain_autoencoder
from semflow.pretraining.autoencoder import train_autoencoder
from semflow.schema import DatasetParams
from stages.entry import Folders, run_once


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Trains it where it is to be made from scratch, else fetches it."""
    if isinstance(params.autoencoder, ScratchAutoencoder):
        autoencoder = train_autoencoder(dataset, params.autoencoder, folders.shards)
    else:
        autoencoder = obtain_autoencoder(params.autoencoder)
    autoencoder.save_pretrained(folders.autoencoder)


if __name__ == "__main__":
    run_once(main)
