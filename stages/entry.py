"""How every stage starts, and how it fails: a user's mistake is one line and exit code 2."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from semflow.core.disks import NO_ROOM, refusal_of
from semflow.core.errors import Busy, UserError
from semflow.core.files import read_json, write_json
from semflow.core.outcomes import BUSY, EXIT_CODES, MISTAKE, noted_outcome
from semflow.core.terminal import printable
from semflow.params.fields import StageParams
from semflow.params.rows import is_row, read_item_params, read_row

Params = TypeVar("Params", bound=StageParams)


class Folders:
    """Where a data set's artifacts lie; dvc.yaml names the same paths."""

    def __init__(self, dataset: str) -> None:
        self.raw = Path("data/raw") / dataset
        self.index = Path("data/index") / dataset
        self.shards = Path("data/shards") / dataset
        self.pseudo_masks = Path("data/pseudo_masks") / dataset
        self.image_latents = Path("data/image_latents") / dataset
        self.mask_latents = Path("data/mask_latents") / dataset
        self.autoencoder = Path("models") / dataset / "autoencoder"
        self.backbone = Path("models") / dataset / "backbone"
        self.pipeline = Path("models") / dataset / "pipeline"
        self.baseline = Path("models") / dataset / "baseline"
        self.metric_weights = Path("models/metrics")
        self.metrics = Path("reports") / dataset / "metrics.json"
        self.details = Path("reports") / dataset / "details.json"
        self.segmentation_curve = Path("reports") / dataset / "segmentation_by_steps.json"
        self.synthesis_curve = Path("reports") / dataset / "synthesis_by_steps.json"
        self.report = Path("reports") / dataset / "index.html"
        self.runtime = Path("reports") / dataset / "runtime.json"


def folders_of(item: str) -> Folders:
    """The folders of a data set, or those of a row: the data set's, but for what the row makes.

    Raises:
        UserError: Study/rows.yaml has no such row.
    """
    if not is_row(item):
        return Folders(item)
    row = read_row(item)
    folders = Folders(row.dataset)
    folders.pseudo_masks = Path("data/pseudo_masks") / row.masks
    folders.mask_latents = Path("data/mask_latents") / row.masks
    folders.pipeline = Path("models") / item / ("peer" if row.is_peer else "pipeline")
    results = Path("study/results") / item
    folders.metrics = results / "metrics.json"
    folders.details = results / "details.json"
    folders.segmentation_curve = results / "segmentation_by_steps.json"
    folders.synthesis_curve = results / "synthesis_by_steps.json"
    folders.report = results / "index.html"
    folders.runtime = results / "runtime.json"
    return folders


def run(stage: Callable[[str, Params, Folders], None], model: type[Params]) -> None:
    """Runs a stage for the data set or row on the command line; all ranks of a launch run it.

    Args:
        stage: Takes the data set's or row's name, its parameters and folders.
        model: The groups of params.yaml that the stage reads.
    """

    def named() -> None:
        """Runs it and notes how long it took."""
        if len(sys.argv) != 2:
            raise UserError(f"usage: python -m stages.{_name()} DATASET")
        item = sys.argv[1]
        folders = folders_of(item)
        started = time.monotonic()
        stage(item, read_item_params(item, model), folders)
        if _is_first_rank():
            note_runtime(folders.runtime, _name(), time.monotonic() - started)

    _say_mistakes(named)


def run_once(stage: Callable[[str, Params, Folders], None], model: type[Params]) -> None:
    """Runs a stage that shares no work between ranks: of a launch, the first one does it all."""
    if _is_first_rank():
        run(stage, model)


def run_plain(stage: Callable[[], None]) -> None:
    """Runs a stage that belongs to no data set, once like `run_once`."""
    if _is_first_rank():
        _say_mistakes(stage)


def note_runtime(path: Path, stage: str, seconds: float) -> None:
    """Notes how long a stage took the last time it ran; nothing depends on the file.

    What is no note is written anew, and a place that takes none is passed over: a finished stage
    must not fail over it.
    """
    known: object = None
    with suppress(UserError, OSError):
        known = read_json(path)
    noted = known if isinstance(known, dict) else {}
    with suppress(OSError, ValueError):
        write_json(path, {**noted, stage: {"seconds": round(seconds, 1)}})


def _say_mistakes(stage: Callable[[], None]) -> None:
    """Runs it, its outcome noted for who has started it."""
    try:
        with noted_outcome():
            _on_disk(stage)
    except UserError as error:
        # In one piece: ranks that stop at once share the stream.
        sys.stderr.write(f"error: {printable(str(error))}\n")
        sys.exit(EXIT_CODES[BUSY if isinstance(error, Busy) else MISTAKE])


def _on_disk(stage: Callable[[], None]) -> None:
    """Runs it; a disk that is full or takes nothing is the user's to mend."""
    try:
        stage()
    except UserError:
        raise
    except Exception as error:
        refused = refusal_of(error)
        if refused is None:
            raise
        what = f"{refused.strerror}: {refused.filename or 'the disk'}"
        if refused.errno in NO_ROOM:
            said = f"no room is left ({what}); free some"
        else:
            said = f"a file cannot be read or written ({what}); allow it"
        raise UserError(f"{said} and run the same command, which goes on from here") from error


def _name() -> str:
    return Path(sys.argv[0]).stem


def _is_first_rank() -> bool:
    # torchrun and accelerate's launcher number the processes of a launch so.
    return os.environ.get("RANK", "0") == "0"
