from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.metrics import inception, lpips_alexnet
from semflow.metrics.fixed_networks import check_pixels, check_unit_range, freeze_with, read_weights
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips

OPEN_LOADERS = [load_mobilenet_features, load_st_lpips]
"""Of files that packages pinned by hash contain, whose bytes are not checked again."""
LOADERS = [
    (inception, inception.load_inception_features),
    (lpips_alexnet, lpips_alexnet.load_lpips),
]
each_loader = pytest.mark.parametrize(("module", "load"), LOADERS, ids=["inception", "lpips"])
Loader = Callable[[Path], nn.Module]


class Payload:
    """Would call print when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, ("executed",)


def refusal(load: Loader, path: Path) -> str:
    with pytest.raises(UserError, match=path.name) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def trust(module: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes a file's checksum for the released one."""
    release = replace(module.RELEASE, sha256=sha256_of(path))
    monkeypatch.setattr(module, "RELEASE", release)


@pytest.mark.parametrize("module", [inception, lpips_alexnet])
def test_a_release_carries_the_start_of_its_checksum_in_its_name(module: ModuleType) -> None:
    release = module.RELEASE
    assert release.name.endswith(f"-{release.sha256[:8]}.pth")
    assert release.url.startswith("https://")
    assert release.url.endswith(f"/{release.name}")
    assert len(bytes.fromhex(release.sha256)) == 32


@each_loader
def test_a_missing_file_is_refused_with_where_to_get_it(
    module: ModuleType, load: Loader, tmp_path: Path
) -> None:
    message = refusal(load, tmp_path / "absent.pth")
    assert message.startswith(f"no {module.RELEASE.name} at {tmp_path / 'absent.pth'}; ")
    assert module.RELEASE.url in message


@each_loader
@pytest.mark.parametrize("content", [b"", b"not a weights file"])
def test_a_file_with_other_bytes_is_refused(
    module: ModuleType, load: Loader, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / module.RELEASE.name
    path.write_bytes(content)
    message = refusal(load, path)
    assert f"its sha256 is {sha256_of(path)[:12]}" in message
    assert module.RELEASE.url in message


@each_loader
def test_code_in_a_file_is_not_run_whatever_its_checksum(
    module: ModuleType,
    load: Loader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Payload()}, path)
    trust(module, path, monkeypatch)
    assert "cannot read weights" in refusal(load, path)
    assert "executed" not in capsys.readouterr().out


@each_loader
def test_another_network_is_refused_whatever_its_checksum(
    module: ModuleType, load: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    trust(module, path, monkeypatch)
    assert "holds another network" in refusal(load, path)


@pytest.mark.parametrize("load", OPEN_LOADERS)
def test_a_missing_file_without_a_release_is_named(load: Loader, tmp_path: Path) -> None:
    assert "no metric weights" in refusal(load, tmp_path / "absent.pt")


@pytest.mark.parametrize("load", OPEN_LOADERS)
def test_another_network_or_code_in_a_file_is_refused(
    load: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    assert "holds another network" in refusal(load, path)
    torch.save({"features.0.0.weight": Payload()}, path)
    assert "cannot read weights" in refusal(load, path)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a weights file", pickle.dumps([1, 2], protocol=2)])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    assert "fetch it again" in refusal(load_st_lpips, path)


def test_weights_are_read_as_they_are_and_freeze_a_network_without_values(tmp_path: Path) -> None:
    path = tmp_path / "linear.pt"
    torch.save(nn.Linear(3, 2).half().state_dict(), path)
    with torch.device("meta"):
        network = nn.Linear(3, 2)
    freeze_with(network, read_weights(path), path)
    assert network.weight.dtype == torch.float16
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (torch.zeros(1, 3, 8, 8).byte(), "floating-point"),
        (torch.zeros(0, 3, 8, 8), "give \\(N, 3, H, W\\)"),
        (torch.zeros(1, 3, 8, 7), "sides of 8 or more"),
        (torch.full((1, 3, 8, 8), 1.1), "leave -1..1"),
        (torch.full((1, 3, 8, 8), torch.nan), "hold nan"),
    ],
)
def test_images_of_another_kind_never_pass_as_a_figure(images: Tensor, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_unit_range(images, smallest_side=8)
    if images.is_floating_point():
        with pytest.raises(ValueError, match="give uint8"):
            check_pixels(images)
