"""Problems a caller may see (RFC 9457) and the one error that parks a message.

The status sits on the class and the class's docstring is its default detail, so that
``raise NotFound`` already says something a person can read.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "Conflict",
    "Forbidden",
    "Gone",
    "Invalid",
    "MethodNotAllowed",
    "NotFound",
    "PreconditionRequired",
    "Problem",
    "Reject",
    "StaleVersion",
    "TooLarge",
    "TooManyRequests",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedMediaType",
]


class Problem(Exception):
    """Something went wrong on our side; the correlation id finds it in the logs."""

    status: ClassVar[int] = 500

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        """``extra`` are RFC 9457 extension members; ``retry_after`` (s) is also a header."""
        self.detail = detail or " ".join((type(self).__doc__ or "").split())
        self.extra = extra
        super().__init__(self.detail)

    @classmethod
    def words(cls) -> list[str]:
        """The words of the class's name: ``SlotTaken`` -> ``["slot", "taken"]``."""
        return [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", cls.__name__)]

    def to_dict(self) -> dict[str, Any]:
        """The problem+json members: type, title, status, detail and the extensions."""
        words = self.words()
        return {
            "type": "urn:dentalhelp:problem:" + "-".join(words),
            "title": " ".join(words).capitalize(),
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }


class BadRequest(Problem):
    """The request could not be understood."""

    status = 400


class Unauthenticated(Problem):
    """A valid access token is needed."""

    status = 401


class Forbidden(Problem):
    """You may not do this."""

    status = 403


class NotFound(Problem):
    """There is nothing here."""

    status = 404


class MethodNotAllowed(Problem):
    """This resource does not know that method."""

    status = 405


class Conflict(Problem):
    """The request contradicts the current state."""

    status = 409


class Gone(Problem):
    """This was here, and is not any more."""

    status = 410


class StaleVersion(Problem):
    """Somebody changed this in the meantime: read it again, then repeat your change."""

    status = 412


class TooLarge(Problem):
    """The body is too large: at most 1 MiB is accepted."""

    status = 413


class UnsupportedMediaType(Problem):
    """The body must be application/json."""

    status = 415


class Invalid(Problem):
    """The request is well-formed but not acceptable; errors names each field."""

    status = 422


class PreconditionRequired(Problem):
    """Send If-Match with the ETag you last read, so that no change is overwritten."""

    status = 428


class TooManyRequests(Problem):
    """Too many attempts: wait before the next one."""

    status = 429


class Unavailable(Problem):
    """Something this request needs is away for a moment: repeat it shortly."""

    status = 503

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **extra: Any) -> None:
        super().__init__(detail, retry_after=retry_after, **extra)


class Reject(Exception):
    """A message that can never be handled: it goes to the dead letters at once."""
