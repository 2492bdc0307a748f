"""The loss of one batch: velocity regression (Eq. 10), and classification by anchors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semflow.core.labels import IGNORE_INDEX
from semflow.formulations.protocol import Draw, Formulation, Randoms
from semflow.formulations.schema import FlowParams
from semflow.networks.anchors import anchor_distances
from semflow.networks.encoding import Autoencoder, decode, encode, latents_from_moments
from semflow.networks.ends import Ends
from semflow.networks.statistics import LatentStatistics
from semflow.pseudo_masks.noise import Noise, perturb
from semflow.training.samples import TrainingSample

Autocast = Callable[[], AbstractContextManager[Any]]
"""Makes the context that a frozen autoencoder runs in: the trained network's own precision."""


class Losses(NamedTuple):
    """Scalars of one batch: the weighted sum and its unweighted terms."""

    total: Tensor
    velocity: Tensor
    anchor: Tensor


@dataclass(frozen=True)
class Task:
    """What does not change from batch to batch.

    Args:
        formulation: What the network is asked, and what it should answer.
        autoencoder: Encodes the perturbed pseudo-masks and decodes the one-step estimate.
        statistics: What the network is preconditioned by, if anything.
        ends: How both ends are brought to one scale, if they are.
        anchors: (K, 3) in [-1, 1].
        noise: Perturbs pseudo-masks.
        autocast: Of the autoencoder; what it returns is float32 again.
    """

    formulation: Formulation
    autoencoder: Autoencoder
    statistics: LatentStatistics | None
    ends: Ends | None
    anchors: Tensor
    noise: Noise
    autocast: Autocast = nullcontext


def flow_losses(
    network: nn.Module, task: Task, batch: TrainingSample, params: FlowParams
) -> Losses:
    """Both terms on one batch.

    Args:
        network: What is trained, or its distributed wrapper.
        task: What it is trained for.
        batch: On the network's device.
        params: Weights and draws.
    """
    x_0, x_1 = end_points(task.autoencoder, batch, params.posterior, task.noise, task.autocast)
    if task.ends is not None:
        x_0, x_1 = task.ends.image_in(x_0), task.ends.mask_in(x_1)
    draw = task.formulation.draw(network, x_0, x_1, randoms_of(batch), params)
    output = network(draw.x_t, draw.t)
    anchor_loss, correction = _anchor_terms(task, draw, output, batch, params)
    velocity_loss = _velocity_loss(task, draw, output - draw.target + correction, batch, params)
    total = params.velocity_loss_weight * velocity_loss + params.anchor_loss_weight * anchor_loss
    return Losses(total, velocity_loss.detach(), anchor_loss.detach())


def randoms_of(batch: TrainingSample) -> Randoms:
    """The part of a batch that the formulation draws from."""
    steps = int(batch["own_steps"][0]) if "own_steps" in batch else 1
    return Randoms(batch["uniform"], batch.get("noise"), batch.get("own_uniform"), steps)


def _velocity_loss(
    task: Task, draw: Draw, error: Tensor, batch: TrainingSample, params: FlowParams
) -> Tensor:
    """Mean square of the errors (N, C, h, w), each channel in units of its own."""
    error = error * channel_weights(task.ends, params)
    if task.statistics is not None and params.preconditioning is not None:
        scale = task.statistics.on_path(draw.unit_t).residual ** params.preconditioning.loss_power
        error = error / scale[:, :, None, None]
    squared = error.square() * draw.weight.view(len(error), -1, 1, 1)
    if params.ignored == "masked":
        squared = squared * class_share(batch["label"], (error.shape[2], error.shape[3]))
    return squared.mean()


def channel_weights(ends: Ends | None, params: FlowParams) -> Tensor | float:
    """(C, 1, 1), what standardised errors are multiplied by: 1 where ends are as they were.

    Between standardised ends all channels count alike, also those that hardly show in a pixel. The
    power that tempers the loss's units tempers these too: at 1 they stay alike, at 0 they are in
    the latents' own units.
    """
    if ends is None or params.preconditioning is None:
        return 1.0
    deviation = ends.deviation.square().sum(dim=0).sqrt()[:, None, None]
    return (deviation / deviation.square().mean().sqrt()) ** (1 - params.preconditioning.loss_power)


def _anchor_terms(
    task: Task, draw: Draw, output: Tensor, batch: TrainingSample, params: FlowParams
) -> tuple[Tensor, Tensor | float]:
    """Cross-entropy of the decoded one-step estimates where it is asked, and its correction.

    The correction is the loss's gradient by the estimate, for the velocity's target, with no
    gradient of its own (FlowSeg, arXiv 2603.19218): unlike the loss itself it does not fade with
    1 - t.
    """
    asked = {"image": draw.t == 0, "own": (draw.t == 0) | draw.own, "all": draw.t < 1}
    rows = asked[params.anchor_states]
    if max(params.anchor_loss_weight, params.correction_weight) == 0 or not bool(rows.any()):
        return output.new_zeros(()), 0.0
    # Only the rows that are asked: decoding is dear.
    estimate = task.formulation.mask_estimate(draw, output)[rows]
    losses = _estimate_losses(task, estimate, batch["label"][rows], params)
    # By the expected number of such samples and not by that of this batch: then the loss of a
    # batch is the mean over its parts, however processes share it.
    loss = losses.sum() / (len(draw.t) * params.anchor_share)
    if params.correction_weight == 0:
        return loss, 0.0
    # The loss's own way back is needed again, where the loss counts by itself.
    counts = params.anchor_loss_weight > 0
    (gradient,) = torch.autograd.grad(losses.sum(), estimate, retain_graph=counts)
    correction = torch.zeros_like(output)
    # The loss is a mean over pixels: per latent cell its gradient shrinks as images grow.
    cells = output.shape[2] * output.shape[3]
    correction[rows] = params.correction_weight * cells * gradient
    return loss if counts else loss.detach(), correction


def _estimate_losses(task: Task, estimate: Tensor, label: Tensor, params: FlowParams) -> Tensor:
    """(N,), the cross-entropy of estimated mask latents (N, C, h, w)."""
    latents = estimate if task.ends is None else task.ends.mask_out(estimate)
    with task.autocast():
        pseudo_mask = decode(task.autoencoder, latents)
    return anchor_cross_entropy(pseudo_mask.float(), label, task.anchors, params.anchor_temperature)


@torch.no_grad()
def end_points(
    autoencoder: Autoencoder,
    batch: TrainingSample,
    posterior: str,
    mask_noise: Noise,
    autocast: Autocast = nullcontext,
) -> tuple[Tensor, Tensor]:
    """The two ends of each sample's path.

    Args:
        autoencoder: encodes the perturbed pseudo-masks where their latents are not cached.
        batch: on the autoencoder's device.
        posterior: "sample" draws x_0 from its posterior, "mode" takes the mean.
        mask_noise: Perturbs pseudo-masks, and their latents where it has a part for these.
        autocast: Of the autoencoder.

    Returns:
        x_0 and x_1, (N, C, h, w) float32 each.
    """
    noise = batch["moments_noise"] if posterior == "sample" else None
    x_0 = latents_from_moments(batch["moments"], noise, autoencoder.config.scaling_factor)
    if "x_1" in batch:
        x_1 = batch["x_1"]
    else:
        mask = perturb(batch["pseudo_mask"], batch["mask_noise"], mask_noise.amplitude)
        with autocast():
            x_1 = encode(autoencoder, mask)
        x_1 = x_1.float()
    if "latent_noise" in batch:
        x_1 = x_1 + mask_noise.latents * batch["latent_noise"]
    return x_0, x_1


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
