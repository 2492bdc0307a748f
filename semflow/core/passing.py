"""Which errors pass by themselves, so that the same again may go well."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

_ERRNOS = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EADDRINUSE,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    # Linux's EREMOTEIO, which s3fs makes of a server's internal error.
    121,
}
# By name: the libraries are slow to import, and some are not installed.
_TYPES = {
    "DistNetworkError": "torch",
    "DistStoreError": "torch",
    "RendezvousConnectionError": "torch",
    "RendezvousTimeoutError": "torch",
    "ClientConnectionError": "aiohttp",
    "ClientPayloadError": "aiohttp",
    "ServerTimeoutError": "aiohttp",
    "ConnectionError": "botocore",
    "ConnectionClosedError": "botocore",
    "ConnectTimeoutError": "botocore",
    "EndpointConnectionError": "botocore",
    "ReadTimeoutError": "botocore",
}
_TOO_MANY_REQUESTS = 429


def is_passing(error: BaseException) -> bool:
    """Whether an error, or one that led to it, is of a kind that passes by itself.

    By type and errno, never by what it says: connections, timeouts, a file server that hangs, a
    store of torch.distributed that is away, an S3 that is overloaded.
    """
    return any(_passes(one) for one in chain(error))


def is_passing_name(name: str, module: str) -> bool:
    """Whether a library's exception is of such a kind.

    Args:
        name: Of the class, without its module.
        module: That it is defined in, or a package above it.
    """
    return _TYPES.get(name) == module.partition(".")[0]


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it, hidden or not."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions


def _passes(error: BaseException) -> bool:
    if isinstance(error, (ConnectionError, TimeoutError)):
        return True
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    # botocore's errors carry what the server has answered.
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500 or status == _TOO_MANY_REQUESTS)
    return any(is_passing_name(kind.__name__, kind.__module__) for kind in type(error).__mro__)
