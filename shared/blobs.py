"""Objects outside the databases.

One API over Google Cloud Storage (``gs://bucket/prefix``), S3 (``s3://``) and a directory
(``file://``). There are two places. At ``blobs()`` lies what is made once and never changed,
anchors and ledgers: in the cloud its bucket has a retention policy, so that not even we can remove
or replace what was created. At ``objects()`` lie images and exports, which an erasure deletes.
Large objects are read and written in parts, never held as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from io import BufferedReader
from typing import Any
from urllib.parse import urlsplit

from shared import log
from shared.blob_files import CHUNK, RemoteFile, Replaced, Stat, Writer
from shared.config import config
from shared.errors import Unavailable
from shared.object_urls import Signed, signed_get, signed_put

__all__ = ["Blobs", "Replaced", "Stat", "Writer", "blobs", "objects"]

_TIMEOUT = "5s"
_TIMEOUT_OF_PARTS = "60s"  # a part of a large object on a slow line
_GIVE_UP = timedelta(seconds=10)
_PAGE = 1000


class Blobs:
    """One bucket, or the part of it under a prefix. Safe to share between threads."""

    def __init__(self, url: str, *, timeout: str = _TIMEOUT) -> None:
        """Opens nothing; ``url`` as BLOBS_URL in docs/configuration.md, ``timeout`` of one call."""
        self._url = url
        self._timeout = timeout

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
            if self._is_directory:
                # A directory gives its entries in any order, unlike a bucket.
                yield from sorted(found["path"] for page in pages for found in page)
                return
            for page in pages:
                yield from (found["path"] for found in page)

    def stat(self, path: str) -> Stat | None:
        """The object's size and version, or None where there is none. Raises Unavailable."""
        with _away("stat"):
            try:
                found = self._store.head(path)
            except FileNotFoundError:
                return None
        return Stat(found["size"], found["e_tag"])

    def open(self, path: str, stat: Stat) -> BufferedReader:
        """A file for reading, with ``seek``, of the version ``stat`` alone; little of it is in
        memory at a time. Reading raises Replaced when another version took its place, or
        Unavailable."""
        return BufferedReader(RemoteFile(self._part(path, stat), stat.size), CHUNK)

    def read(self, path: str, chunk: int = CHUNK) -> Iterator[bytes]:
        """The bytes of the object in chunks, all of one version. Raises FileNotFoundError at
        once, later Replaced and Unavailable."""
        stat = self.stat(path)
        if stat is None:
            raise FileNotFoundError(path)
        part = self._part(path, stat)
        return (part(at, min(at + chunk, stat.size)) for at in range(0, stat.size, chunk))

    @contextmanager
    def write(
        self, path: str, *, content_type: str | None = None, filename: str | None = None
    ) -> Iterator[Writer]:
        """A block whose writer makes or replaces the object. Nothing is visible before the block
        ends, and nothing ever when it ends by an exception.

        In a bucket the object is served later as ``content_type``, to be saved as ``filename``.
        Raises Unavailable.
        """
        import obstore

        with _away("write"):
            store = self._store
            inner = obstore.open_writer(
                store,
                path,
                # A directory keeps none: there the signed URL says both.
                attributes=None if self._is_directory else _attributes(content_type, filename),
                buffer_size=CHUNK,
                max_concurrency=2,
            )
        yield Writer(inner, lambda: _away("write"))
        with _away("write"):
            inner.close()

    def copy(
        self,
        source: str,
        target: str,
        stat: Stat,
        *,
        sha256: str,
        content_type: str | None = None,
        filename: str | None = None,
    ) -> bool:
        """Copy what was checked: the version ``stat`` of ``source`` whose SHA-256 (hex) is this.
        False, and nothing changed, if there is a ``target`` already.

        Whoever copies to one target at the same time copies the same bytes: the checksum says
        so. Raises Replaced, with no target made, and Unavailable.
        """
        if self.stat(target) is not None:
            return False
        digest = hashlib.sha256()
        part = self._part(source, stat)
        with self.write(target, content_type=content_type, filename=filename) as made:
            for at in range(0, stat.size, CHUNK):
                data = part(at, min(at + CHUNK, stat.size))
                digest.update(data)
                made.write(data)
            if digest.hexdigest() != sha256:
                raise Replaced
        return True

    def delete(self, path: str) -> bool:
        """Delete the object; was there one? Raises Unavailable."""
        if self.stat(path) is None:
            return False
        with _away("delete"):
            try:
                self._store.delete(path)
            except FileNotFoundError:
                return False
        return True

    def delete_all(self, prefix: str, *, but: Container[str] = ()) -> int:
        """Delete every object in the folder ``prefix`` and below, save those ``but``; how many.

        Many go at once: in a bucket each takes a while. Raises Unavailable.
        """
        paths = [path for path in self.list(prefix) if path not in but]
        if not paths:
            return 0
        with _away("delete"):
            try:
                self._store.delete(paths)
            except FileNotFoundError:
                # Somebody else deletes here, too.
                return sum(self.delete(path) for path in paths)
        return len(paths)

    def presign_put(self, path: str, *, expires: timedelta, size: int, content_type: str) -> Signed:
        """By this URL anybody may make or replace this one object until it ``expires``.

        A directory's URL takes ``size`` bytes of ``content_type`` and nothing else. A bucket's
        does not look: whoever accepts the object checks both. Raises Unavailable.
        """
        if self._is_directory:
            return signed_put(path, expires=expires, size=size, content_type=content_type)
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        return Signed(self._sign("PUT", path, expires), headers)

    def presign_get(
        self,
        path: str,
        *,
        expires: timedelta,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """By this URL anybody may read this one object until it ``expires``, to be saved as
        ``filename``; a bucket says what ``write`` was told instead. Raises Unavailable."""
        if self._is_directory:
            return signed_get(path, expires=expires, filename=filename, content_type=content_type)
        return self._sign("GET", path, expires)

    def _sign(self, method: Any, path: str, expires: timedelta) -> str:
        import obstore

        with _away("sign"):
            return obstore.sign(self._store, method, path, expires)

    def _part(self, path: str, stat: Stat) -> Any:
        """What reads the bytes from ``start`` to ``end`` of one version."""

        def part(start: int, end: int) -> bytes:
            from obstore.exceptions import PreconditionError

            if end <= start:
                return b""
            with _away("read"):
                try:
                    options: Any = {"range": (start, end), "if_match": stat.version}
                    return bytes(self._store.get(path, options=options).bytes())
                except (PreconditionError, FileNotFoundError):
                    raise Replaced from None

        return part

    @property
    def _is_directory(self) -> bool:
        return urlsplit(self._url).scheme == "file"

    @property
    def _store(self) -> Any:
        return _open(self._url, self._timeout)


@cache
def blobs() -> Blobs:
    """What is made once and never changed, at the configured BLOBS_URL."""
    return Blobs(config().blobs_url)


@cache
def objects() -> Blobs:
    """Images and exports, at the configured OBJECTS_URL. Raises MissingSettings."""
    return Blobs(config().required("OBJECTS_URL"), timeout=_TIMEOUT_OF_PARTS)


def _attributes(content_type: str | None, filename: str | None) -> dict[str, str]:
    found = {"Content-Disposition": "attachment"}
    if filename:
        found["Content-Disposition"] = f'attachment; filename="{filename}"'
    if content_type:
        found["Content-Type"] = content_type
    return found


@cache
def _open(url: str, timeout: str) -> Any:
    """The client; 30 ms to import, so only those pay who use it."""
    from obstore.store import from_url

    if urlsplit(url).scheme == "file":
        # An empty folder would keep the id of whose things lay in it.
        return from_url(url, mkdir=True, automatic_cleanup=True)
    return from_url(
        url,
        # Whoever sets another endpoint than the cloud's own (AWS_ENDPOINT) says http or https.
        client_options={"timeout": timeout, "connect_timeout": "2s", "allow_http": True},
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
