from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from semflow.core.errors import UserError
from semflow.core.files import sha256_of
from semflow.metrics import inception, lpips_alexnet

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
