from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from support.tiny import tiny_pipeline
from torch import Tensor

from semflow.core.errors import UserError
from semflow.training.environment import training_hardware
from semflow.training.speed import (
    CHECKPOINTING,
    GPU_WORKERS,
    TF32,
    WORKERS,
    SpeedSettings,
    loader_workers,
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in (CHECKPOINTING, TF32, WORKERS):
        monkeypatch.delenv(variable, raising=False)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def gradients(settings: SpeedSettings) -> tuple[Tensor, list[Tensor]]:
    """The answer of a backbone in training, and the gradients of its square, in weights' order."""
    pipeline = tiny_pipeline(moving=True)
    unet: UNet2DConditionModel = pipeline.unet.train()
    for weights in unet.parameters():
        weights.requires_grad_(True)
    settings.apply(unet)
    x = torch.randn(2, unet.config.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    answer = pipeline.field(x, torch.tensor([0.25, 0.75]))
    answer.square().mean().backward()
    found = [weights.grad for weights in unet.parameters() if weights.grad is not None]
    return answer.detach(), found


OFF = SpeedSettings(False, False)


def test_gradient_checkpointing_gives_the_same_bytes() -> None:
    answer, plain = gradients(OFF)
    again, checkpointed = gradients(SpeedSettings(True, False))
    assert torch.equal(answer, again)
    assert len(plain) == len(checkpointed) > 10
    assert all(torch.equal(one, other) for one, other in zip(plain, checkpointed, strict=True))


def test_gradient_checkpointing_keeps_fewer_values_for_the_way_back() -> None:
    def kept(settings: SpeedSettings) -> int:
        sizes: list[int] = []

        def pack(value: Tensor) -> Tensor:
            sizes.append(value.numel())
            return value

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            pipeline = tiny_pipeline()
            pipeline.unet.train()
            settings.apply(pipeline.unet)
            x = torch.zeros(2, pipeline.unet.config.in_channels, 8, 8, requires_grad=True)
            pipeline.field(x, torch.zeros(2))
        return sum(sizes)

    assert kept(SpeedSettings(True, False)) < kept(OFF) / 2


def test_tf32_is_on_only_where_it_is_asked_for() -> None:
    unet = tiny_pipeline().unet
    SpeedSettings(False, True).apply(unet)
    assert torch.backends.cuda.matmul.allow_tf32
    OFF.apply(unet)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_what_is_on_is_recorded_with_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    assert "gradient_checkpointing" not in training_hardware(accelerator, 4)
    monkeypatch.setenv(CHECKPOINTING, "1")
    monkeypatch.setenv(TF32, "0")
    found = training_hardware(accelerator, 4)
    assert found["gradient_checkpointing"] == 1
    assert "tf32" not in found


@pytest.mark.parametrize("variable", [CHECKPOINTING, TF32])
def test_another_value_than_1_or_0_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "yes")
    with pytest.raises(UserError, match=f"{variable} is 'yes'; give 1"):
        SpeedSettings.from_environment()


def test_a_gpu_gets_workers_and_a_processor_that_computes_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert (loader_workers(cpu), loader_workers(gpu)) == (0, GPU_WORKERS)
    alone = training_hardware(Accelerator(cpu=True), 4)
    monkeypatch.setenv(WORKERS, "3")
    assert loader_workers(cpu) == loader_workers(gpu) == 3
    # The same bytes: a training may go on with another number.
    assert training_hardware(Accelerator(cpu=True), 4) == alone
    monkeypatch.setenv(WORKERS, "0")
    assert loader_workers(gpu) == 0
    for wrong in ("-1", "all"):
        monkeypatch.setenv(WORKERS, wrong)
        with pytest.raises(UserError, match=f"{WORKERS} is '{wrong}'; give a number of processes"):
            loader_workers(cpu)
