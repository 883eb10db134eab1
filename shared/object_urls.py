"""Signed URLs of objects in a directory: the embedded stack's stand-in for a bucket's own.

Such a URL names one object, one method and one end; the HMAC over all of it is the right to use
it. The gateway (infra/local/objects.py) serves ``{PUBLIC_URL}/_objects/...``.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal
from urllib.parse import parse_qsl, urlencode

from shared.clocks import clock
from shared.config import config
from shared.crypto import blind_index
from shared.errors import Forbidden

__all__ = ["MOUNT", "Grant", "Signed", "granted", "signed_get", "signed_put"]

MOUNT = "/_objects/"
_NAMES = {"expires", "size", "type", "name", "signature"}
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_HEADER = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")  # no quotes, no line breaks


@dataclass(frozen=True, slots=True)
class Signed:
    """A URL for an upload, and the headers that must be sent with it."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a signed URL allows: one method on one object until a moment (seconds since 1970)."""

    method: Literal["GET", "PUT"]
    path: str
    expires: int
    size: int | None = None
    content_type: str = ""
    filename: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for a path that could lead out of the directory, or a header's end."""
        if not _PATH.fullmatch(self.path) or len(self.path) > 500:
            raise ValueError("an object's path is of letters, digits, dots, dashes and slashes")
        if not all(map(_HEADER.fullmatch, (self.content_type, self.filename))):
            raise ValueError("a header is of visible ASCII")

    def signature(self) -> str:
        """The HMAC over everything, under a key of this platform."""
        parts = (self.method, self.path, self.expires, self.size, self.content_type, self.filename)
        return blind_index("object url", "\n".join(map(str, parts))).hex()

    def url(self) -> str:
        """The URL that carries it."""
        asked = {
            "expires": self.expires,
            **({} if self.size is None else {"size": self.size}),
            **({"type": self.content_type} if self.content_type else {}),
            **({"name": self.filename} if self.filename else {}),
            "signature": self.signature(),
        }
        return f"{config().public_url}{MOUNT}{self.path}?{urlencode(asked)}"


def signed_put(path: str, *, expires: timedelta, size: int, content_type: str) -> Signed:
    """Takes ``size`` bytes of ``content_type`` as the object at ``path``."""
    grant = Grant("PUT", path, _end(expires), size, content_type)
    headers = {"Content-Type": content_type, "Content-Length": str(size)}
    return Signed(grant.url(), headers)


def signed_get(
    path: str, *, expires: timedelta, filename: str | None, content_type: str | None
) -> str:
    """Gives the object at ``path``."""
    return Grant(
        "GET",
        path,
        _end(expires),
        content_type=content_type or "application/octet-stream",
        filename=filename or "",
    ).url()


def granted(method: str, path: str, query: str) -> Grant:
    """What the signature in ``query`` allows of the object at ``path``. Raises Forbidden for
    whatever was not signed so, or is over."""
    try:
        pairs = parse_qsl(query, strict_parsing=True, max_num_fields=6)
        asked = dict(pairs)
        size = asked.get("size")
        grant = Grant(
            "PUT" if method == "PUT" else "GET",
            path,
            int(asked["expires"]),
            None if size is None else int(size),
            asked.get("type", ""),
            asked.get("name", ""),
        )
        genuine = hmac.compare_digest(grant.signature().encode(), asked["signature"].encode())
        genuine = genuine and asked.keys() <= _NAMES and len(asked) == len(pairs)
    except (ValueError, KeyError):
        genuine = False
    if not genuine or method not in ("GET", "HEAD", "PUT"):
        raise Forbidden("This URL was not made here.")
    if grant.expires <= clock().now().timestamp():
        raise Forbidden("This URL has expired: ask for a new one.")
    return grant


def _end(expires: timedelta) -> int:
    return int((clock().now() + expires).timestamp())
