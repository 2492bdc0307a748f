"""The shape of metrics.json: what an evaluation found, each distance named by its features."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from semflow.core.errors import UserError
from semflow.core.files import read_json, write_json

Precision = Literal["no", "bf16", "fp16"]
"""Of matrix products and convolutions; "no" is float32 throughout."""


def _null_for_nan(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


Score = Annotated[float | None, BeforeValidator(_null_for_nan)]
"""A fraction in [0, 1]; null where there is nothing to measure, for JSON has no nan."""


Interval = tuple[float, float] | None
"""95% of resampled groups of the tested samples lie in it; null for fewer than 3 groups."""


class Result(BaseModel):
    """What is measured: part of metrics.json, or what `semflow score` prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Read = TypeVar("Read", bound=Result)


class ProtocolRecord(Result):
    """What a distance between syntheses and photos depends on; no such number goes without it.

    preset: A name in PRESETS.
    real, fake: Images compared; samples_per_mask: syntheses of one mask among the fake.
    resolution: Height and width that both sets were brought to, pixels.
    resize_filter: By which; squashed_photos: photos whose sides had another ratio, so that they
        were distorted.
    features, features_sha256: The feature network and the checksum of its weight file.
    lpips_sha256: Checksum of LPIPS' backbone; null where no LPIPS was measured.
    versions: Versions of the packages that computed the numbers.
    """

    preset: str
    real: int
    fake: int
    samples_per_mask: int
    resolution: tuple[int, int]
    resize_filter: str
    squashed_photos: int
    features: str
    features_sha256: str
    lpips_sha256: str | None
    versions: dict[str, str]


class SynthesisScores(Result):
    """Syntheses against photos.

    floor_real: Photos in the two halves whose distance is the floor; null where a half would be
        too small. A Frechet distance grows as sets shrink, so that this floor is a little high.
    lpips_gt: Mean LPIPS to the photo; null without LPIPS' weights.
    lpips_div: Mean LPIPS between samples of one mask; null also where there is one sample a mask.
    lpips_div_samples: Samples of each mask that were compared.
    unused_predictions: Files that belong to no photo.
    """

    floor_real: tuple[int, int] | None
    lpips_gt: float | None
    lpips_div: float | None
    lpips_div_samples: int | None
    unused_predictions: int
    protocol: ProtocolRecord


class InceptionScores(SynthesisScores):
    """FID and KID, with the same distances between two halves of the photos."""

    fid: float
    kid: float
    floor_fid: float | None
    floor_kid: float | None


class MobileNetScores(SynthesisScores):
    """Frechet and kernel distance of MobileNetV2's features, which are neither FID nor KID."""

    fd_mobilenetv2: float
    kd_mobilenetv2: float
    floor_fd_mobilenetv2: float | None
    floor_kd_mobilenetv2: float | None


class SegmentationFigures(Result):
    """One segmenter on the tested images, from one confusion matrix over all of them.

    miou: Mean over the classes that occur or are predicted; null, like pixel_accuracy, where no
        pixel has a class.
    miou_without_background: That mean over the other classes, while the background's pixels still
        count as their errors; null where no class is background.
    iou_per_class: In class order; null where a class neither occurs nor is predicted.
    evaluations: Network evaluations of an image, in the mean; null of what solves nothing.
    tolerance: Of a solver that chooses its own steps; null of all others.
    blur: Deviation of the blur before the colour classifier, pixels; null of all others.
    """

    miou: Score
    miou_interval: Interval = None
    miou_without_background: Score
    pixel_accuracy: Score
    pixel_accuracy_interval: Interval = None
    iou_per_class: list[Score]
    evaluations: float | None = None
    tolerance: float | None = None
    blur: float | None = None


class Segmentation(Result):
    """The flow as a segmenter.

    miou, miou_without_background, pixel_accuracy: With the checkpoint's default number of steps.
    oracle_miou, oracle_pixel_accuracy: Of true pseudo-masks encoded and decoded, the ceiling that
        autoencoder and palette allow.
    """

    samples: int
    steps: int
    miou: Score
    miou_interval: Interval = None
    miou_without_background: Score
    pixel_accuracy: Score
    pixel_accuracy_interval: Interval = None
    oracle_miou: Score
    oracle_pixel_accuracy: Score
    by_steps: dict[int, SegmentationFigures]


class SynthesisFigures(Result):
    """The flow as a synthesizer with one sampler.

    fd_mobilenetv2, kd_mobilenetv2: Frechet and kernel distance to the reference images.
    st_lpips_to_truth: Mean distance to the image that the label belongs to; lower is closer.
    roundtrip_miou_unet, roundtrip_miou_semflow: Of the synthesis, segmented again, to the label;
        the second by the checkpoint itself, null where that does not segment.
    evaluations, tolerance: As of SegmentationFigures.
    """

    fd_mobilenetv2: float
    fd_mobilenetv2_interval: Interval = None
    kd_mobilenetv2: float
    kd_mobilenetv2_interval: Interval = None
    st_lpips_to_truth: float
    st_lpips_to_truth_interval: Interval = None
    roundtrip_miou_unet: Score
    roundtrip_miou_unet_interval: Interval = None
    roundtrip_miou_semflow: Score
    roundtrip_miou_semflow_interval: Interval = None
    evaluations: float | None = None
    tolerance: float | None = None


class Synthesis(Result):
    """The flow as a synthesizer.

    floor_fd_mobilenetv2, floor_kd_mobilenetv2: The same distances between two sets of real images
        with nothing in common, of floor_samples: the tested images and the reference, or two
        halves of the tested ones where these are the reference.
    diversity_st_lpips: Mean distance between two syntheses of one label; higher is more diverse.
    diversity_of_images: The same between real images of different labels, for scale; null where it
        was not measured.
    protocol: FID, KID and LPIPS by one of the field's presets, with the default number of steps;
        null where they were not asked for.
    roundtrip_miou: By the independent U-Net, with the checkpoint's default number of steps.
    """

    samples: int
    steps: int
    reference_samples: int
    resolution: tuple[int, int]
    floor_samples: tuple[int, int]
    floor_fd_mobilenetv2: float
    floor_kd_mobilenetv2: float
    diversity_st_lpips: float
    diversity_st_lpips_interval: Interval = None
    diversity_of_images: float | None = None
    roundtrip_miou: Score
    roundtrip_miou_interval: Interval = None
    protocol: InceptionScores | None
    by_steps: dict[int, SynthesisFigures]


class System(Result):
    """One system's figures by sampler: "euler-25" with its number of steps, "dopri5", or "mean".

    segmentation, synthesis: Empty where a system does not go that way.
    """

    segmentation: dict[str, SegmentationFigures]
    synthesis: dict[str, SynthesisFigures]


class StateFigures(Result):
    """How well the flow segments in one straight step from a time on its way.

    t: In [0, 1).
    miou_from_true: mIoU from the true state, on the path between image and perturbed pseudo-mask.
    miou_from_own: mIoU from the state that the solver reaches from the image alone.
    """

    t: float
    miou_from_true: Score
    miou_from_own: Score


class Diagnosis(Result):
    """Where solving loses what a single step knows, and what syntheses lose of the latents.

    samples: Tested samples, spread evenly, that it is made on.
    segmentation_steps: Euler steps whose states `miou_from_own` is of.
    states: By increasing t.
    image_deviations: Standard deviation of each channel of the true image latents, over samples
        and places.
    surviving_shares: By number of solver steps, the same deviations of synthesized image latents,
        divided by the true ones; null where a true one is 0.
    """

    samples: int
    segmentation_steps: int
    states: list[StateFigures]
    image_deviations: list[float]
    surviving_shares: dict[int, list[float | None]]


_ONE_WAY = (
    "this checkpoint {}, and nothing here shows one direction alone; metrics.json has its figures"
)


class Metrics(Result):
    """The whole of metrics.json.

    split: The held-out split that was tested.
    precision: What the checkpoint's networks computed in; what judges them is always in float32.
    groups: Groups of its samples that intervals resample: blocks on Earth, elsewhere each sample.
    systems: Generative systems by name, SemFlow among them.
    segmentation, synthesis: The checkpoint, with its default solver; null where it does not go that
        way, which is so of one of them at most.
    baselines: Discriminative segmenters by name.
    diagnosis: Of a flow between image and mask; null of all others, and in files of versions that
        did not make it.
    """

    split: Literal["val", "test"]
    groups: int
    classes: list[str]
    systems: dict[str, System]
    segmentation: Segmentation | None
    synthesis: Synthesis | None
    baselines: dict[str, SegmentationFigures]
    diagnosis: Diagnosis | None = None
    precision: Precision = "no"

    @property
    def samples(self) -> int:
        """How many samples were tested, the same number either way."""
        return next(way.samples for way in (self.segmentation, self.synthesis) if way is not None)

    def two_way_segmentation(self) -> Segmentation:
        """The segmentation, for what shows both directions.

        Raises:
            UserError: The checkpoint synthesizes alone.
        """
        if self.segmentation is None:
            raise UserError(_ONE_WAY.format("synthesizes and does not segment"))
        return self.segmentation

    def two_way_synthesis(self) -> Synthesis:
        """The synthesis, for what shows both directions.

        Raises:
            UserError: The checkpoint segments alone.
        """
        if self.synthesis is None:
            raise UserError(_ONE_WAY.format("segments and does not synthesize"))
        return self.synthesis


def write_metrics(metrics: Metrics, path: Path) -> None:
    """Writes it with sorted keys."""
    write_json(path, metrics.model_dump(mode="json"))


_NOT_DRAWN = {name for name in SynthesisFigures.model_fields if name.endswith("_interval")} | {
    "tolerance"
}


def write_curves(metrics: Metrics, segmentation: Path, synthesis: Path) -> None:
    """What metrics.json says by numbers of steps, as rows that `dvc plots` draws and compares.

    Args:
        metrics: Of an evaluation.
        segmentation: Receives rows of steps, evaluations, miou and pixel_accuracy.
        synthesis: Receives rows of steps and the figures of `SynthesisFigures`.
    """
    segmented = {} if metrics.segmentation is None else metrics.segmentation.by_steps
    made = {} if metrics.synthesis is None else metrics.synthesis.by_steps
    write_json(
        segmentation,
        [
            {
                "steps": steps,
                "evaluations": value.evaluations,
                "miou": value.miou,
                "pixel_accuracy": value.pixel_accuracy,
            }
            for steps, value in sorted(segmented.items())
        ],
    )
    write_json(
        synthesis,
        [
            {"steps": steps, **value.model_dump(mode="json", exclude=_NOT_DRAWN)}
            for steps, value in sorted(made.items())
        ],
    )


def read_metrics(path: Path) -> Metrics:
    """Reads metrics.json.

    Raises:
        UserError: It is absent or of another version.
    """
    return read_result(path, Metrics)


def read_result(path: Path, model: type[Read]) -> Read:
    """Reads a file that an evaluation has written.

    Args:
        path: JSON.
        model: The whole of it.

    Raises:
        UserError: It is absent or of another version.
    """
    try:
        return model.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(
            f"{path} does not fit this version ({error.error_count()} misfits); "
            "run: dvc repro evaluate"
        ) from None
