"""What a score says, each distance named by its features."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from semflow.evaluation.presets import ProtocolRecord


class SynthesisScores(BaseModel):
    """Syntheses against photos.

    floor_real: photos in the two halves whose distance is the floor; null where a half would be
        too small. A Frechet distance grows as sets shrink, so that this floor is a little high.
    lpips_gt: mean LPIPS to the photo; null without LPIPS' weights.
    lpips_div: mean LPIPS between samples of one mask; null also where there is one sample a mask.
    lpips_div_samples: samples of each mask that were compared.
    unused_predictions: files that belong to no photo.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
