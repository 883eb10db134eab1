"""Objects outside the databases, made once and never changed: anchors and ledgers.

One API over Google Cloud Storage (``gs://bucket/prefix``), S3 (``s3://``) and a directory
(``file://``). In the cloud the bucket has a retention policy, so that not even we can remove or
replace what was created.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from shared import log
from shared.config import config
from shared.errors import Unavailable

__all__ = ["Blobs", "blobs"]

_TIMEOUT = "5s"
_GIVE_UP = timedelta(seconds=10)
_PAGE = 1000


class Blobs:
    """One bucket, or the part of it under a prefix. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Opens nothing; ``url`` as BLOBS_URL in docs/configuration.md."""
        self._url = url

    def create(self, path: str, data: bytes) -> bool:
        """Create the object; False, and nothing changed, if there is one already.

        That one may be ours: of a first try whose answer was lost. Whoever cares compares.
        Raises Unavailable.
        """
        from obstore.exceptions import AlreadyExistsError

        with _away("create"):
            try:
                self._store.put(path, data, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def get(self, path: str) -> bytes | None:
        """The object's bytes, or None where there is none. Raises Unavailable."""
        with _away("get"):
            try:
                return bytes(self._store.get(path).bytes())
            except FileNotFoundError:
                return None

    def list(self, prefix: str, after: str | None = None) -> Iterator[str]:
        """The paths in the folder ``prefix`` and below, sorted, those behind ``after`` only.

        Raises Unavailable.
        """
        with _away("list"):
            pages = self._store.list(prefix, offset=after, chunk_size=_PAGE)
            if urlsplit(self._url).scheme == "file":
                # A directory gives its entries in any order, unlike a bucket.
                yield from sorted(found["path"] for page in pages for found in page)
                return
            for page in pages:
                yield from (found["path"] for found in page)

    @property
    def _store(self) -> Any:
        return _open(self._url)


@cache
def blobs() -> Blobs:
    """The objects of this platform, at the configured BLOBS_URL."""
    return Blobs(config().blobs_url)


@cache
def _open(url: str) -> Any:
    """The client; 30 ms to import, so only those pay who use it."""
    from obstore.store import from_url

    if urlsplit(url).scheme == "file":
        return from_url(url, mkdir=True)
    return from_url(
        url,
        # Whoever sets another endpoint than the cloud's own (AWS_ENDPOINT) says http or https.
        client_options={"timeout": _TIMEOUT, "connect_timeout": "2s", "allow_http": True},
        retry_config={"max_retries": 3, "retry_timeout": _GIVE_UP},
    )


@contextmanager
def _away(what: str) -> Iterator[None]:
    """Say of every other failure that the store is away; the reason is for the log."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as failure:
        log.error("blobs_away", what=what, failure=type(failure).__name__)
        raise Unavailable("The object store is away.") from failure
