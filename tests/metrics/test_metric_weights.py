import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from semflow.core.errors import UserError
from semflow.metrics.mobilenet import load_mobilenet_features
from semflow.metrics.st_lpips import load_st_lpips

LOADERS = [load_mobilenet_features, load_st_lpips]
Loader = Callable[[Path], nn.Module]


class Payload:
    """Would call print when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, ("executed",)


def refusal(load: Loader, path: Path) -> str:
    with pytest.raises(UserError, match=r"absent|another network|weights|tensors") as caught:
        load(path)
    return str(caught.value)


@pytest.mark.parametrize("load", LOADERS)
def test_a_missing_file_is_named_in_one_line(load: Loader, tmp_path: Path) -> None:
    message = refusal(load, tmp_path / "absent.pt")
    assert "absent.pt" in message
    assert "\n" not in message


@pytest.mark.parametrize("load", LOADERS)
def test_weights_of_another_network_are_refused_in_one_line(load: Loader, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    message = refusal(load, path)
    assert "holds another network" in message
    assert "\n" not in message


@pytest.mark.parametrize("load", LOADERS)
def test_code_in_a_weights_file_is_not_run(
    load: Loader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"features.0.0.weight": Payload()}, path)
    message = refusal(load, path)
    assert "cannot read weights" in message
    assert "\n" not in message
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a weights file", pickle.dumps([1, 2], protocol=2)])
def test_a_file_that_holds_no_weights_is_refused_in_one_line(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(content)
    message = refusal(load_st_lpips, path)
    assert "fetch it again" in message
    assert "\n" not in message
