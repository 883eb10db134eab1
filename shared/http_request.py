"""What a request carries besides its path: body, query, preconditions, ids and origin.

Everything is read from the WSGI environment: werkzeug's parsed views of it cost more than the
rest of a request's handling.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from shared.config import config
from shared.errors import (
    BadRequest,
    Invalid,
    PreconditionRequired,
    StaleVersion,
    TooLarge,
    UnsupportedMediaType,
)
from shared.strict_json import clean, pointer

__all__ = [
    "MAX_BODY",
    "IfMatch",
    "RequestInfo",
    "correlation_of",
    "has_body",
    "if_match_of",
    "limit_body",
    "matches",
    "query_of",
    "read_body",
    "settle",
]

Environ = Mapping[str, Any]
MAX_BODY = 1024 * 1024  # bytes
_MAX_PARAMETERS = 100

IfMatch = NewType("IfMatch", int)
"""The version the caller last read, from If-Match: ``"<version>"`` (RFC 9110, 13.1.1)."""


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """Where a request comes from, for throttling and audit, and which languages are read there."""

    remote_address: str
    user_agent: str
    correlation_id: str
    accept_language: str = ""

    @classmethod
    def of(cls, environ: Environ, correlation_id: str) -> RequestInfo:
        """Behind Google's front end the socket's peer is the front end, and the load balancer says
        in X-Client-Address whom it saw (terraform/modules/edge): in X-Forwarded-For its own
        address follows. Whatever stands further left anybody may write."""
        address = environ.get("REMOTE_ADDR") or ""
        if config().env == "cloud":
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", address)
            address = environ.get("HTTP_X_CLIENT_ADDRESS") or forwarded
            address = address.rpartition(",")[2].strip()
        agent = environ.get("HTTP_USER_AGENT", "")[:300]
        return cls(address[:45], agent, correlation_id, environ.get("HTTP_ACCEPT_LANGUAGE", ""))


_CORRELATION = re.compile(r"[A-Za-z0-9._-]{8,64}")


def correlation_of(environ: Environ) -> str:
    """The caller's X-Correlation-Id where it is well-formed, else a new one."""
    given = environ.get("HTTP_X_CORRELATION_ID")
    if given is not None and _CORRELATION.fullmatch(given):
        return str(given)
    return os.urandom(16).hex()


def has_body(environ: Environ) -> bool:
    """Does the request declare a body, by length or chunked?"""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or bool(
        environ.get("HTTP_TRANSFER_ENCODING")
    )


def limit_body(request: Request) -> None:
    """Nobody reads more than MAX_BODY of this request. Raises TooLarge, BadRequest."""
    request.max_content_length = MAX_BODY + 1
    declared = request.environ.get("CONTENT_LENGTH") or "0"
    if not (declared.isascii() and declared.isdigit()):
        raise BadRequest("Content-Length is not a number.")
    if len(declared) > 18 or int(declared) > MAX_BODY:
        raise TooLarge


def read_body(request: Request) -> bytes:
    """The JSON body's bytes. Raises UnsupportedMediaType, TooLarge, BadRequest."""
    environ = request.environ
    if not has_body(environ):
        raise BadRequest("The body is empty: JSON is expected.")
    _check_json(environ)
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise TooLarge from None
    except Exception:  # noqa: BLE001 -- each server has its own errors for a broken body
        raise BadRequest("The body is cut short or badly framed.") from None
    if len(body) > MAX_BODY:
        raise TooLarge
    return body


def settle(request: Request) -> None:
    """Read what is left of the body, up to the limit, and leave an empty stream behind.

    functions-framework reads the rest after every answer; an error there, or a body without
    end, would turn our answer into a 500.
    """
    try:
        request.get_data()
    except Exception:  # noqa: BLE001 -- as in read_body
        request.stream = io.BytesIO()


def _check_json(environ: Environ) -> None:
    kind, *parameters = environ.get("CONTENT_TYPE", "").lower().split(";")
    kind = kind.strip()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise UnsupportedMediaType
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise UnsupportedMediaType("The body must be encoded in UTF-8.")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must be sent without Content-Encoding.")


def query_of(text: str, known: Mapping[str, bool]) -> dict[str, str | list[str]]:
    """The query string by name; ``known`` says of each parameter whether it may be repeated.

    Raises BadRequest (not UTF-8, too many) and Invalid (unknown, repeated, no text).
    """
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise BadRequest("The query string is not UTF-8.") from None
    except ValueError:
        raise BadRequest(f"More than {_MAX_PARAMETERS} query parameters.") from None
    found: dict[str, str | list[str]] = {}
    errors = []
    for name, value in pairs:
        before = found.get(name)
        if name not in known:
            errors.append(parameter_error(name, "This parameter is not known"))
        elif not clean(value):
            errors.append(parameter_error(name, "Characters that are no text"))
        elif not known[name]:
            if before is not None:
                errors.append(parameter_error(name, "This parameter may be given only once"))
            found[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            found[name] = [value]
    if errors:
        raise Invalid(errors=errors)
    return found


def parameter_error(name: str, detail: str) -> dict[str, str]:
    """One entry of ``errors`` about a query parameter (unnamed where the name is unfit)."""
    shown = pointer((name,))[1:]
    return {"parameter": shown, "detail": detail} if shown else {"detail": detail}


_OURS = re.compile(r'"(0|[1-9][0-9]{0,17})"')
_TAG = re.compile(r'(W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def if_match_of(environ: Environ) -> IfMatch:
    """The version in If-Match.

    Raises PreconditionRequired when absent, and for ``*``: "whatever is there" is exactly the
    lost update this header prevents. A weak or foreign tag can never match: StaleVersion. What
    is not one entity tag: BadRequest.
    """
    given = environ.get("HTTP_IF_MATCH", "").strip()
    if given in ("", "*"):
        raise PreconditionRequired
    ours = _OURS.fullmatch(given)
    if ours is not None:
        return IfMatch(int(ours[1]))
    if _TAG.fullmatch(given) is None:
        raise BadRequest('If-Match must be one ETag in quotes, such as "7".')
    raise StaleVersion


def matches(environ: Environ, etag: str) -> bool:
    """Does If-None-Match name ``etag``, compared weakly (RFC 9110, 13.1.2)?"""
    given = environ.get("HTTP_IF_NONE_MATCH")
    if given is None:
        return False
    return given.strip() == "*" or any(
        tag[0].removeprefix("W/") == etag for tag in _TAG.finditer(given)
    )
