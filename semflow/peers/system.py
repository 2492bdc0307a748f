"""A trained peer by the names that an evaluation knows the flow by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from semflow.core.files import read_json
from semflow.inference.draws import item_generators
from semflow.networks.encoding import to_pixels, to_unit_range
from semflow.peers.layers import semantics_of
from semflow.peers.maskformer import MaskFormer, load_maskformer
from semflow.peers.synthesizer import CONFIG, Synthesizer, load_synthesizer

ONE_PASS = "pass"
"""In the place of a solver's name: a peer takes one step, through the whole of its network."""


@dataclass(frozen=True)
class Ways:
    """Which directions a system has.

    Args:
        segments: From image to label.
        synthesizes: From label to image.
    """

    segments: bool
    synthesizes: bool


@dataclass(frozen=True)
class PeerConfig:
    """What a checkpoint's configuration says of the flow.

    Args:
        formulation: Name of the system.
        class_names: K names.
        image_size: Height and width it was trained at, pixels.
        solver: The name that its one step goes by.
        segment_steps: 1.
        synthesize_steps: 1.
    """

    formulation: str
    class_names: Sequence[str]
    image_size: tuple[int, int]
    solver: str = ONE_PASS
    segment_steps: int = 1
    synthesize_steps: int = 1


class Pass(nn.Module):
    """One pass through a peer's network, whichever way: what an evaluation counts."""

    def forward(self, start: Tensor, way: Callable[[Tensor], Tensor]) -> Tensor:
        """The other end of N samples."""
        return way(start)


class PeerSystem:
    """A peer whose ends are images and labels themselves, without latents between.

    x_0 is an image (N, 3, H, W) in [-1, 1], x_1 its semantics (N, K + 1, H, W), or scores of K
    classes where the peer has found them. One pass leads from one to the other, whatever number of
    steps is asked for.

    Args:
        model: What was trained.
        class_names: K names.
        image_size: Height and width it was trained at, pixels.
        device: Where it runs.
    """

    def __init__(
        self,
        model: MaskFormer | Synthesizer,
        class_names: Sequence[str],
        image_size: tuple[int, int],
        device: torch.device,
    ) -> None:
        network = model if isinstance(model, MaskFormer) else model.generator
        network.to(device)
        self._model, self.device, self.field = model, device, Pass()
        self.config = PeerConfig(model.params.system, class_names, image_size)
        reads = isinstance(model, MaskFormer) or model.segments
        self.formulation = Ways(segments=reads, synthesizes=isinstance(model, Synthesizer))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Pixels (N, H, W, 3) uint8 -> x_0."""
        return to_unit_range(pixels)

    def encode_label(self, label: Tensor, noise: None) -> Tensor:
        """Label ids (N, H, W) uint8, 255 = no class -> x_1; nothing perturbs it."""
        return semantics_of(label.long(), len(self.config.class_names))

    def to_mask(
        self,
        x_0: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor:
        """x_0 -> class scores (N, K, H, W).

        Raises:
            UserError: The system only synthesizes.
        """
        scores: Tensor = self.field(x_0, self._model.scores)
        return scores

    def to_image(
        self,
        x_1: Tensor,
        num_steps: int | None = None,
        solver: str | None = None,
        generators: Sequence[torch.Generator] | None = None,
    ) -> Tensor:
        """x_1 -> x_0; sample i draws from its generator, or from that of item i and seed 0."""
        assert isinstance(self._model, Synthesizer)
        model, draws = self._model, generators or self.generators(range(len(x_1)), 0)
        image: Tensor = self.field(x_1, lambda semantics: model.images(semantics, draws))
        return image

    def class_scores(self, x_1: Tensor) -> Tensor:
        """x_1 -> (N, K, H, W), without what stands for pixels of no class."""
        return x_1[:, : len(self.config.class_names)]

    def decode_pixels(self, x_0: Tensor) -> Tensor:
        """x_0 -> pixels (N, H, W, 3) uint8."""
        return to_pixels(x_0)

    def draw_noise(self, items: Sequence[int], seed: int) -> None:
        """Nothing: what a peer draws, it draws on its way."""

    def generators(self, items: Sequence[int], seed: int) -> list[torch.Generator]:
        """What item i draws from, by (seed, i)."""
        return item_generators(items, seed)


def load_peer(
    folder: Path, class_names: Sequence[str], image_size: tuple[int, int], device: torch.device
) -> PeerSystem:
    """Reads what stage `peer` made.

    Args:
        folder: Its output.
        class_names: K names, the data set's.
        image_size: Height and width of its shards, pixels.
        device: Where the peer runs.

    Raises:
        UserError: A file is missing, the weights are not those of the configuration, or
            transformers is not installed where the peer needs it.
    """
    reads = read_json(folder / CONFIG)["params"]["system"] == "maskformer"
    model = load_maskformer(folder) if reads else load_synthesizer(folder)
    return PeerSystem(model, class_names, image_size, device)
