"""Who calls: access tokens, the caller they name, and the broker's push tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from uuid import UUID

from shared.clocks import clock
from shared.config import PLATFORM, config
from shared.errors import Unauthenticated
from shared.key_sets import Algorithm, Jwks
from shared.revocations import LONGEST_LIFE, Revocations, purge_revocations, revoke
from shared.tokens import SigningKey, Tokens, sign

__all__ = [
    "ANONYMOUS",
    "EVERYWHERE",
    "Caller",
    "Jwks",
    "Revocations",
    "SigningKey",
    "Verifier",
    "bearer",
    "purge_revocations",
    "push_token",
    "revoke",
    "sign",
    "verify_push",
]

EVERYWHERE = "*"
_GOOGLE = "https://accounts.google.com"


@dataclass(frozen=True)
class Caller:
    """Whoever makes a request.

    ``clinics`` maps a clinic's id, or ``*`` for the whole group, to the roles held there;
    ``roles`` is their union. ``id`` is the person's, for a patient the patient_id.
    """

    kind: Literal["person", "service", "anonymous"]
    id: UUID | None = None
    roles: frozenset[str] = frozenset()
    clinics: Mapping[str, frozenset[str]] = field(default_factory=dict)
    session: UUID | None = None
    service: str | None = None

    @property
    def person(self) -> UUID:
        """Who makes it, where the route lets in people only."""
        if self.kind != "person" or self.id is None:
            raise AssertionError("the routes let in people only")
        return self.id

    def is_owner(self, person: UUID) -> bool:
        """Is this the very person?"""
        return self.kind == "person" and self.id == person

    def has(self, role: str, clinic: UUID | str | None = None) -> bool:
        """Is ``role`` held at ``clinic`` (there or group-wide), or anywhere if none is named?"""
        if clinic is None:
            return role in self.roles
        return any(role in self.clinics.get(place, ()) for place in (EVERYWHERE, str(clinic)))


ANONYMOUS = Caller("anonymous")


class _Session(NamedTuple):
    """What the verifier remembers of a good token."""

    caller: Caller
    subject: UUID
    session: UUID
    issued: float


class Verifier:
    """Turns access tokens into callers; verified tokens are remembered, revocations never."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks: Jwks,
        revoked: Callable[[UUID, UUID, float], bool],
    ) -> None:
        """``revoked(subject, session, issued)`` is asked for every request."""
        self._tokens = Tokens(
            issuer,
            audience,
            jwks,
            typ="at+jwt",
            require=("iss", "aud", "exp", "iat", "sub", "sid", "jti"),
            build=_session,
        )
        self._revoked = revoked

    def verify(self, token: str) -> Caller:
        """The person whose access token this is. Raises Unauthenticated; Unavailable when the
        keys or the revocations cannot be had."""
        found = self._tokens.verify(token)
        if self._revoked(found.subject, found.session, found.issued):
            raise Unauthenticated("This session has ended: log in again.")
        return found.caller


def bearer(authorization: str) -> str:
    """The token in an Authorization header. Raises Unauthenticated if there is none."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    return token


def _session(claims: dict[str, Any]) -> _Session:
    if claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
        raise Unauthenticated
    try:
        subject, session = UUID(claims["sub"]), UUID(claims["sid"])
    except (ValueError, AttributeError, TypeError):
        raise Unauthenticated from None
    clinics = claims.get("clinics")
    if not isinstance(clinics, dict) or not all(
        isinstance(roles, list) and all(isinstance(role, str) for role in roles)
        for roles in clinics.values()
    ):
        raise Unauthenticated
    held = {place: frozenset(roles) for place, roles in clinics.items()}
    caller = Caller(
        "person",
        subject,
        frozenset().union(*held.values()),
        MappingProxyType(held),
        session,
    )
    return _Session(caller, subject, session, float(claims["iat"]))


def verify_push(authorization: str | None, service: str) -> None:
    """Check that the broker itself pushed this to ``service``: signature (unless the platform has
    done that), issuer, audience (``<service>-events`` unless another is configured), and the
    verified e-mail of the pushing account.

    Raises Unauthenticated; Unavailable when the keys cannot be had.
    """
    if authorization is None:
        raise Unauthenticated("A push token is needed.")
    settings = config()
    audience = settings.push_audience or f"{service}-events"
    _pushes(settings.push_issuer, settings.push_jwks_url, settings.push_email, audience).verify(
        bearer(authorization)
    )


def push_token(key: SigningKey, service: str, *, issuer: str, email: str, life: int = 3600) -> str:
    """The token with which the embedded broker pushes to ``service`` for ``life`` seconds, with
    the claims that Pub/Sub's have."""
    now = int(clock().now().timestamp())
    claims = {
        "iss": issuer,
        "aud": f"{service}-events",
        "sub": email,
        "email": email,
        "email_verified": True,
        "iat": now,
        "exp": now + life,
    }
    return sign(claims, key, typ="JWT")


@cache
def _pushes(issuer: str, url: str, email: str, audience: str) -> Tokens[None]:
    def check(claims: dict[str, Any]) -> None:
        if claims.get("email") != email or claims.get("email_verified") is not True:
            raise Unauthenticated

    # Google signs with RS256, the embedded broker with ES256.
    algorithm: Algorithm = "RS256" if issuer == _GOOGLE else "ES256"
    return Tokens(
        issuer,
        audience,
        None if url == PLATFORM else _push_keys(url, algorithm),
        typ="JWT",
        require=("iss", "aud", "exp", "iat"),
        build=check,
        size=100,
    )


@cache
def _push_keys(url: str, algorithm: Algorithm) -> Jwks:
    return Jwks(url, algorithm=algorithm)
