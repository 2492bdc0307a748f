"""Writing shards one by one, each on its own, and publishing the finished folder.

Sample i of a split lies in tar i // samples_per_shard, whoever makes it and whenever; tars are
WebDataset's, with the same bytes for the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semflow.core.files import publish_folder
from semflow.core.progress import progress_bar
from semflow.core.resume import (
    Ranks,
    begin_parts,
    finish_part,
    finished_folder,
    is_finished,
    read_note,
)
from semflow.shards.manifest import Shard, shard_from_columns, write_manifest
from semflow.shards.tar import Record, write_shard


def complete_shards(
    scratch: Path,
    stage: str,
    sizes: Mapping[str, Sequence[int]],
    make_records: Callable[[str, int], Iterable[Record]],
    ranks: Ranks,
) -> None:
    """Makes the shards that an earlier run has not left; rank r of W makes r, r + W, ... of all.

    Args:
        scratch: the stage's folder, held by the main process; all processes share it.
        stage: its name, for messages.
        sizes: number of samples of each split's shards.
        make_records: the records of a split's shard, by split and number.
        ranks: the processes that do so together; all have returned once the last shard is made.
    """
    counts = {split: len(found) for split, found in sizes.items()}
    if ranks.is_main_process:
        begin_shards(scratch, stage, counts)
    ranks.wait_for_everyone()
    # A fixed share of all shards: of what is missing, each process would see another part.
    share = islice(_all_shards(counts), ranks.process_index, None, ranks.num_processes)
    mine = [shard for shard in share if not is_finished(scratch, shard_name(*shard))]
    total = sum(sizes[split][number] for split, number in mine)
    with progress_bar(total, stage, "samples") as bar:
        for split, number in mine:
            finish_shard(scratch, split, number, _counted(make_records(split, number), bar))
    ranks.wait_for_everyone()


def begin_shards(scratch: Path, stage: str, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Says how many shards an earlier run has left; returns split and number of the others."""
    names = {shard_name(*shard): shard for shard in _all_shards(counts)}
    return [names[name] for name in begin_parts(scratch, stage, "shards", list(names))]


def finish_shard(
    scratch: Path,
    split: str,
    number: int,
    records: Iterable[Record],
) -> None:
    """Makes one shard, whole or not at all.

    Args:
        scratch: the stage's folder.
        split: the shard's.
        number: the shard's, from 0.
        records: its samples in order, all with the same extensions.
    """

    def write(path: Path) -> Mapping[str, Any]:
        """The tar and what its note says."""
        return write_shard(records, path).columns()

    finish_part(scratch, shard_name(split, number), write)


def publish_shards(
    scratch: Path,
    counts: Mapping[str, int],
    about: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> None:
    """Writes the manifests and moves the finished folder into its place.

    Args:
        scratch: holds every shard.
        counts: number of shards of each split.
        about: what each split's manifest says beside its tars; JSON values.
        out: receives a folder for each split, whole or not at all.
    """
    folder = finished_folder(scratch)
    for split, count in counts.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        # What a killed run was writing when it ended.
        for partial in (folder / split).glob(".*.partial"):
            partial.unlink()
        write_manifest(folder / split, dict(about[split]), finished_shards(scratch, split, count))
    publish_folder(folder, out)


def finished_shards(scratch: Path, split: str, count: int) -> Iterator[Shard]:
    """A split's finished shards in order."""
    for number in range(count):
        name = shard_name(split, number)
        note = read_note(scratch, name)
        yield shard_from_columns(Path(name).name, note.bytes, note.sha256, dict(note.facts))


def shard_name(split: str, number: int) -> str:
    """A shard's path in a folder of shards."""
    return f"{split}/{number:06d}.tar"


def _counted(records: Iterable[Record], bar: tqdm[Any]) -> Iterator[Record]:
    for record in records:
        yield record
        bar.update()


def _all_shards(counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for split, count in counts.items():
        yield from ((split, number) for number in range(count))
