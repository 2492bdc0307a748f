"""MaskFormer: Cheng et al., Per-Pixel Classification is Not All You Need, NeurIPS 2021.

transformers' own implementation, built from its configuration with random weights: no pretrained
backbone, a small Swin with patches of 2 pixels and windows of 4, for images of 64 x 64 pixels. It
reads images and not latents: a transformer of image patches is what the paper compares with, and
latents would take its early stages' work away.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json
from semflow.core.labels import IGNORE_INDEX
from semflow.peers.samples import with_image
from semflow.peers.schema import MaskFormerParams
from semflow.peers.synthesizer import CONFIG, WEIGHTS, load_strictly
from semflow.training.checkpoints import Checkpoints
from semflow.training.loop import Progress, optimise
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.schema import OptimiserParams, TrainParams

PATCH, WINDOW, HEADS = 2, 4, 8


class MaskFormer(nn.Module):
    """Masks with classes, and the class scores of pixels that follow from them.

    Args:
        params: its size, and the seed of its weights.
        num_classes: K.

    Raises:
        UserError: transformers is not installed.
    """

    def __init__(self, params: MaskFormerParams, num_classes: int) -> None:
        super().__init__()
        self.params, self.num_classes = params, num_classes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(params.seed)
            self.network: Any = _network(params, num_classes)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        """Image (N, 3, H, W) in [-1, 1] and label (N, H, W) int64 -> the paper's loss, ()."""
        masks, classes = targets_of(label)
        loss: Tensor = self.network(image, mask_labels=masks, class_labels=classes).loss
        return loss.squeeze()

    @torch.no_grad()
    def scores(self, image: Tensor) -> Tensor:
        """Image (N, 3, H, W) in [-1, 1] -> class scores (N, K, H, W): the paper's Sec. 3.4.

        A pixel's score for a class is the sum over masks of probability times membership.
        """
        found = self.network(image)
        masks = F.interpolate(found.masks_queries_logits, size=image.shape[2:], mode="bilinear")
        classes = found.class_queries_logits.softmax(dim=-1)[..., :-1]
        return torch.einsum("nqk,nqhw->nkhw", classes, masks.sigmoid())

    def save(self, folder: Path) -> None:
        """Writes `config.json` and `model.safetensors`."""
        config = {"params": self.params.model_dump(mode="json"), "num_classes": self.num_classes}
        write_json(folder / CONFIG, config)
        save_file(self.state_dict(), folder / WEIGHTS)


def load_maskformer(folder: Path) -> MaskFormer:
    """Reads what `MaskFormer.save` wrote.

    Raises:
        UserError: a file is missing, or the weights are not those of the configuration.
    """
    config = read_json(folder / CONFIG)
    params = MaskFormerParams.model_validate(config["params"])
    model = MaskFormer(params, config["num_classes"])
    load_strictly(model, folder / WEIGHTS)
    return model.eval()


def train_maskformer(
    model: MaskFormer,
    samples: TrainingSamples,
    train: OptimiserParams,
    accelerator: Accelerator,
    progress: Progress,
    checkpoints: Checkpoints,
) -> dict[str, Tensor]:
    """Trains on the flow's samples by the flow's loop; returns the averaged weights by name.

    Args:
        model: in float32, on the accelerator's device; trained in place.
        samples: by position, with `Images` for their masks.
        train: everything about the optimisation but the learning rate.
        accelerator: spreads the work.
        progress: where to report.
        checkpoints: where to go on from.

    Raises:
        UserError: a loss or the weights are not finite.
    """

    def loss_of(network: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
        """The paper's: cross-entropy of classes, focal and dice loss of matched masks."""
        return {"loss": network(with_image(batch)["image"], batch["label"])}

    values = train.model_dump() | {"learning_rate": model.params.learning_rate}
    settings = TrainParams.model_validate(values)
    model.train()
    return optimise(model, loss_of, samples, settings, accelerator, progress, checkpoints)


def targets_of(label: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """A mask for each class that a label has.

    Args:
        label: (N, H, W) int64, 255 = no class.

    Returns:
        For each label its masks (M, H, W) float32 and their classes (M,) int64; pixels without a
        class are in no mask.
    """
    classes = [ids[ids != IGNORE_INDEX] for ids in (one.unique() for one in label)]
    pairs = zip(label, classes, strict=True)
    return [(one[None] == ids[:, None, None]).float() for one, ids in pairs], classes


def _network(params: MaskFormerParams, num_classes: int) -> Any:
    try:
        from transformers import (
            DetrConfig,
            MaskFormerConfig,
            MaskFormerForInstanceSegmentation,
            SwinConfig,
        )
    except ImportError:
        raise UserError(
            "MaskFormer needs the package transformers; run: pip install -e '.[peers]'"
        ) from None
    backbone = SwinConfig(
        patch_size=PATCH,
        embed_dim=params.embed_dim,
        depths=list(params.depths),
        num_heads=list(params.heads),
        window_size=WINDOW,
        drop_path_rate=0.0,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    decoder = DetrConfig(
        d_model=params.width,
        num_queries=params.queries,
        decoder_layers=params.decoder_layers,
        decoder_attention_heads=HEADS,
        decoder_ffn_dim=4 * params.width,
        encoder_attention_heads=HEADS,
        dropout=0.0,
    )
    config = MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=decoder,
        fpn_feature_size=params.width,
        mask_feature_size=params.width,
        num_labels=num_classes,
    )
    network = MaskFormerForInstanceSegmentation(config)
    # It normalises what the pixel decoder does not read: without a gradient it has no moments, and
    # a saved state that lacks those of a trained parameter is refused.
    network.model.pixel_level_module.encoder.model.layernorm.requires_grad_(False)
    return network
