"""A peer under the same evaluation as the flow: loaded, and asked for the one pass that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from semflow.core.labels import class_table
from semflow.evaluation.evaluate import EvaluationInputs, Loaded
from semflow.evaluation.schema import EvaluateParams
from semflow.networks.encoding import encode
from semflow.networks.sources import load_autoencoder
from semflow.networks.vae_memory import fit_autoencoder
from semflow.peers.system import load_peer


@dataclass(frozen=True)
class PeerInputs(EvaluationInputs):
    """What a peer is measured by; its own folder stands in the place of the checkpoint's.

    Args:
        autoencoder: Folder of the autoencoder whose latents the independent U-Net reads.
    """

    autoencoder: Path

    def folders(self) -> list[Path]:
        """Every folder that is read."""
        return [*super().folders(), self.autoencoder]

    def load(self, about: Mapping[str, Any], device: torch.device) -> Loaded:
        """Loads the peer and the autoencoder.

        Raises:
            UserError: A file is missing or does not fit, or transformers is not installed where
                the peer needs it.
        """
        height, width = about["image_size"]
        names = class_table(about["classes"]).names
        autoencoder = load_autoencoder(self.autoencoder).to(device)
        fit_autoencoder(autoencoder)
        return Loaded(
            load_peer(self.pipeline, names, (height, width), device),
            autoencoder.config.scaling_factor,
            lambda image: encode(autoencoder, image),
        )


def one_pass(params: EvaluateParams) -> EvaluateParams:
    """The same samples and measures, with the only number of steps that a peer has."""
    steps = {"segmentation_steps": (1,), "synthesis_steps": (1,), "adaptive": False}
    return params.model_copy(update=steps)
