"""Synthesis over a split: distances to real images, round trips and diversity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from semflow.evaluation.counts import Counts
from semflow.evaluation.diversity import Diversity
from semflow.evaluation.intervals import Bootstrap
from semflow.evaluation.judges import Judges
from semflow.evaluation.ranks import Team
from semflow.evaluation.results import Synthesis, SynthesisFigures
from semflow.evaluation.samplers import Cost, Sampler, samplers_of
from semflow.evaluation.samples import Batch, Latents
from semflow.evaluation.schema import EvaluateParams
from semflow.evaluation.system import EvaluatedSystem
from semflow.metrics.distribution import distances
from semflow.metrics.features import distances_to_truth, in_chunks
from semflow.networks.encoding import to_unit_range

Synthesizer = Callable[[Batch], Tensor]
"""A batch -> images (N, H, W, 3) uint8 of its labels, the same for every seed."""


@dataclass(frozen=True)
class RealSets:
    """Features (N, D) of real images.

    Args:
        reference: What syntheses are compared with.
        floor: Two sets with nothing in common, whose distance no synthesis is expected to beat.
    """

    reference: Tensor
    floor: tuple[Tensor, Tensor]


class RealFeatures:
    """Features of the tested images and of those of the other split, each image once.

    Args:
        judges: Whose features.
        team: The processes that share the batches.
    """

    def __init__(self, judges: Judges, team: Team) -> None:
        self._judges, self._team = judges, team
        self._tested: list[Tensor] = []
        self._others: list[Tensor] = []

    def update(self, batch: Batch) -> None:
        """Passes the tested images of a batch through the feature network."""
        self._tested.append(_features(self._judges, batch.image))

    def update_reference(self, images: Tensor) -> None:
        """Passes images (N, H, W, 3) uint8 of the other split through the feature network."""
        self._others.append(_features(self._judges, images))

    def compute(self) -> RealSets:
        """All features; where there is no other split, the floor lies between two halves."""
        tested = torch.cat(self._team.in_order(self._tested))
        others = self._team.in_order(self._others)
        if not others:
            return RealSets(tested, (tested[::2], tested[1::2]))
        return RealSets(torch.cat(others), (tested, torch.cat(others)))


@dataclass(frozen=True)
class Synthesized:
    """What was measured, without the field's distances.

    Args:
        flow: The checkpoint with its default number of steps, and by numbers of steps.
        by_sampler: The checkpoint by the samplers' keys.
        others: Other systems by name.
    """

    flow: Synthesis
    by_sampler: dict[str, SynthesisFigures]
    others: dict[str, SynthesisFigures]


class Syntheses:
    """What is measured of the syntheses of one system with one sampler.

    Args:
        pipeline: The checkpoint, on its device; it segments them again where it segments at all.
        judges: What syntheses are judged by.
        team: The processes that share the batches.
        seed: Of segmenting them again where that starts from noise.
    """

    def __init__(self, pipeline: EvaluatedSystem, judges: Judges, team: Team, seed: int) -> None:
        self._pipeline, self._judges, self._team, self._seed = pipeline, judges, team, seed
        self._features: list[Tensor] = []
        self._to_truth: list[Tensor] = []
        num_classes = len(pipeline.config.class_names)
        self._by_unet = Counts(num_classes, team)
        self._by_itself = Counts(num_classes, team) if pipeline.formulation.segments else None

    def update(self, batch: Batch, made: Tensor, to_truth: Tensor) -> None:
        """Judges a batch's syntheses.

        Args:
            batch: Whose labels were synthesized.
            made: (N, H, W, 3) uint8.
            to_truth: (N,), their perceptual distance to the labels' own images.
        """
        self._features.append(_features(self._judges, made))
        self._to_truth.append(to_truth)
        x_0 = self._pipeline.encode_image(made)
        self._by_unet.update_maps(self._judges.unet(x_0).argmax(dim=1), batch.label)
        if self._by_itself is not None:
            generators = self._pipeline.generators(batch.items, self._seed)
            x_1 = self._pipeline.to_mask(x_0, generators=generators)
            scores = self._pipeline.class_scores(x_1)
            self._by_itself.update_maps(scores.argmax(dim=1), batch.label)

    def compute(self, reference: Tensor, bootstrap: Bootstrap) -> SynthesisFigures:
        """The figures, from what all processes found.

        Args:
            reference: Features (N, D) of real images.
            bootstrap: Of the tested samples.
        """
        made = torch.cat(self._team.in_order(self._features))
        to_truth = torch.cat(self._team.in_order(self._to_truth)).double()
        frechet, kernel = distances(made, reference)
        frechet_interval, kernel_interval = bootstrap.of_distances(made, reference)
        own = self._by_itself
        return SynthesisFigures(
            fd_mobilenetv2=frechet,
            fd_mobilenetv2_interval=frechet_interval,
            kd_mobilenetv2=kernel,
            kd_mobilenetv2_interval=kernel_interval,
            st_lpips_to_truth=float(to_truth.mean()),
            st_lpips_to_truth_interval=bootstrap.of_mean(to_truth),
            roundtrip_miou_unet=self._by_unet.matrix.miou,
            roundtrip_miou_unet_interval=self._by_unet.intervals(bootstrap)[0],
            roundtrip_miou_semflow=None if own is None else own.matrix.miou,
            roundtrip_miou_semflow_interval=None if own is None else own.intervals(bootstrap)[0],
        )


class SynthesisMeasure:
    """The flow by samplers, other systems, the floor between real images, and diversity.

    Args:
        pipeline: The checkpoint, on its device.
        judges: What syntheses are judged by.
        params: Numbers of steps, to which the checkpoint's own is added, whether to solve
            adaptively as well, and the diversity.
        tested: How many labels there are.
        team: The processes that share the batches.
        others: Synthesizers beside the flow, by name.
    """

    def __init__(
        self,
        pipeline: EvaluatedSystem,
        judges: Judges,
        params: EvaluateParams,
        tested: int,
        team: Team,
        others: Mapping[str, Synthesizer],
    ) -> None:
        self._pipeline, self._judges, self._tested = pipeline, judges, tested
        self._synthesizers, self._seed = others, params.seed
        self.samplers = samplers_of(
            pipeline,
            params.synthesis_steps,
            pipeline.config.synthesize_steps,
            params.adaptive,
        )
        names = [*(sampler.key for sampler in self.samplers), *others]
        self._by_name = {name: Syntheses(pipeline, judges, team, params.seed) for name in names}
        self._costs = {one.key: Cost(pipeline, one, team) for one in self.samplers}
        self._real = RealFeatures(judges, team)
        self._diversity = Diversity(pipeline, judges, params, tested, team)

    def update_reference(self, images: Tensor) -> None:
        """Takes images (N, H, W, 3) uint8 of the other split."""
        self._real.update_reference(images)

    def update(self, batch: Batch, latents: Latents) -> dict[str, Tensor]:
        """Synthesizes a batch's labels and judges the images.

        Returns:
            Images (N, H, W, 3) uint8, the flow's by the samplers' keys and the others' by name.
        """
        images = {one.key: self._synthesize(batch, latents.x_1, one) for one in self.samplers}
        for name, synthesizer in self._synthesizers.items():
            images[name] = synthesizer(batch)
        to_truth = distances_to_truth(
            self._judges.perceptual,
            {name: to_unit_range(found) for name, found in images.items()},
            to_unit_range(batch.image),
        )
        for name, syntheses in self._by_name.items():
            syntheses.update(batch, images[name], to_truth[name])
        self._real.update(batch)
        self._diversity.update(batch)
        return images

    def _synthesize(self, batch: Batch, x_1: Tensor, sampler: Sampler) -> Tensor:
        generators = self._pipeline.generators(batch.items, self._seed)
        with self._costs[sampler.key]:
            x_0 = self._pipeline.to_image(x_1, sampler.num_steps, sampler.solver, generators)
        return self._pipeline.decode_pixels(x_0)

    def compute(self, bootstrap: Bootstrap) -> Synthesized:
        """The results, from what all processes found, without the field's distances.

        Args:
            bootstrap: Of the tested samples.
        """
        real = self._real.compute()
        found = {
            name: syntheses.compute(real.reference, bootstrap)
            for name, syntheses in self._by_name.items()
        }
        by_sampler = {
            key: found[key].model_copy(update=cost.compute(self._tested))
            for key, cost in self._costs.items()
        }
        others = {name: found[name] for name in self._synthesizers}
        return Synthesized(self._flow(by_sampler, real, bootstrap), by_sampler, others)

    def _flow(
        self, by_sampler: Mapping[str, SynthesisFigures], real: RealSets, bootstrap: Bootstrap
    ) -> Synthesis:
        config = self._pipeline.config
        by_steps = {
            one.num_steps: by_sampler[one.key] for one in self.samplers if one.num_steps is not None
        }
        floor_frechet, floor_kernel = distances(*real.floor)
        height, width = config.image_size
        diversity, diversity_interval = self._diversity.compute(bootstrap)
        default = by_steps[config.synthesize_steps]
        return Synthesis(
            samples=self._tested,
            steps=config.synthesize_steps,
            reference_samples=len(real.reference),
            resolution=(height, width),
            floor_samples=(len(real.floor[0]), len(real.floor[1])),
            floor_fd_mobilenetv2=floor_frechet,
            floor_kd_mobilenetv2=floor_kernel,
            diversity_st_lpips=diversity,
            diversity_st_lpips_interval=diversity_interval,
            diversity_of_images=self._diversity.between_images(),
            roundtrip_miou=default.roundtrip_miou_unet,
            roundtrip_miou_interval=default.roundtrip_miou_unet_interval,
            protocol=None,
            by_steps=by_steps,
        )


def _features(judges: Judges, pixels: Tensor) -> Tensor:
    return in_chunks(judges.features, pixels.permute(0, 3, 1, 2))
