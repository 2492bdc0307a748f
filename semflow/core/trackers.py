"""Where training curves go beside DVCLive: those of accelerate's trackers that are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from semflow.core.errors import UserError

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

TRACKERS_VARIABLE = "SEMFLOW_TRACKERS"
DEFAULT_TRACKERS = "tensorboard"
PROJECT = "semflow"
"""Under which Weights & Biases lists runs, unless WANDB_PROJECT says another."""


def _tensorboard(folder: Path, _run: str) -> GeneralTracker:
    from accelerate.tracking import TensorBoardTracker

    return TensorBoardTracker("tensorboard", folder)


def _wandb(folder: Path, run: str) -> GeneralTracker:
    from accelerate.tracking import WandBTracker

    # Offline means that nothing is sent, reports of its own errors included.
    mode = os.environ.setdefault("WANDB_MODE", "offline")
    if mode == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    # It would copy what a stage prints, and its own lines would break the progress line.
    settings = {"console": "off", "silent": True, "disable_git": True, "disable_code": True}
    project = os.environ.get("WANDB_PROJECT") or PROJECT
    return WandBTracker(project, name=run, dir=str(folder), settings=settings)


MAKERS: Mapping[str, tuple[str, Callable[[Path, str], GeneralTracker]]] = {
    "tensorboard": ("train", _tensorboard),
    "wandb": ("trackers", _wandb),
}
"""By name, which is that of the package too: the extra that brings it, and what makes one."""


def chosen_trackers() -> list[str]:
    """The names in SEMFLOW_TRACKERS, TensorBoard where it is not set; none where it is empty.

    Raises:
        UserError: A name is none of MAKERS, or its package is not installed.
    """
    text = os.environ.get(TRACKERS_VARIABLE, DEFAULT_TRACKERS)
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in MAKERS:
            known = ", ".join(MAKERS)
            raise UserError(f"{TRACKERS_VARIABLE} names {name!r}; give any of {known}, or nothing")
        if find_spec(name) is None:
            raise UserError(
                f"{TRACKERS_VARIABLE} asks for {name}, which is not installed; "
                f"run: pip install 'semflow[{MAKERS[name][0]}]'"
            )
    return names


def start_trackers(names: Sequence[str], folder: Path, run: str) -> list[GeneralTracker]:
    """Trackers that are ready for values of a run.

    Args:
        names: Of `chosen_trackers`.
        folder: Exists; each tracker writes into a folder of its own in it.
        run: What the run is called where runs are listed.
    """
    from accelerate import PartialState
    from accelerate.utils import clear_environment

    if not PartialState._shared_state:
        # Trackers want to know which process they are in. Where nobody has asked, a stage works
        # alone, also in a launch, whose other ranks would not answer.
        with clear_environment():
            PartialState(cpu=True)
    started = [MAKERS[name][1](folder, run) for name in names]
    for tracker in started:
        tracker.start()
    return started
