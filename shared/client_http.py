"""The transport of shared/client.py: HTTP over kept connections, strict about time and size."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3 import PoolManager
    from urllib3.response import BaseHTTPResponse

__all__ = ["LARGEST", "NoAnswer", "Transport", "http", "pool"]

LARGEST = 10 * 1024 * 1024  # bytes of an answer
_CHUNK = 64 * 1024

Transport = Callable[
    [str, str, Mapping[str, str], bytes | None, float], tuple[int, Mapping[str, str], bytes]
]
"""(method, URL, headers, body, seconds) -> (status, headers, body). Raises NoAnswer."""


class NoAnswer(Exception):
    """No answer, or none that can be used. ``reason`` quotes nothing that was received."""

    def __init__(self, reason: str, *, again_after: float | None = None) -> None:
        """``again_after``: seconds after which another attempt may help; None: it will not."""
        super().__init__(reason)
        self.reason, self.again_after = reason, again_after


def http(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
) -> tuple[int, Mapping[str, str], bytes]:
    """One request; no redirect is followed. Raises NoAnswer."""
    from urllib3 import Timeout
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + timeout
    try:
        answer = pool().request(
            method,
            url,
            headers=headers,
            body=body,
            timeout=Timeout(total=timeout),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            data = _read(answer, deadline)
        except BaseException:
            # What is left of it must not be taken for the next request's answer.
            answer.close()
            raise
        answer.release_conn()
    except HTTPError as error:
        raise NoAnswer(type(error).__name__, again_after=0.0) from None
    return answer.status, answer.headers, data


def _read(answer: BaseHTTPResponse, deadline: float) -> bytes:
    """The body; each piece is awaited for as long as the whole answer at most."""
    data = bytearray()
    while piece := answer.read1(_CHUNK):
        data += piece
        if len(data) > LARGEST:
            raise NoAnswer("the answer is too large")
        if time.monotonic() > deadline:
            raise NoAnswer("the answer takes too long")
    return bytes(data)


@cache
def pool() -> PoolManager:
    """Connections of this process; more are opened than kept when many threads call at once."""
    from urllib3 import PoolManager

    return PoolManager(num_pools=20, maxsize=8, retries=False)
