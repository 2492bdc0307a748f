"""Stage `peer` of the study: a system that the paper compares with, on the flow's own samples."""

from semflow.peers.schema import PeerStage
from semflow.peers.train import train_peer
from semflow.training.inputs import ModelInputs
from stages.entry import Folders, run


def main(row: str, params: PeerStage, folders: Folders) -> None:
    """Trains it."""
    inputs = ModelInputs(
        row, folders.shards, folders.image_latents, folders.autoencoder, folders.backbone
    )
    train_peer(inputs, params, folders.pipeline)


if __name__ == "__main__":
    run(main, PeerStage)
