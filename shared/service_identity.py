"""Which service calls: the tokens by which services know each other.

They are what Google gives a Cloud Run service about itself: a JWT for one audience, issued by a
third party, that names the caller's account by its verified e-mail address. On one machine the
same token is signed with a key that only the functions' processes can read.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from shared.clocks import clock
from shared.config import AUDIENCE, config
from shared.errors import Unauthenticated, Unavailable
from shared.identity import ANONYMOUS, Caller, bearer
from shared.key_sets import Algorithm, Jwks
from shared.tokens import SigningKey, Tokens, sign

__all__ = ["authenticate", "service_token"]

_GOOGLE = "https://accounts.google.com"
_TYPE = "JWT"
_LIFE_S = 3600
# Long enough for clocks that differ and for a request on its way.
_MARGIN_S = 120.0

_tokens: dict[tuple[str, str], tuple[float, float, str]] = {}
"""From when until when each may be used, and it."""
_lock = threading.Lock()


def service_token(service: str, target: str) -> str:
    """The token with which ``service`` calls ``target``; kept until shortly before it expires.

    Raises Unavailable when it cannot be had.
    """
    now = clock().now().timestamp()
    known = _tokens.get((service, target))
    if known is not None and known[0] <= now < known[1]:
        return known[2]
    with _lock:
        known = _tokens.get((service, target))
        # A clock that was set back makes a token one of the future, which nobody takes.
        if known is None or not known[0] <= now < known[1]:
            token = _issue(service, target) if config().service_signing_key else _fetch(target)
            until = _expiry(token) - _MARGIN_S
            known = _tokens[service, target] = (now - _MARGIN_S, until, token)
    return known[2]


def _issue(service: str, target: str) -> str:
    settings = config()
    key = SigningKey.from_pem(Path(settings.service_signing_key or "").read_text("utf-8"))
    now = int(clock().now().timestamp())
    email = _account(settings.service_email, service)
    claims = {
        "iss": settings.service_issuer,
        "aud": f"{AUDIENCE}-{target}",
        "sub": email,
        "email": email,
        "email_verified": True,
        "iat": now,
        "exp": now + _LIFE_S,
    }
    return sign(claims, key, typ=_TYPE)


def _fetch(target: str) -> str:
    """From the metadata server, which knows whose process this is."""
    import google.auth.exceptions
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    try:
        fetch: Callable[..., str] = id_token.fetch_id_token
        token = fetch(Request(), f"{AUDIENCE}-{target}")
    except google.auth.exceptions.GoogleAuthError as error:
        raise Unavailable("No token for the call of another service is to be had.") from error
    return token


def _expiry(token: str) -> float:
    import jwt

    # It comes from whoever issues our own tokens; the target checks it.
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims["exp"])


def authenticate(authorization: str | None, target: str, people: Callable[[str], Caller]) -> Caller:
    """Who calls ``target``, by an Authorization header; ANONYMOUS without one.

    A person's token is left to ``people``. Raises Unauthenticated, Unavailable.
    """
    if authorization is None:
        return ANONYMOUS
    token = bearer(authorization)
    # Nothing is believed yet: the type, which is at+jwt for a person, only chooses who verifies.
    # Each verifier demands its own type, issuer, audience and keys.
    if _for_a_service(token.partition(".")[0]):
        return _verify(token, target)
    return people(token)


# All tokens signed with one key begin with the same header: few, and the same again and again.
@lru_cache(maxsize=64)
def _for_a_service(header: str) -> bool:
    try:
        found = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("typ") == _TYPE


def _verify(token: str, target: str) -> Caller:
    settings = config()
    return _verifier(
        settings.service_issuer, settings.service_jwks_url, settings.service_email, target
    ).verify(token)


def _account(email: str, service: str) -> str:
    """The account of ``service``: accounts have hyphens where our names have underscores."""
    return email.format(service=service.replace("_", "-"))


@cache
def _verifier(issuer: str, url: str, email: str, target: str) -> Tokens[Caller]:
    before, _, after = email.partition("{service}")

    def build(claims: dict[str, Any]) -> Caller:
        found = claims.get("email")
        if not isinstance(found, str) or claims.get("email_verified") is not True:
            raise Unauthenticated
        name = found.removeprefix(before).removesuffix(after).replace("-", "_")
        if not name.isidentifier() or _account(email, name) != found:
            raise Unauthenticated
        return Caller("service", service=name)

    return Tokens(
        issuer,
        f"{AUDIENCE}-{target}",
        _keys(url, "RS256" if issuer == _GOOGLE else "ES256"),
        typ=_TYPE,
        require=("iss", "aud", "exp", "iat"),
        build=build,
        size=100,
    )


@cache
def _keys(url: str, algorithm: Algorithm) -> Jwks:
    return Jwks(url, algorithm=algorithm)
