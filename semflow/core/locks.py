"""Locks between processes, on file systems that have them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from semflow.core.errors import UserError

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def locked(path: Path, wait: bool) -> Iterator[None]:
    """Holds a lock file, which the kernel frees when its process ends, however it does.

    Args:
        path: The file; it stays, unless who holds it deletes it.
        wait: Whether to wait for another process that holds it.

    Raises:
        filelock.Timeout: Another process holds it, and `wait` is false.
        UserError: The file system knows no locks.
    """
    # Not the lock that is a mere file: a killed process would leave it behind.
    lock = FileLock(path, blocking=wait, fallback_to_soft=False)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        raise UserError(
            f"{path.parent} is on a file system without flock, which keeps two runs apart; "
            "put the workspace, and $SEMFLOW_SCRATCH, on another"
        ) from None
    try:
        yield
    finally:
        lock.release()
