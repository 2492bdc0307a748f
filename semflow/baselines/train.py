"""Both baselines of a data set, fitted to the samples that the flow sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semflow.baselines.color_classifier import fit_color_classifier, save_color_classifier
from semflow.baselines.unet import save_segmenter, train_segmenter
from semflow.core.files import whole_folder, write_json
from semflow.core.provenance import PROVENANCE
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import new_accelerator, training_provenance, working_folder
from semflow.training.inputs import TrainingInputs, open_training_samples
from semflow.training.masks import NoMasks
from semflow.training.schema import TrainParams

PARAMETERS: dict[str, Any] = {
    "baseline": True,
    "shards": {"image_size"},
    "train": set(TrainParams.model_fields) - {"learning_rate"},
}
"""What the stage reads of a data set's block; dvc.yaml declares the same."""


def train_baselines(inputs: TrainingInputs, params: DatasetParams, out: Path) -> None:
    """Fits and saves both.

    Args:
        inputs: shards, latents, autoencoder and backbone.
        params: the data set's block.
        out: receives `color_classifier.safetensors`, `unet/` and `null_prompt/`, whole or not at
            all.
    """
    accelerator = new_accelerator(params.train)
    samples = open_training_samples(inputs, params.train.seed, NoMasks())
    parameters = params.model_dump(mode="json", include=PARAMETERS)
    provenance = training_provenance(parameters, inputs.folders(), accelerator)
    with working_folder("baseline", inputs.dataset, provenance, accelerator) as scratch:
        checkpoints = Checkpoints(scratch)
        segmenter = train_segmenter(inputs, params, samples, accelerator, checkpoints)
        if accelerator.is_main_process:
            classifier = fit_color_classifier(read_manifest(inputs.pixels / "train"))
            with whole_folder(out) as folder:
                save_color_classifier(classifier, folder / "color_classifier.safetensors")
                save_segmenter(segmenter, folder)
                write_json(folder / PROVENANCE, provenance.as_json())
