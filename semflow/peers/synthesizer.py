"""A trained generator on disk, and how an evaluation asks it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json
from semflow.peers.adversaries import new_generator
from semflow.peers.cycle_gan import CycleGenerators
from semflow.peers.schema import AdversarialParams

WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Synthesizer:
    """Images from labels, and labels from images where the system has that way too.

    Args:
        generator: (semantics, noise) -> image.
        params: what it was built by.
        num_classes: K.
    """

    def __init__(self, generator: nn.Module, params: AdversarialParams, num_classes: int) -> None:
        self.generator = generator.eval()
        self.params = params
        self.num_classes = num_classes

    @property
    def segments(self) -> bool:
        """Whether it reads images as well."""
        return isinstance(self.generator, CycleGenerators)

    @torch.no_grad()
    def images(self, semantics: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Semantics (N, K + 1, H, W) and a CPU generator for each -> (N, 3, H, W) in [-1, 1].

        Only SPADE and SC-GAN draw anything; the others give the same image for every generator.
        """
        draws = [torch.randn(self.params.noise_width, generator=g) for g in generators]
        made: Tensor = self.generator(semantics, torch.stack(draws).to(semantics.device))
        return made

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Image (N, 3, H, W) in [-1, 1] -> class scores (N, K, H, W).

        Raises:
            UserError: the system only synthesizes.
        """
        if not isinstance(self.generator, CycleGenerators):
            system = self.params.system
            raise UserError(f"{system} does not segment; ask cycle_gan or MaskFormer")
        # The last channel stands for pixels without a class, which no prediction may be.
        return self.generator.read(image)[:, : self.num_classes]

    def save(self, folder: Path) -> None:
        """Writes `config.json` and `model.safetensors`."""
        config = {"params": self.params.model_dump(mode="json"), "num_classes": self.num_classes}
        write_json(folder / CONFIG, config)
        save_file(self.generator.state_dict(), folder / WEIGHTS)


def load_synthesizer(folder: Path) -> Synthesizer:
    """Reads what `Synthesizer.save` wrote.

    Raises:
        UserError: a file is missing, or the weights are not those of the configuration.
    """
    config = read_json(folder / CONFIG)
    params = AdversarialParams.model_validate(config["params"])
    generator = new_generator(params, config["num_classes"])
    load_strictly(generator, folder / WEIGHTS)
    return Synthesizer(generator, params, config["num_classes"])


def load_strictly(network: nn.Module, path: Path) -> None:
    """Reads all weights of a network from safetensors, and nothing else.

    Raises:
        UserError: the file is missing, or names or shapes differ.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; train the peer again")
    found, own = load_file(path), network.state_dict()
    differing = sorted(found.keys() ^ own.keys()) or sorted(
        name for name in own if own[name].shape != found[name].shape
    )
    if differing:
        raise UserError(
            f"{path} does not fit its config.json at {differing[0]} "
            f"({len(differing)} differ); train the peer again"
        )
    network.load_state_dict(found)
