"""The sheet of one data set: everything that its block of params.yaml will cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semflow.core.files import read_json
from semflow.cost.autoencoders import AutoencoderCost, autoencoder_cost
from semflow.cost.disk import Disk, disk_of
from semflow.cost.hardware import GPU_TABLE, gpu_hours
from semflow.cost.layers import Size, Tally, Work
from semflow.cost.samples import Samples, samples_of
from semflow.cost.unet import configured_shape, input_convolution, scratch_shape, unet_tally
from semflow.formulations.schema import FlowParams
from semflow.networks.known import known_config
from semflow.networks.schema import (
    AutoencoderParams,
    BackboneParams,
    FolderSource,
    HubSource,
    ScratchAutoencoder,
    ScratchBackbone,
)
from semflow.schema import DatasetParams

CONFIG = "config.json"
_EVALUATIONS = {"midpoint": 2, "heun": 2}
"""Of the network in one step of a solver; all others ask it once."""


@dataclass(frozen=True)
class TrainingWork:
    """Operations of one training step over all processes, by what they are for.

    Args:
        network: The velocity field forward and backward.
        own_states: Its passes without gradient on the way to own states, in the mean.
        masks: Encoding of perturbed pseudo-masks where none are cached.
        anchors: Decoding for the anchor loss and its correction, forward and backward, in the mean.
    """

    network: Work
    own_states: Work
    masks: Work
    anchors: Work

    @property
    def in_precision(self) -> Work:
        """What runs in `train.mixed_precision`; the autoencoder stays in float32."""
        return self.network + self.own_states

    @property
    def in_float32(self) -> Work:
        """What the autoencoder does."""
        return self.masks + self.anchors


@dataclass(frozen=True)
class Memory:
    """Bytes on every process that holds whole parameters; activations come on top.

    Args:
        weights: float32.
        gradients: float32.
        moments: AdamW's two, float32.
        average: Exponential moving average of the weights, float32, where `train.ema_decay` > 0.
        half_weights: The copy that a forward pass in bf16 or fp16 casts.
        autoencoder: float32, frozen.
    """

    weights: int
    gradients: int
    moments: int
    average: int
    half_weights: int
    autoencoder: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Sheet:
    """What `semflow cost` says.

    Args:
        dataset: Its name.
        params: Its block.
        samples: Of each split.
        network: Parameters, and operations of one pass of one sample.
        autoencoder: Likewise each way, and the latents' shape.
        training: Operations of one step.
        segment: Operations of one segmented image, by the checkpoint's solver.
        synthesize: Operations of one synthesized image.
        ahead: Operations of all encoding ahead of training.
        memory: On a process.
        disk: Of every cache.
        hours: By GPU, of the whole training and of encoding ahead, on 8 of a kind.
        utilisation: Share of the GPUs' peaks that `hours` assumes.
        solver_steps: Of segmentation and of synthesis.
    """

    dataset: str
    params: DatasetParams
    samples: Samples
    network: Tally
    autoencoder: AutoencoderCost
    training: TrainingWork
    segment: Work
    synthesize: Work
    ahead: Work
    memory: Memory
    disk: Disk
    hours: dict[str, tuple[float, float]]
    utilisation: float
    solver_steps: tuple[int, int]


def make_sheet(
    dataset: str,
    params: DatasetParams,
    index: Path,
    utilisation: float,
    num_steps: int | None = None,
) -> Sheet:
    """The sheet of one data set.

    Args:
        dataset: Its name.
        params: Its block.
        index: Folder of its index, which need not be there.
        utilisation: Share of a GPU's peak that is reached, in (0, 1].
        num_steps: Of the solver both ways; None for the block's own.

    Raises:
        UserError: A network's or the data set's size is not known.
    """
    image = Size(*params.shards.image_size)
    samples = samples_of(dataset, params.index, index)
    config, source = _autoencoder_config(params.autoencoder)
    coder = autoencoder_cost(config, image, source)
    network, first = _backbone(params.backbone, coder)
    training = training_work(params, network, first, coder)
    inference = params.inference
    steps = (num_steps or inference.segment_steps, num_steps or inference.synthesize_steps)
    ends = coder.encoder.times(1) + coder.decoder.times(1)
    passes = [_EVALUATIONS.get(inference.solver, 1) * count for count in steps]
    ahead = coder.encoder.times(_encoded_ahead(params, samples))
    return Sheet(
        dataset,
        params,
        samples,
        network,
        coder,
        training,
        segment=network.times(passes[0]) + ends,
        synthesize=network.times(passes[1]) + ends,
        ahead=ahead,
        memory=memory_of(params, network, coder),
        disk=disk_of(samples, params.shards, params.latents, coder.channels, coder.latents),
        hours=_hours(params, training, ahead, utilisation),
        utilisation=utilisation,
        solver_steps=steps,
    )


def training_work(
    params: DatasetParams, network: Tally, first: Tally, coder: AutoencoderCost
) -> TrainingWork:
    """Operations of one training step.

    A backward pass is two products for each of the forward pass, by the weights and by the input,
    of which the first layer does only the first.
    """
    flow, batch = params.flow, params.train.batch_size
    own = 0.0
    if flow.own_states is not None:
        between = 1 - flow.probability_at_image - flow.probability_at_mask
        own = flow.own_states.share * between * (1 + flow.own_states.max_steps) / 2
    online = params.latents.mask_noise == "online"
    return TrainingWork(
        network=network.times(3 * batch) + first.times(-batch),
        own_states=network.times(own * batch),
        masks=coder.encoder.times(batch if online else 0),
        anchors=coder.decoder.times(batch * _decoder_passes(flow)),
    )


def memory_of(params: DatasetParams, network: Tally, coder: AutoencoderCost) -> Memory:
    """What a process holds besides activations: 4 bytes a number, 2 in half precision."""
    weights = 4 * network.parameters
    return Memory(
        weights,
        gradients=weights,
        moments=2 * weights,
        average=weights if params.train.ema_decay > 0 else 0,
        half_weights=0 if params.train.mixed_precision == "no" else weights // 2,
        autoencoder=4 * coder.parameters,
    )


def _decoder_passes(flow: FlowParams) -> float:
    """Of the frozen decoder, whose way back is one product for each forward one."""
    uses = (flow.anchor_loss_weight > 0) + (flow.correction_weight > 0)
    return flow.anchor_share * (1 + uses) if uses else 0.0


def _encoded_ahead(params: DatasetParams, samples: Samples) -> int:
    """Images and masks that are encoded before training, mirror images counted."""
    crops = 1 if params.shards.crops is None else params.shards.crops.per_image
    train = samples.train * crops
    drawn = params.latents.mask_noise != "online"
    masks = train * params.latents.mask_draws if drawn else 0
    return 2 * (train + samples.measured + masks)


def _hours(
    params: DatasetParams, training: TrainingWork, ahead: Work, utilisation: float
) -> dict[str, tuple[float, float]]:
    flexible = training.in_precision.times(params.train.steps)
    single = training.in_float32.times(params.train.steps)
    half = flexible
    if params.train.mixed_precision == "no":
        half, single = Work(), single + flexible
    return {
        gpu.name: (
            gpu_hours(half, single, gpu, utilisation),
            gpu_hours(Work(), ahead, gpu, utilisation),
        )
        for gpu in GPU_TABLE
    }


def _autoencoder_config(source: AutoencoderParams) -> tuple[Mapping[str, Any], str]:
    if isinstance(source, ScratchAutoencoder):
        return {"_class_name": "PatchAutoencoder", **source.model_dump()}, "params.yaml"
    return _config(source, "")


def _backbone(source: BackboneParams, coder: AutoencoderCost) -> tuple[Tally, Tally]:
    """The network, and its first layer."""
    if isinstance(source, ScratchBackbone):
        shape = scratch_shape(source, coder.channels)
    else:
        shape = configured_shape(*_config(source, "unet"))
    return unet_tally(shape, coder.latents), input_convolution(shape, coder.latents)


def _config(source: FolderSource | HubSource, subfolder: str) -> tuple[Mapping[str, Any], str]:
    """diffusers' configuration of a network, and what errors call it."""
    if isinstance(source, FolderSource):
        path = Path(source.path) / subfolder / CONFIG
        return read_json(path), path.as_posix()
    return known_config(source.repo_id, source.subfolder), f"{source.repo_id}/{source.subfolder}"
