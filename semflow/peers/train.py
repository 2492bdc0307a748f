"""One peer of a data set, trained on the flow's samples, in the flow's order and number."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor, nn

from semflow.core.files import whole_folder, write_json
from semflow.core.logs import TrainingLog
from semflow.core.provenance import PROVENANCE
from semflow.core.resume import resumable
from semflow.peers.adversaries import new_adversary
from semflow.peers.loop import optimise_in_turn
from semflow.peers.maskformer import MaskFormer, train_maskformer
from semflow.peers.samples import Images
from semflow.peers.schema import MaskFormerParams, PeerStage
from semflow.peers.synthesizer import Synthesizer
from semflow.shards.reading import ShardFolder
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import new_accelerator, training_hardware
from semflow.training.inputs import ModelInputs, open_latents, open_split
from semflow.training.loop import Progress, watch_nothing
from semflow.training.samples import TrainingSamples

Learn = Callable[[Checkpoints], dict[str, Tensor]]


def train_peer(inputs: ModelInputs, params: PeerStage, out: Path) -> None:
    """Trains and saves one system; a killed run goes on where it was.

    Args:
        inputs: Shards and latents of the same samples.
        params: The system, and what it takes from the block `train`.
        out: Receives `config.json`, `model.safetensors` and the provenance, whole or not at all.

    Raises:
        UserError: A bad shard, several processes for an adversarial system, or a loss or weights
            that are not finite.
    """
    accelerator = new_accelerator(params.train)
    samples, peer, train = open_samples(inputs, params, accelerator), params.peer, params.train
    num_classes = len(samples.mirrored)
    name = peer.system
    progress = Progress(name, TrainingLog(inputs.dataset, name), watch_nothing)
    model: MaskFormer | Synthesizer
    if isinstance(peer, MaskFormerParams):
        model = MaskFormer(peer, num_classes)
        saved: nn.Module = model
        trained = copy.deepcopy(model).to(accelerator.device)

        def learn(checkpoints: Checkpoints) -> dict[str, Tensor]:
            """By the flow's own loop."""
            return train_maskformer(trained, samples, train, accelerator, progress, checkpoints)
    else:
        adversary = new_adversary(peer, num_classes)
        model = Synthesizer(copy.deepcopy(adversary.generator), peer, num_classes)
        saved = model.generator
        adversary.generator.to(accelerator.device)
        adversary.discriminator.to(accelerator.device)

        def learn(checkpoints: Checkpoints) -> dict[str, Tensor]:
            """By turns of both networks."""
            return optimise_in_turn(
                adversary, samples, peer, train, accelerator, progress, checkpoints
            )

    print(f"{name}: {weights_of(saved):,} weights", file=sys.stderr, flush=True)
    parameters = params.model_dump(mode="json")
    hardware = training_hardware(accelerator, train.batch_size)
    with resumable(
        name, inputs.dataset, parameters, inputs.folders(), accelerator, hardware
    ) as work:
        weights = learn(Checkpoints(work.folder))
        if accelerator.is_main_process:
            saved.load_state_dict(weights)
            with whole_folder(out) as folder:
                model.save(folder)
                write_json(folder / PROVENANCE, work.provenance.as_json())


def weights_of(network: nn.Module) -> int:
    """How many numbers are trained; of an adversarial system those of the generator that stays."""
    return sum(parameter.numel() for parameter in network.parameters())


def open_samples(
    inputs: ModelInputs, params: PeerStage, accelerator: Accelerator
) -> TrainingSamples:
    """The train split by position, with pixels.

    Raises:
        UserError: The bad tar and the command that rebuilds it.
    """
    pixels = open_split(inputs.dataset, "shards", inputs.pixels, accelerator)
    latents = open_latents(
        inputs.dataset, "image_latents", inputs.image_latents, pixels, accelerator
    )
    folder, peer = ShardFolder(pixels), params.peer
    noise_width = 0 if isinstance(peer, MaskFormerParams) else peer.noise_width
    images = Images(folder, noise_width)
    mirrored, seed = inputs.classes().mirrored, params.train.seed
    return TrainingSamples(folder, "label.png", latents, images, mirrored, seed)
