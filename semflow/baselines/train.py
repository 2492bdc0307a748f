"""Both baselines of a data set, fitted to the samples that the flow sees."""

from __future__ import annotations

from pathlib import Path

from semflow.baselines.color_classifier import choose_color_classifier, save_color_classifier
from semflow.baselines.schema import BaselineStage
from semflow.baselines.unet import save_segmenter, train_segmenter
from semflow.core.files import whole_folder, write_json
from semflow.core.provenance import PROVENANCE
from semflow.core.resume import resumable
from semflow.core.seals import seal
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.training.checkpoints import Checkpoints
from semflow.training.environment import new_accelerator, training_hardware
from semflow.training.inputs import ModelInputs, open_latents, open_split
from semflow.training.samples import NoMasks, TrainingSamples


def train_baselines(inputs: ModelInputs, params: BaselineStage, out: Path) -> None:
    """Fits and saves both; a killed run goes on where it was.

    Args:
        inputs: Shards, latents, autoencoder and backbone.
        params: What the stage reads of the data set's block.
        out: Receives `color_classifier.safetensors`, `unet/`, `null_prompt/` and
            `scaling.safetensors`, whole or not at all.

    Raises:
        UserError: A bad shard, or a loss that is not finite.
    """
    accelerator = new_accelerator(params.train)
    parameters = params.model_dump(mode="json")
    hardware = training_hardware(accelerator, params.train.batch_size)
    pixels = open_split(inputs.dataset, "shards", inputs.pixels, accelerator)
    val = read_manifest(inputs.pixels / "val")
    latents = open_latents(
        inputs.dataset, "image_latents", inputs.image_latents, pixels, accelerator
    )
    mirrored, seed = inputs.classes().mirrored, params.train.seed
    samples = TrainingSamples(ShardFolder(pixels), "label.png", latents, NoMasks(), mirrored, seed)
    height, width = pixels.about["image_size"]
    with resumable(
        "baseline", inputs.dataset, parameters, inputs.folders(), accelerator, hardware
    ) as work:
        checkpoints = Checkpoints(work.folder)
        segmenter = train_segmenter(
            inputs, params, (height, width), samples, accelerator, checkpoints
        )
        if accelerator.is_main_process:
            classifier = choose_color_classifier(pixels, val, params.baseline.color_blur)
            with whole_folder(out) as folder:
                save_color_classifier(classifier, folder / "color_classifier.safetensors")
                save_segmenter(segmenter, folder)
                write_json(folder / PROVENANCE, work.provenance.as_json())
                seal(folder)
