"""The modes of `latents.mask_noise` side by side: trains and measures each, one after another.

    git clone . ../modes && cd ../modes && python bench/mask_noise.py earth

Changes params.yaml, so run it in a clone of its own (one that shares the DVC cache is quicker).
Each mode sees the same samples; only the checkpoint's default numbers of steps are measured. Prints
a table in Markdown.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from semflow.evaluation.results import Metrics, read_metrics

PARAMS = Path("params.yaml")
MODES = ("online", "variants", "moments")


def main() -> None:
    """One row a mode."""
    dataset = sys.argv[1]
    modes = sys.argv[2:] or MODES
    print("| mask_noise | mIoU | round trip | FD-MobileNetV2 | two seeds | samples/s |")
    print("|---|---|---|---|---|---|", flush=True)
    for mode in modes:
        _set_mode(dataset, mode)
        subprocess.run(["dvc", "repro", "-q", f"mask_latents@{dataset}"], check=True)
        speed = _train(dataset)
        subprocess.run(["dvc", "repro", "-q", f"evaluate@{dataset}"], check=True)
        print(
            _row(mode, speed, read_metrics(Path("reports") / dataset / "metrics.json")), flush=True
        )


def _set_mode(dataset: str, mode: str) -> None:
    yaml = YAML()
    values = yaml.load(PARAMS)
    block = values[dataset]
    block["latents"]["mask_noise"] = mode
    block["evaluate"]["segmentation_steps"] = [block["inference"]["segment_steps"]]
    block["evaluate"]["synthesis_steps"] = [block["inference"]["synthesize_steps"]]
    yaml.dump(values, PARAMS)


def _train(dataset: str) -> float:
    """Samples a second over the whole training, by its progress bar."""
    command = ["dvc", "repro", "-f", "-s", f"train@{dataset}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    total, minutes, seconds = re.findall(
        r"train: 100%\|[^|]*\| (\d+)/\d+ \[(\d+):(\d+)<", done.stderr + done.stdout
    )[-1]
    return int(total) / (60 * int(minutes) + int(seconds))


def _row(mode: str, speed: float, metrics: Metrics) -> str:
    synthesis = metrics.synthesis
    made = synthesis.by_steps[synthesis.steps]
    return (
        f"| {mode} | {metrics.segmentation.miou:.3f} | {synthesis.roundtrip_miou:.3f} "
        f"| {made.fd_mobilenetv2:.1f} | {synthesis.diversity_st_lpips:.3f} | {speed:.0f} |"
    )


if __name__ == "__main__":
    main()
