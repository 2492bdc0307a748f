"""Sharded parameters (FSDP2): asked for by accelerate's configuration, whole again when saved."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils import convert_outputs_to_fp32, str_to_bool
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor

from semflow.core.errors import UserError

UNITS = (ResnetBlock2D, Transformer2DModel)
"""Modules whose parameters are gathered and let go together."""


def shard_where_asked(accelerator: Accelerator) -> None:
    """Sees to it that a configuration with FSDP holds on CPUs too.

    accelerate passes over it there without a word, although torch shards on CPUs as on GPUs.

    Raises:
        UserError: the configuration asks for FSDP's first version.
    """
    if not str_to_bool(os.environ.get("ACCELERATE_USE_FSDP") or "false"):
        return
    state = accelerator.state
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.fsdp_plugin = FullyShardedDataParallelPlugin()
        state.distributed_type = DistributedType.FSDP
    if state.distributed_type == DistributedType.FSDP and not accelerator.is_fsdp2:
        version = state.fsdp_plugin.fsdp_version
        raise UserError(f"accelerate's configuration has fsdp_version {version}; set it to 2")


def prepare(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[nn.Module, Any]:
    """Spreads a model and its optimizer over the processes.

    Args:
        accelerator: says how.
        model: on the accelerator's device; with FSDP its parameters become shards, in place.
        optimizer: of its parameters, before its first step.

    Returns:
        What is called in place of the model, and what steps in place of the optimizer.
    """
    if accelerator.is_fsdp2:
        # Shards are rows of contiguous parameters.
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        units = {type(module).__name__ for module in model.modules() if isinstance(module, UNITS)}
        # accelerate reads here what its policy TRANSFORMER_BASED_WRAP wraps.
        model._no_split_modules = sorted(units)  # type: ignore[assignment]
        # Precision means what it does without sharding. FSDP's own policy would round the inputs
        # too, and t to one part in 256.
        accelerator.state.fsdp_plugin.mixed_precision_policy = None
        model.forward = convert_outputs_to_fp32(accelerator.autocast()(model.forward))
    wrapped, prepared = accelerator.prepare(model, optimizer)
    return wrapped, prepared


def own_parts(parameters: Iterable[Tensor]) -> list[Tensor]:
    """What this process holds of each parameter, sharing its memory: a shard, or all of it."""
    return [p.to_local() if isinstance(p, DTensor) else p for p in parameters]


def gathered(part: Tensor, parameter: Tensor) -> Tensor:
    """The whole of which this process and the others hold parts; all processes must call it.

    Args:
        part: shaped as this process's part of the parameter.
        parameter: may be sharded.
    """
    if not isinstance(parameter, DTensor):
        return part
    shared = DTensor.from_local(
        part,
        parameter.device_mesh,
        parameter.placements,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
    return shared.full_tensor().cpu()


def own_part(tensor: Tensor, parameter: Tensor) -> Tensor:
    """The inverse of `gathered`; every process must give the same tensor."""
    if not isinstance(parameter, DTensor):
        return tensor
    mesh, placements = parameter.device_mesh, parameter.placements
    tensor = tensor.to(parameter.device)
    return distribute_tensor(tensor, mesh, placements, src_data_rank=None).to_local()


def forget_gathered(model: nn.Module) -> None:
    """Lets go of parameters that a forward pass without a backward pass has left gathered.

    Otherwise the next forward pass would take them, and not what has been written to the shards.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
