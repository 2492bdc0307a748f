"""Stage `index`: the raw tree -> a checked list of samples."""

from semflow.core.files import tree_state
from semflow.core.provenance import provenance_of
from semflow.core.scratch import held, scratch_path
from semflow.datasets.readers import open_reader
from semflow.index.checking import write_index
from semflow.schema import DatasetParams
from stages.entry import Folders, run_once


def main(dataset: str, params: DatasetParams, folders: Folders) -> None:
    """Reads every sample once."""
    reader = open_reader(folders.raw.resolve(), params.index)
    # Another bound on the rejects does not change which samples are sound.
    conditions = params.index.model_dump(mode="json", exclude={"max_rejects"})
    made_of = provenance_of({"index": conditions, "raw": tree_state(folders.raw)}, [])
    scratch = scratch_path("index", dataset, made_of.fingerprint())
    with held(scratch):
        write_index(reader, scratch, folders.index, params.index.max_rejects)


if __name__ == "__main__":
    run_once(main)
