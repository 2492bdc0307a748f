"""A checkpoint with its card in a folder of its own, and that folder on a hub.

The card is no file of the stage's output: a checkpoint that dvc.lock knows would change by it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from semflow.card.origins import Origin
from semflow.card.page import PICTURE, Card, text
from semflow.card.picture import held_out_picture
from semflow.core.errors import UserError
from semflow.core.files import write_text
from semflow.core.provenance import read_provenance
from semflow.evaluation.results import read_metrics
from semflow.pipeline import load_pipeline
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_bytes

SAMPLES = 8
SEEDS = (0, 1)


@dataclass(frozen=True)
class CardInputs:
    """Folders and files that a card is made from.

    Args:
        pipeline: The checkpoint.
        metrics: File metrics.json of its evaluation.
        shards: Pixel shards, a folder for each split.
    """

    pipeline: Path
    metrics: Path
    shards: Path


def write_card_folder(dataset: str, origin: Origin, inputs: CardInputs, out: Path) -> None:
    """Copies a checkpoint and adds README.md, its picture and metrics.json.

    Args:
        dataset: Name of the data set.
        origin: Whose data it is.
        inputs: What the card is made from.
        out: A folder that does not exist.

    Raises:
        UserError: An input is missing, the metrics are of other classes, or the folder exists.
    """
    if out.exists():
        raise UserError(f"{out} exists; name another folder by --out")
    metrics = read_metrics(inputs.metrics)
    pipeline = load_pipeline(inputs.pipeline)
    config = pipeline.config
    if list(config.class_names) != metrics.classes:
        cure = f"run: dvc repro evaluate@{dataset}"
        raise UserError(f"{inputs.metrics} has other classes than {inputs.pipeline}; {cure}")
    made = read_provenance(inputs.pipeline)
    if made is None:
        raise UserError(f"{inputs.pipeline} notes no provenance; train it anew")
    height, width = config.image_size
    card = Card(
        dataset=dataset,
        origin=origin,
        metrics=metrics,
        image_size=(height, width),
        solver=config.solver,
        parameters=made.parameters,
        versions=made.versions,
        seeds=SEEDS if metrics.synthesis is not None else (),
    )
    tested = ShardFolder(read_manifest(inputs.shards / metrics.split))
    picture = held_out_picture(pipeline, tested, SAMPLES, card.seeds)
    shutil.copytree(inputs.pipeline, out)
    shutil.copyfile(inputs.metrics, out / "metrics.json")
    (out / PICTURE).write_bytes(png_bytes(picture))
    write_text(out / "README.md", text(card))


def push_folder(folder: Path, repo_id: str, private: bool) -> str:
    """Uploads a folder to a model repository of the Hugging Face hub, which is made if need be.

    Args:
        folder: All of it goes, byte for byte.
        repo_id: "owner/name".
        private: Whether a repository that is made here is private.

    Returns:
        The commit's address.

    Raises:
        UserError: The hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    # The bases of the package's own error are those of the client that it speaks through.
    bases = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)
    failures: tuple[type[Exception], ...] = (*bases, HFValidationError, ValueError)
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo_id, folder_path=folder)
    except failures as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"cannot push to {repo_id} ({reason}); log in by: hf auth login") from None
    return str(commit.commit_url)
