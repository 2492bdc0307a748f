"""What training takes on an accelerator: with cached and with online masks beside the bare step.

    python -m bench.gpu                    # Stable Diffusion's sizes, 860 million weights, bf16
    python -m bench.gpu --tiny             # small networks, to see that it runs

From a checkout with the packages of `pip install '.[train]'`: no DVC, no Prefect, no network, no
data, random weights. SEMFLOW_MICRO_BATCH, SEMFLOW_GRADIENT_CHECKPOINTING, SEMFLOW_TF32,
SEMFLOW_VAE_SLICING and SEMFLOW_LOADER_WORKERS hold here as in training. Prints a table in Markdown
with the card's name, and writes what it found with --out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bench import figure
from semflow.core.files import write_json
from semflow.formulations.registry import FORMULATIONS
from semflow.networks.anchors import unit_range_anchors
from semflow.networks.encoding import Autoencoder, factor_of
from semflow.networks.known import known_config
from semflow.networks.vae_memory import fit_autoencoder
from semflow.networks.velocity import VelocityField
from semflow.pseudo_masks.noise import Noise
from semflow.pseudo_masks.palette import make_palette
from semflow.schema import DatasetParams, read_params
from semflow.training.environment import micro_batch, new_accelerator, training_hardware
from semflow.training.finiteness import Finiteness
from semflow.training.loading import steps_to_come
from semflow.training.loop import LossOf, learn, update
from semflow.training.loss import Task, flow_losses
from semflow.training.samples import TrainingSample, TrainingSamples
from semflow.training.speed import SpeedSettings
from semflow.training.state import new_state
from tools.closure import ROOT

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
DATASET = "celebamask_hq"
"""Whose block the settings are of."""
BARE = "forward, backward and update alone"
WARM_UP = 2
"""Steps that are not timed: kernels are chosen and memory is taken in them."""
TINY_UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": 4,
    "norm_num_groups": 4,
    "cross_attention_dim": 8,
}
TINY_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (8, 8),
    "norm_num_groups": 4,
    "latent_channels": 4,
}


@dataclass(frozen=True)
class Networks:
    """Random weights on the device.

    Args:
        autoencoder: Frozen.
        field: To be trained.
    """

    autoencoder: Autoencoder
    field: VelocityField


@dataclass(frozen=True)
class Way:
    """What one way to train takes.

    Args:
        samples_per_second: After the first steps.
        peak: Most memory that tensors took on the device, bytes; None on a processor.
    """

    samples_per_second: float
    peak: int | None


class Samples:
    """Samples in memory, the same one at every position.

    Args:
        sample: As the loader makes them of shards.
    """

    def __init__(self, sample: dict[str, Tensor]) -> None:
        self._sample = sample

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        """The sample with the position's number."""
        return {**self._sample, "index": torch.tensor(position)}


def main() -> None:
    """Measures, prints the table and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="small networks instead of SD's")
    parser.add_argument("--side", type=int, default=512, help="of an image, pixels")
    parser.add_argument("--batch", type=int, default=32, help="samples of a step")
    parser.add_argument("--steps", type=int, default=10, help="that are timed")
    parser.add_argument("--precision", choices=("no", "bf16", "fp16"), default="bf16")
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    options = parser.parse_args()
    params = settings(options.batch, options.steps, options.precision)
    found = measured(params, options.side, options.tiny)
    print(table(found))
    if options.out is not None:
        write_json(options.out, found)


def settings(batch: int, steps: int, precision: str) -> DatasetParams:
    """A data set's block with so many timed steps."""
    params = read_params(ROOT / "params.yaml").dataset(DATASET)
    changes = {"batch_size": batch, "steps": WARM_UP + steps, "mixed_precision": precision}
    return params.model_copy(update={"train": params.train.model_copy(update=changes)})


def measured(params: DatasetParams, side: int, tiny: bool) -> dict[str, Any]:
    """Every way to train, one after another, each from new networks.

    Args:
        params: The settings.
        side: Of an image, pixels.
        tiny: Whether networks are small.
    """
    accelerator = new_accelerator(params.train)
    bench = Bench(params, side, tiny, accelerator)
    ways = {
        BARE: bench.bare(),
        "the loop, mask latents cached": bench.looped("x_1"),
        "the loop, masks encoded online": bench.looped("pseudo_mask", "mask_noise"),
    }
    return {
        "hardware": training_hardware(accelerator, params.train.batch_size),
        "weights": sum(one.numel() for one in bench.networks().field.parameters()),
        "side": side,
        "batch_size": params.train.batch_size,
        "ways": {name: asdict(way) for name, way in ways.items()},
    }


@dataclass(frozen=True)
class Bench:
    """What all ways have in common.

    Args:
        params: The settings.
        side: Of an image, pixels.
        tiny: Whether networks are small.
        accelerator: The device.
    """

    params: DatasetParams
    side: int
    tiny: bool
    accelerator: Accelerator

    def networks(self) -> Networks:
        """New ones on the device, run as the environment asks."""
        # Not above: only behind semflow's guard does it bear a torchvision of another build.
        from diffusers import AutoencoderKL, UNet2DConditionModel

        torch.manual_seed(0)
        unet_config = TINY_UNET if self.tiny else known_config(STABLE_DIFFUSION, "unet")
        vae_config = TINY_VAE if self.tiny else known_config(STABLE_DIFFUSION, "vae")
        unet = UNet2DConditionModel.from_config(unet_config)
        autoencoder = AutoencoderKL.from_config(vae_config).eval().requires_grad_(False)
        SpeedSettings.from_environment().apply(unet)
        fit_autoencoder(autoencoder)
        prompt = torch.zeros(1, 77, unet.config.cross_attention_dim)
        device = self.accelerator.device
        return Networks(autoencoder.to(device), VelocityField(unet, prompt).train().to(device))

    def bare(self) -> Way:
        """Forward, backward, clipping and update of parts in device memory; nothing else."""
        train, field = self.params.train, self.networks().field
        optimizer = torch.optim.AdamW(field.parameters(), lr=train.learning_rate, fused=True)
        part, device = micro_batch(train.batch_size, 1), self.accelerator.device
        channels = field.unet.config.in_channels
        cells = self.side // (2 if self.tiny else 8)
        x, t = (
            torch.zeros(part, channels, cells, cells, device=device),
            torch.zeros(part).to(device),
        )
        parts = train.batch_size // part

        def steps() -> Iterator[None]:
            """One after another."""
            for _ in range(train.steps):
                for _ in range(parts):
                    with self.accelerator.autocast():
                        loss = field(x, t).square().mean() / parts
                    loss.backward()
                nn.utils.clip_grad_norm_(field.parameters(), train.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                yield

        return self._timed(steps())

    def looped(self, *masks: str) -> Way:
        """The steps of the training loop with its loader, checks and averages.

        Args:
            masks: Names of the tensors that samples say their masks by.
        """
        train, accelerator, networks = self.params.train, self.accelerator, self.networks()
        sample = self._sample(networks.autoencoder)
        wanted = {"index", "moments", "moments_noise", "label", "uniform", *masks}
        samples = cast(TrainingSamples, Samples({k: v for k, v in sample.items() if k in wanted}))
        loss_of = self._loss_of(networks.autoencoder)
        state = new_state(networks.field, train, accelerator)
        finiteness = Finiteness(samples, accelerator, train.learning_rate, "train")

        def steps() -> Iterator[None]:
            """One after another."""
            with steps_to_come(samples, train, accelerator, 0) as coming:
                for parts in coming:
                    learn(loss_of, parts, state, accelerator, finiteness, "train")
                    update(state, accelerator, train.max_grad_norm)
                    yield
            finiteness.check_losses()

        return self._timed(steps())

    def _sample(self, autoencoder: Autoencoder) -> dict[str, Tensor]:
        cells, channels = self.side // factor_of(autoencoder), autoencoder.config.latent_channels
        image = torch.zeros(3, self.side, self.side)
        latents = torch.zeros(channels, cells, cells)
        return {
            "moments": torch.zeros(2 * channels, cells, cells),
            "moments_noise": latents,
            "label": torch.zeros(self.side, self.side, dtype=torch.int64),
            "uniform": torch.tensor(0.5),
            "x_1": latents,
            "pseudo_mask": image,
            "mask_noise": image,
        }

    def _loss_of(self, autoencoder: Autoencoder) -> LossOf:
        flow, classes = self.params.flow, 19
        anchors = unit_range_anchors(make_palette(self.params.palette, classes).anchors)
        task = Task(
            FORMULATIONS[flow.formulation],
            autoencoder,
            None,
            None,
            anchors.to(self.accelerator.device),
            Noise(self.params.noise.amplitude),
            self.accelerator.autocast,
        )

        def loss_of(network: nn.Module, batch: TrainingSample) -> dict[str, Tensor]:
            """That of training."""
            return {"loss": flow_losses(network, task, batch, flow).total}

        return loss_of

    def _timed(self, steps: Iterator[None]) -> Way:
        """Times the steps after the first WARM_UP."""
        device, train = self.accelerator.device, self.params.train
        is_gpu = device.type == "cuda"
        if is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range(WARM_UP):
            next(steps)
        self._wait()
        began = time.perf_counter()
        for _ in steps:
            pass
        self._wait()
        taken = time.perf_counter() - began
        rate = (train.steps - WARM_UP) * train.batch_size / taken
        return Way(rate, torch.cuda.max_memory_allocated(device) if is_gpu else None)

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize(self.accelerator.device)


def table(found: dict[str, Any]) -> str:
    """What was found in Markdown."""
    bare = found["ways"][BARE]["samples_per_second"]
    lines = ["| way | samples/s | of the bare step | peak memory, GiB |", "|---|---|---|---|"]
    for name, way in found["ways"].items():
        rate, peak = way["samples_per_second"], way["peak"]
        gib = None if peak is None else peak / 2**30
        lines.append(f"| {name} | {rate:.2f} | {rate / bare:.2f} | {figure(gib, 1)} |")
    hardware = found["hardware"]
    said = (
        f"{hardware['device']}, {hardware['mixed_precision']}, {found['weights']:,} weights, "
        f"{found['side']} x {found['side']}, batch {found['batch_size']} "
        f"in parts of {hardware['micro_batch']}."
    )
    return "\n".join([*lines, "", said])


if __name__ == "__main__":
    main()
