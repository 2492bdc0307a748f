"""The loss of one batch: velocity regression (Eq. 10), and classification by anchors."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semflow.core.labels import IGNORE_INDEX
from semflow.formulations.protocol import Draw, Formulation
from semflow.formulations.schema import FlowParams
from semflow.networks.anchors import anchor_distances
from semflow.networks.encoding import Autoencoder, decode, encode, latents_from_moments
from semflow.networks.statistics import LatentStatistics
from semflow.pseudo_masks.noise import perturb
from semflow.training.samples import TrainingSample


class Losses(NamedTuple):
    """Scalars of one batch: the weighted sum and its unweighted terms."""

    total: Tensor
    velocity: Tensor
    anchor: Tensor


def flow_losses(
    field: nn.Module,
    formulation: Formulation,
    autoencoder: Autoencoder,
    statistics: LatentStatistics | None,
    anchors: Tensor,
    amplitude: float,
    batch: TrainingSample,
    params: FlowParams,
) -> Losses:
    """Both terms on one batch.

    Args:
        field: The network or its distributed wrapper.
        formulation: What it is asked, and what it should answer.
        autoencoder: Encodes the perturbed pseudo-masks and decodes the one-step estimate.
        statistics: What the field is preconditioned by, if anything.
        anchors: (K, 3) in [-1, 1].
        amplitude: beta of Eq. 14, grey levels.
        batch: On the field's device.
        params: Weights and draws.
    """
    x_0, x_1 = end_points(autoencoder, batch, params.posterior, amplitude)
    draw = formulation.draw(x_0, x_1, batch.get("noise"), batch["uniform"], params)
    output = field(draw.x_t, draw.t)
    error = output - draw.target
    if statistics is not None and params.preconditioning is not None:
        scale = statistics.on_path(draw.t).residual ** params.preconditioning.loss_power
        error = error / scale[:, :, None, None]
    squared = error.square() * draw.weight[:, None, None, None]
    if params.ignored == "masked":
        squared = squared * class_share(batch["label"], (x_0.shape[2], x_0.shape[3]))
    velocity_loss = squared.mean()
    anchor_loss = _anchor_loss(formulation, autoencoder, anchors, draw, output, batch, params)
    total = params.velocity_loss_weight * velocity_loss + params.anchor_loss_weight * anchor_loss
    return Losses(total, velocity_loss.detach(), anchor_loss.detach())


def _anchor_loss(
    formulation: Formulation,
    autoencoder: Autoencoder,
    anchors: Tensor,
    draw: Draw,
    output: Tensor,
    batch: TrainingSample,
    params: FlowParams,
) -> Tensor:
    """Cross-entropy of the decoded one-step estimates from t = 0; 0 where none is asked."""
    at_image = draw.t == 0
    if params.anchor_loss_weight == 0 or not bool(at_image.any()):
        return output.new_zeros(())
    # Asked only where segmentation starts: later x_t carries the label, and decoding is dear.
    estimate = decode(autoencoder, formulation.mask_estimate(draw, output)[at_image])
    losses = anchor_cross_entropy(
        estimate, batch["label"][at_image], anchors, params.anchor_temperature
    )
    # By the expected number of samples with t = 0 and not by that of this batch: then the loss of
    # a batch is the mean over its parts, however processes share it.
    return losses.sum() / (len(draw.t) * params.probability_at_image)


@torch.no_grad()
def end_points(
    autoencoder: Autoencoder, batch: TrainingSample, posterior: str, amplitude: float
) -> tuple[Tensor, Tensor]:
    """The two ends of each sample's path.

    Args:
        autoencoder: encodes the perturbed pseudo-masks where their latents are not cached.
        batch: on the autoencoder's device.
        posterior: "sample" draws x_0 from its posterior, "mode" takes the mean.
        amplitude: beta of Eq. 14, grey levels.

    Returns:
        x_0 and x_1, (N, C, h, w) each.
    """
    noise = batch["moments_noise"] if posterior == "sample" else None
    x_0 = latents_from_moments(batch["moments"], noise, autoencoder.config.scaling_factor)
    if "x_1" in batch:
        return x_0, batch["x_1"]
    mask = perturb(batch["pseudo_mask"], batch["mask_noise"], amplitude)
    return x_0, encode(autoencoder, mask)


def class_share(label: Tensor, size: tuple[int, int]) -> Tensor:
    """The share of each latent cell's pixels that have a class.

    Args:
        label: (N, H, W) int64 ids.
        size: height and width of the latents.

    Returns:
        (N, 1, h, w) float32 in [0, 1].
    """
    return F.adaptive_avg_pool2d((label != IGNORE_INDEX).float()[:, None], size)


def anchor_cross_entropy(
    pseudo_mask: Tensor, label: Tensor, anchors: Tensor, temperature: float
) -> Tensor:
    """Cross-entropy of the softmax over -distance**2 / temperature to every anchor.

    Nearest-anchor decoding made differentiable: a mean of two class colours, which squared error
    prefers under doubt, is punished where it lies nearest to a third class.

    Args:
        pseudo_mask: (N, 3, H, W) decoded, in [-1, 1].
        label: (N, H, W) int64; IGNORE_INDEX is left out.
        anchors: (K, 3) in [-1, 1].
        temperature: in squared units of that range.

    Returns:
        (N,), each the mean over a sample's pixels that have a class.
    """
    logits = -anchor_distances(pseudo_mask, anchors) / temperature
    losses = F.cross_entropy(logits, label, ignore_index=IGNORE_INDEX, reduction="none")
    counted = (label != IGNORE_INDEX).float()
    return losses.sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)
