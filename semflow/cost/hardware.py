"""GPUs by their published peaks, and the hours that operations take on them."""

from __future__ import annotations

from dataclasses import dataclass

from semflow.cost.layers import Work

GPUS = 8


@dataclass(frozen=True)
class Gpu:
    """Dense peaks, FLOP/s.

    Args:
        name: As its maker calls it.
        half: bf16 and fp16 on tensor cores.
        tf32: On tensor cores.
        single: float32 proper.
        source: Where they are published.
    """

    name: str
    half: float
    tf32: float
    single: float
    source: str


GPU_TABLE = (
    Gpu("A100 SXM", 312e12, 156e12, 19.5e12, "NVIDIA A100 Tensor Core GPU datasheet"),
    Gpu(
        "H100 SXM", 989e12, 494e12, 67e12, "NVIDIA H100 Tensor Core GPU datasheet, without sparsity"
    ),
)


def gpu_hours(half: Work, single: Work, gpu: Gpu, utilisation: float) -> float:
    """Hours on GPUS of a kind.

    In float32 torch runs convolutions in TF32 and matrix products in float32 proper, unless it is
    told otherwise (`torch.backends.cudnn.allow_tf32`, `torch.get_float32_matmul_precision`).

    Args:
        half: Operations in bf16 or fp16.
        single: Operations in float32.
        gpu: The kind.
        utilisation: Share of the peaks that is reached, in (0, 1].
    """
    seconds = half.flops / gpu.half
    seconds += single.convolution / gpu.tf32 + single.product / gpu.single
    return seconds / (GPUS * utilisation) / 3600
