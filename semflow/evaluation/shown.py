"""How far an evaluation is, by the network evaluations that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from semflow.core.progress import progress_bar
from semflow.evaluation.samplers import Sampler
from semflow.evaluation.samples import Batch, EvaluatedSamples
from semflow.evaluation.system import EvaluatedSystem

ADAPTIVE = 50
"""Network evaluations that are expected of a solver which chooses its own steps."""


def shown_batches(
    pipeline: EvaluatedSystem, samples: EvaluatedSamples, samplers: Iterable[Sampler]
) -> Iterator[Batch]:
    """This process's batches, behind a bar that counts network evaluations.

    A batch may take minutes, so that batches alone would tell nothing. What else calls the network,
    or calls it more often than expected, moves the bar within its batch's share and not beyond.

    Args:
        pipeline: Whose network is watched.
        samples: That are read.
        samplers: Each of them solves every sample once.
    """
    each = sum(one.num_steps or ADAPTIVE for one in samplers)
    with progress_bar(each * samples.own, "evaluate", "evaluations") as bar:
        end = 0

        def count(_field: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            """Moves the bar by a batch's samples, and never past its batch's share."""
            bar.update(max(0, min(len(inputs[0]), end - bar.n)))

        watch = pipeline.field.register_forward_pre_hook(count)
        try:
            for batch in samples.batches():
                end += each * len(batch.items)
                yield batch
                bar.update(max(0, end - bar.n))
        finally:
            watch.remove()
