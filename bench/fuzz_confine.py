"""What a reader may not do while it is fed hostile bytes: write elsewhere, send, take long."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10.0
"""Of a processor, that one execution may take."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "shutil.rmtree": 1,
    "shutil.move": 2,
}
"""Python's audit events that change a folder, and how many paths each begins with."""
_REFUSED = ("socket.connect", "socket.sendto", "socket.sendmsg", "os.system", "os.exec")
_COMMANDS = ("git",)


class Escaped(BaseException):
    """What no handler of the tested code catches: it did what a reader must not do."""


@dataclass
class _Confinement:
    """Where writing is allowed; nothing is watched where there is none."""

    folder: str | None = None
    installed: bool = False


_confinement = _Confinement()


@contextmanager
def confined(folder: Path) -> Iterator[None]:
    """Raises `Escaped` where the block writes outside of a folder, connects, or takes too long.

    Args:
        folder: Where files may be made, changed and deleted.
    """
    if not _confinement.installed:
        # There is no way to take a hook back: it looks whether there is something to watch.
        sys.addaudithook(_watch)
        _confinement.installed = True
    started = time.process_time()
    _confinement.folder = os.path.realpath(folder)
    try:
        yield
    finally:
        _confinement.folder = None
    if (taken := time.process_time() - started) > SECONDS:
        raise Escaped(f"took {taken:.1f} s")


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _confinement.folder is None:
        return
    if event in _REFUSED or (event == "subprocess.Popen" and not _is_known(arguments[0])):
        raise Escaped(f"{event} {arguments!r:.200}")
    paths: tuple[object, ...] = ()
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        paths = arguments[:1]
    elif event in _CHANGING:
        paths = arguments[: _CHANGING[event]]
    for path in paths:
        if isinstance(path, (str, bytes, os.PathLike)) and not _is_inside(os.fsdecode(path)):
            raise Escaped(f"{event} {path!r:.200}")


def _is_known(command: object) -> bool:
    return Path(str(command)).name in _COMMANDS


def _is_inside(path: str) -> bool:
    # A link's own place counts, not where it leads.
    real = os.path.realpath(Path(path).parent)
    return path == os.devnull or f"{real}/".startswith(f"{_confinement.folder}/")
