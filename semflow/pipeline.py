"""SemFlowPipeline: one checkpoint that segments images and synthesizes them from labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from diffusers.utils import is_accelerate_available
from diffusers.utils.logging import disable_progress_bar
from huggingface_hub import snapshot_download
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from semflow.checkpoint import check_checkpoint, check_tensors
from semflow.core.errors import UserError
from semflow.flow.solvers import AfterStep
from semflow.inference.draws import Draw, drawn, seeded
from semflow.inference.latent_pipeline import LatentPipeline
from semflow.inference.pictures import (
    OutputType,
    Pictures,
    SemFlowOutput,
    check_output_type,
    images_as,
    labels_as,
    labels_of,
    read_images,
    read_labels,
)
from semflow.inference.sizes import Canvas, Fit, canvas_for
from semflow.inference.steps import TENSOR_INPUTS, StepCallback, after_step_of
from semflow.inference.windows import OVERLAP
from semflow.networks.anchors import unit_range_anchors
from semflow.networks.encoding import latent_shape, to_pixels
from semflow.pseudo_masks.noise import MaskNoise

HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "revision", "token")
"""What `from_pretrained` takes for the way from a hub."""


class How(NamedTuple):
    """What both directions take beside their pictures; as of `SemFlowPipeline.__call__`."""

    num_steps: int | None
    solver: str | None
    fit: Fit | None
    overlap: float
    after_step: AfterStep | None = None


class SemFlowPipeline(LatentPipeline):
    """Segments images and synthesizes them from labels: `LatentPipeline` from pictures to pictures.

    `segment` and `synthesize` take a seed; a call takes what diffusers' pipelines take.
    """

    _callback_tensor_inputs: ClassVar = list(TENSOR_INPUTS)

    @classmethod
    def from_pretrained(cls, folder_or_repo: str | Path, **options: Any) -> Self:
        """Reads a checkpoint from a folder or a repository of the Hugging Face hub.

        Only safetensors are ever loaded. `load_pipeline` checks a folder more closely.

        Args:
            folder_or_repo: A folder, or "owner/name".
            options: As of `diffusers.DiffusionPipeline.from_pretrained`: torch_dtype, revision, ...
        """
        # diffusers loads so by default as well, and complains on stderr where it cannot.
        options.setdefault("low_cpu_mem_usage", is_accelerate_available())
        options["use_safetensors"] = True
        if not Path(folder_or_repo).is_dir():
            # By itself it would take lists of names in the index, as of classes, for components.
            how = {name: options.pop(name) for name in HUB_OPTIONS if name in options}
            patterns = ["*.json", "*.safetensors"]
            folder_or_repo = snapshot_download(str(folder_or_repo), allow_patterns=patterns, **how)
        loaded: Self = super().from_pretrained(folder_or_repo, **options)
        return loaded

    def segment(
        self,
        images: Pictures,
        num_steps: int | None = None,
        solver: str | None = None,
        seed: int = 0,
        *,
        fit: Fit | None = None,
        overlap: float = OVERLAP,
    ) -> list[NDArray[np.uint8]]:
        """Images -> label ids (Eq. 12).

        Args:
            images: one or several, in a form of `read_images`.
            num_steps: solver steps; the checkpoint's default where None, and none with dopri5.
            solver: name of a solver; the checkpoint's default where None.
            seed: of a formulation that segments from noise; item i draws from (seed, i).
            fit: what is done with images of another size: "resize" brings them to the model's and
                the answer back to theirs; "window" slides the model over them; None refuses them.
            overlap: least share of a window that lies in its neighbour.

        Returns:
            for each image its label ids (H, W) uint8, of the image's own size.

        Raises:
            UserError: an image in no form of `read_images` or of another size, a seed that is
                none, or as of `to_mask`.
        """
        arrays = read_images(images)
        how = How(num_steps, solver, fit, overlap)
        return self._segment(arrays, seeded(seed, len(arrays)), how)

    def synthesize(
        self,
        labels: Pictures,
        num_steps: int | None = None,
        solver: str | None = None,
        seed: int = 0,
        amplitude: float | None = None,
        *,
        fit: Fit | None = None,
        overlap: float = OVERLAP,
    ) -> list[Image.Image]:
        """Label ids -> images of the labels' sizes (Eq. 13, 14).

        Args:
            labels: one or several, in a form of `read_labels`; 255 = no class.
            num_steps: solver steps; the checkpoint's default where None, and none with dopri5.
            solver: name of a solver; the checkpoint's default where None.
            seed: of the perturbation; item i of a call draws from (seed, i).
            amplitude: beta' of Eq. 14; the training amplitude where None.
            fit: what is done with labels of another size, as of `segment`.
            overlap: least share of a window that lies in its neighbour.

        Raises:
            UserError: a label of another size or with an unknown id, or as of `segment`.
        """
        arrays = read_labels(labels)
        how = How(num_steps, solver, fit, overlap)
        made = self._synthesize(arrays, seeded(seed, len(arrays)), how, amplitude)
        return [Image.fromarray(image) for image in made]

    def __call__(
        self,
        images: Pictures | None = None,
        labels: Pictures | None = None,
        num_inference_steps: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        solver: str | None = None,
        amplitude: float | None = None,
        fit: Fit | None = None,
        overlap: float = OVERLAP,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback[SemFlowPipeline] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = TENSOR_INPUTS,
    ) -> SemFlowOutput | tuple[Any, ...]:
        """Segments `images`, or synthesizes from `labels`, the way diffusers' pipelines are called.

        Args:
            images: What is segmented, in a form of `read_images`.
            labels: What is synthesized from, in a form of `read_labels`.
            num_inference_steps: Solver steps; the checkpoint's default where None.
            generator: One that all samples draw from in turn, or one for each sample; torch's own
                where None. Sample i is the same in whatever batch it gets its number.
            solver: Name of a solver; the checkpoint's default where None.
            amplitude: beta' of Eq. 14; the training amplitude where None.
            fit: What is done with another size than the model's, as of `segment`.
            overlap: Least share of a window that lies in its neighbour.
            output_type: The form of the results: "pil", "np" or "pt".
            return_dict: Whether a SemFlowOutput comes back, or a tuple of what it holds.
            callback_on_step_end: Called after each solver step; an exception in it ends the call.
            callback_on_step_end_tensor_inputs: What it is given: "latents" is all there is.

        Raises:
            UserError: Neither or both of images and labels, or as of `segment` and `synthesize`.
        """
        check_output_type(output_type)
        after_step = after_step_of(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        how = How(num_inference_steps, solver, fit, overlap, after_step)
        if images is not None and labels is None:
            pictures = read_images(images)
            found = self._segment(pictures, drawn(generator, len(pictures)), how)
            colors = self.config.class_colors
            output = SemFlowOutput(labels=labels_as(found, colors, output_type))
        elif labels is not None and images is None:
            ids = read_labels(labels)
            made = self._synthesize(ids, drawn(generator, len(ids)), how, amplitude)
            output = SemFlowOutput(images=images_as(made, output_type))
        else:
            raise UserError("give either images, to segment, or labels, to synthesize from")
        return output if return_dict else output.to_tuple()

    @torch.no_grad()
    def _segment(
        self, images: Sequence[NDArray[np.uint8]], draws: Sequence[Draw], how: How
    ) -> list[NDArray[np.uint8]]:
        found = []
        anchors = unit_range_anchors(self.palette.anchors).to(self.device)
        for canvases, pixels, rows in self._batches(images, how):
            windows = canvases[0].windows
            x_0 = self.encode_image(pixels, windows)
            x_1 = self.to_mask(
                x_0,
                how.num_steps,
                how.solver,
                self._generators(draws[rows]),
                windows=windows,
                after_step=how.after_step,
            )
            for canvas, mask in zip(canvases, self.decode(x_1, windows), strict=True):
                found.append(labels_of(canvas.lift(mask), anchors))
        return found

    @torch.no_grad()
    def _synthesize(
        self,
        labels: Sequence[NDArray[np.uint8]],
        draws: Sequence[Draw],
        how: How,
        amplitude: float | None,
    ) -> list[NDArray[np.uint8]]:
        for label in labels:
            try:
                self.palette.check_label(label)
            except ValueError as error:
                raise UserError(f"{error}; give label ids, not colours") from None
        made = []
        for canvases, ids, rows in self._batches(labels, how):
            windows = canvases[0].windows
            noise = self._noise(draws[rows], canvases[0].canvas_size)
            x_0 = self.to_image(
                self.encode_label(ids, noise, amplitude, windows),
                how.num_steps,
                how.solver,
                self._generators(draws[rows]),
                windows=windows,
                after_step=how.after_step,
            )
            for canvas, image in zip(canvases, self.decode(x_0, windows), strict=True):
                made.append(to_pixels(canvas.lift(image)[None])[0].cpu().numpy())
        return made

    def _batches(
        self, pictures: Sequence[NDArray[np.uint8]], how: How
    ) -> Iterator[tuple[list[Canvas], Tensor, slice]]:
        """Canvases, the pictures on them and which they are: all of the model's size at once."""
        height, width = self.config.image_size
        latents = latent_shape(self.vae, (height, width))[1:]
        canvases = [
            canvas_for(picture.shape[:2], (height, width), latents, how.fit, how.overlap)
            for picture in pictures
        ]
        together = all(canvas.windows is None for canvas in canvases)
        for start in (0,) if together else range(len(pictures)):
            rows = slice(start, len(pictures) if together else start + 1)
            laid = [
                one.lay(picture)
                for one, picture in zip(canvases[rows], pictures[rows], strict=True)
            ]
            yield canvases[rows], torch.from_numpy(np.stack(laid)).to(self.device), rows

    def _noise(self, draws: Sequence[Draw], size: Sequence[int]) -> MaskNoise:
        each = [self.draw_noise([draw.item], draw.seed, size) for draw in draws]
        latents = [one.latents for one in each if one.latents is not None]
        pixels = torch.cat([one.pixels for one in each])
        return MaskNoise(pixels, torch.cat(latents) if latents else None)

    def _generators(self, draws: Sequence[Draw]) -> list[torch.Generator]:
        return [one for draw in draws for one in self.generators([draw.item], draw.seed)]


def load_pipeline(folder: str | Path, **options: Any) -> SemFlowPipeline:
    """Reads a checkpoint from a local folder.

    Raises:
        UserError: the folder holds no SemFlow checkpoint, or one whose index, tensors or weights
            are not sound.
    """
    if not (Path(folder) / "model_index.json").is_file():
        raise UserError(f"{folder} holds no checkpoint (model_index.json); run: dvc repro train")
    check_checkpoint(Path(folder))
    # A bar for three files would stand between a command and its one line of output.
    disable_progress_bar()
    try:
        pipeline = SemFlowPipeline.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder} is no sound checkpoint ({reason}); dvc checkout or dvc repro train makes it"
        ) from None
    for name, part in pipeline.components.items():
        if isinstance(part, nn.Module):
            check_tensors(part, Path(folder) / name)
    return pipeline
