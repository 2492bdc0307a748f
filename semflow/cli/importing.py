"""`semflow import-unet`: a checkpoint from a U-Net that other code has trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from semflow.networks.null_prompt import NullPrompt
    from semflow.networks.schema import BackboneParams
    from semflow.pipeline import SemFlowPipeline
    from semflow.schema import DatasetParams


def import_unet(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Name of a block in params.yaml.")
    ],
    unet: Annotated[
        Path,
        typer.Argument(metavar="UNET", help="File of weights, or a folder that diffusers wrote."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the checkpoint; new.")],
) -> None:
    """Make a checkpoint of weights from elsewhere.

    For a U-Net of the paper's release: palette, noise, autoencoder and steps are those of the data
    set's block. Weights are safetensors or a plain state dict, and have to fit to the last shape.

    \b
    Example:
      semflow import-unet celebamask_hq downloads/unet --out models/released/celebamask_hq
    """
    # Imported here: help and completion must not wait for torch.
    from semflow.core.errors import UserError
    from semflow.core.files import whole_folder, write_json
    from semflow.core.provenance import PROVENANCE, provenance_of
    from semflow.core.seals import seal
    from semflow.networks.released import weights_file
    from semflow.schema import read_params

    if out.exists():
        raise UserError(f"{out} exists; choose a new folder")
    params = read_params().dataset(dataset)
    pipeline = imported_pipeline(dataset, params, unet)
    made_by = provenance_of(params.model_dump(mode="json"), [weights_file(unet)])
    with whole_folder(out) as folder:
        pipeline.save_pretrained(folder)
        write_json(folder / PROVENANCE, made_by.as_json())
        seal(folder)
    print(f"{out}: {sum(one.numel() for one in pipeline.unet.parameters()):,} weights")


def imported_pipeline(dataset: str, params: DatasetParams, unet: Path) -> SemFlowPipeline:
    """The checkpoint of a data set's block with a U-Net from elsewhere.

    Args:
        dataset: Name of the block, for errors.
        params: The block.
        unet: File or folder of weights.

    Raises:
        UserError: The data set's classes are not fixed by its publishers, the backbone is no
            pretrained one, or the weights do not fit it.
    """
    from semflow.core.errors import UserError
    from semflow.datasets.readers import published_classes
    from semflow.networks.released import released_unet
    from semflow.networks.sources import obtain_autoencoder
    from semflow.pseudo_masks.noise import Noise
    from semflow.pseudo_masks.palette import make_palette
    from semflow.training.assembly import Labelling, Networks, assemble

    classes = published_classes(params.index)
    if classes is None or params.autoencoder.source == "scratch":
        raise UserError(
            f"{dataset} has classes or an autoencoder of its own; released weights are for "
            "cityscapes, celebamask_hq and coco_stuff"
        )
    config, null_prompt = _backbone(params.backbone)
    palette = make_palette(params.palette, len(classes.names))
    noise = Noise.checked(params.noise, palette.anchors)
    networks = Networks(
        obtain_autoencoder(params.autoencoder), released_unet(unet, config), null_prompt
    )
    labelling = Labelling(classes, palette, noise, params.shards.image_size)
    return assemble(networks, labelling, params.flow, params.inference)


def _backbone(source: BackboneParams) -> tuple[Mapping[str, Any], NullPrompt]:
    """The configuration that the weights must fit, and the null prompt beside it.

    Raises:
        UserError: The backbone is made from scratch, or cannot be had.
    """
    from semflow.core.errors import UserError
    from semflow.core.files import read_json
    from semflow.networks.known import known_config
    from semflow.networks.null_prompt import clip_null_prompt
    from semflow.networks.sources import load_null_prompt

    match source.source:
        case "hub":
            return known_config(source.repo_id, source.subfolder), clip_null_prompt(source)
        case "folder":
            folder = Path(source.path)
            return read_json(folder / "unet" / "config.json"), load_null_prompt(
                folder / "null_prompt"
            )
        case "scratch":
            raise UserError("backbone is made from scratch; released weights need source: hub")
