"""Reading the weight files of the fixed networks that metrics are built on."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from semflow.core.errors import UserError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `path` without running any code that the file may contain.

    Returns the tensors by name, on the CPU, in the dtypes of the file.
    Raises UserError if there is no such file, or if it holds anything but named tensors.
    """
    if not path.is_file():
        raise UserError(f"no metric weights at {path}; place the file there or give its path")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # The message of torch advises to run the code in the file, and takes several lines.
        reason = type(error).__name__
        raise UserError(f"cannot read weights from {path} ({reason}); fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} holds no tensors by name; fetch it again")
    return state


def freeze_with(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Give `network` (may be on the meta device) exactly the tensors in `state`, and freeze it.

    The network is left in eval mode; its parameters ask for no gradient.
    Raises UserError, naming `path`, if a name or a shape differs.
    """
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise UserError(
            f"{path} holds another network: tensor names or shapes differ; give the right file"
        ) from error
    network.eval().requires_grad_(False)
