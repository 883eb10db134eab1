"""Large objects by their signed URLs, a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.client_http import pool
from shared.config import config
from shared.errors import Unavailable

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

__all__ = ["PIECE", "download"]

PIECE = 1 << 20
"""The most bytes that are in memory at once."""
_TIMEOUT_S = 30.0


def download(url: str) -> Iterator[bytes]:
    """The bytes behind ``url``. Raises Unavailable, also half-way; quotes nothing of the URL,
    which is a key to what lies there."""
    from urllib3 import Timeout
    from urllib3.exceptions import HTTPError

    scheme = urlsplit(url).scheme
    if scheme != "https" and not (scheme == "http" and config().env == "embedded"):
        raise Unavailable("A file's URL is not one of the object store.")
    try:
        answer = pool().request(
            "GET",
            url,
            timeout=Timeout(connect=5.0, read=_TIMEOUT_S),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        yield from _pieces(answer)
    except HTTPError as error:
        raise Unavailable(f"A file does not come: {type(error).__name__}.") from None


def _pieces(answer: BaseHTTPResponse) -> Iterator[bytes]:
    """The body; a connection that is not read to its end is closed."""
    try:
        if answer.status != 200:
            raise Unavailable(f"A file is answered with status {answer.status}.")
        while piece := answer.read(PIECE):
            yield piece
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
