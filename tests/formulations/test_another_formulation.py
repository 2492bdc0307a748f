"""A formulation that no module names: registered, it trains, is saved and segments as any other."""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny import CHANNELS, TinyDataset, flow_inputs, train_stage
from support.tiny_data import SIZE
from torch import Generator, Tensor

from semflow.core.errors import UserError
from semflow.core.files import read_json
from semflow.flow.solvers import Solver
from semflow.formulations.protocol import Draw, Learner, Network, Randoms
from semflow.formulations.registry import FORMULATIONS
from semflow.formulations.schema import FlowParams
from semflow.inference import latent_pipeline
from semflow.pipeline import load_pipeline
from semflow.schema import DatasetParams
from semflow.shards.manifest import read_manifest
from semflow.shards.reading import ShardFolder
from semflow.shards.tar import png_pixels
from semflow.training import assembly, flow
from tools.closure import ROOT, imports_of


class Ends:
    """From an end with a noisy second half, the network tells both ends at once."""

    name = "ends"
    samplers = ("at_once", "halfway")
    starts_from_noise = False
    segments = synthesizes = True

    def in_channels(self, latent_channels: int) -> int:
        return 2 * latent_channels

    def out_channels(self, latent_channels: int) -> int:
        return 2 * latent_channels

    def noises(self, params: FlowParams) -> int:
        return 1

    def draw(
        self, network: Learner, x_0: Tensor, x_1: Tensor, randoms: Randoms, params: FlowParams
    ) -> Draw:
        assert randoms.noise is not None
        t = (randoms.uniform >= 0.5).float()
        known = torch.where(t[:, None, None, None] == 0, x_0, x_1)
        weight = torch.full_like(t, 2.0)
        x_t, target = torch.cat([known, randoms.noise], dim=1), torch.cat([x_0, x_1], dim=1)
        return Draw(x_t, t, target, weight, unit_t=t, own=torch.zeros_like(t).bool())

    def mask_estimate(self, draw: Draw, output: Tensor) -> Tensor:
        return output.chunk(2, dim=1)[1]

    def to_mask(
        self, network: Network, x_0: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        return network(self._with_nothing(x_0), self._time(0.0, solver.name)).chunk(2, dim=1)[1]

    def to_image(
        self, network: Network, x_1: Tensor, solver: Solver, generators: Sequence[Generator]
    ) -> Tensor:
        return network(self._with_nothing(x_1), self._time(1.0, solver.name)).chunk(2, dim=1)[0]

    def _with_nothing(self, x: Tensor) -> Tensor:
        return torch.cat([x, torch.zeros_like(x)], dim=1)

    def _time(self, end: float, sampler: str) -> float:
        return end if sampler == "at_once" else 0.5


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the registry, wherever that is read."""
    formulations = types.MappingProxyType({**FORMULATIONS, "ends": Ends()})
    for module in (assembly, flow, latent_pipeline):
        monkeypatch.setattr(module, "FORMULATIONS", formulations)


def train(models: Path, dataset: TinyDataset, params: DatasetParams) -> Path:
    """A checkpoint of a few steps."""
    stage = train_stage(params)
    # The schema knows the registry's own names only.
    changes = {"formulation": "ends", "preconditioning": None, "anchor_loss_weight": 1.0}
    settings = {"steps": 60, "learning_rate": 0.02, "batch_size": 5, "log_every": 60}
    stage = stage.model_copy(
        update={
            "flow": stage.flow.model_copy(update=changes),
            "train": stage.train.model_copy(update=settings),
            "inference": stage.inference.model_copy(update={"solver": "at_once"}),
        }
    )
    flow.train_flow(flow_inputs(dataset, models, models / "masks"), stage, models / "out")
    return models / "out"


def test_it_trains_and_segments_and_synthesizes_by_the_same_code(
    tiny_models: Path, dataset: TinyDataset, params: DatasetParams
) -> None:
    trained = train(tiny_models, dataset, params)
    config = read_json(trained / "model_index.json")
    assert (config["formulation"], config["solver"]) == ("ends", "at_once")
    checkpoint = load_pipeline(trained)
    unet = checkpoint.unet.config
    assert (unet.in_channels, unet.out_channels) == (2 * CHANNELS, 2 * CHANNELS)

    folder = ShardFolder(read_manifest(dataset.shards / "train"))
    images, labels = (
        [png_pixels(folder.read(n, name)) for n in range(len(folder))]
        for name in ("image.png", "label.png")
    )
    pictures, truth = [Image.fromarray(image) for image in images], np.stack(labels)
    found = np.stack(checkpoint.segment(pictures))
    counted = truth != 255
    commonest = np.bincount(truth[counted]).max() / counted.sum()
    assert (found == truth)[counted].mean() > commonest + 0.1
    [made] = checkpoint.synthesize(labels[0], seed=1)
    assert made.size == (SIZE, SIZE)

    # Its samplers take the place of the flow's solvers.
    assert not np.array_equal(found, np.stack(checkpoint.segment(pictures, solver="halfway")))
    with pytest.raises(UserError, match="unknown solver 'euler'; known are at_once, halfway"):
        checkpoint.segment(pictures, solver="euler")


def test_no_module_beside_the_registry_imports_a_formulation() -> None:
    formulations = {type(one).__module__ for one in FORMULATIONS.values()}
    importers = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "semflow").rglob("*.py")
        if formulations.intersection(imports_of(path))
    }
    assert importers == {"semflow.formulations.registry"}
