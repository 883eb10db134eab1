"""Signed tokens: keys, key sets and verification, by the rules of RFC 8725.

The algorithm belongs to the key set, which configuration names, never to the token: a token that
says otherwise is refused before any key is looked at.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from shared.clocks import clock
from shared.errors import Unauthenticated
from shared.key_sets import Algorithm, Jwks

__all__ = ["SigningKey", "Tokens", "sign"]

T = TypeVar("T")

LEEWAY = 5.0  # seconds that two machines' clocks may differ
_LONGEST_TOKEN = 8192  # characters


@dataclass(frozen=True)
class SigningKey:
    """A private ES256 key; ``kid`` is its RFC 7638 thumbprint."""

    kid: str
    pem: str = field(repr=False)

    @classmethod
    def generate(cls) -> SigningKey:
        """A new random key."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls.from_pem(pem.decode())

    @classmethod
    def from_pem(cls, pem: str) -> SigningKey:
        """The key in an unencrypted PEM text. Raises ValueError if it is not for ES256."""
        public = _public_members(pem)
        thumbprint = hashlib.sha256(
            json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
        ).digest()
        return cls(urlsafe_b64encode(thumbprint).rstrip(b"=").decode(), pem)

    def public_jwk(self) -> dict[str, Any]:
        """The public half as a JWK (RFC 7517), to publish in a key set."""
        return {**_public_members(self.pem), "kid": self.kid, "alg": "ES256", "use": "sig"}


def _public_members(pem: str) -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt.algorithms import ECAlgorithm

    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("the signing key must be on the curve P-256")
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: jwk[name] for name in ("crv", "kty", "x", "y")}


def sign(claims: Mapping[str, Any], key: SigningKey, typ: str = "at+jwt") -> str:
    """A compact JWT with ``typ`` and ``kid`` in its header (RFC 9068: at+jwt)."""
    import jwt

    headers = {"typ": typ, "kid": key.kid}
    return jwt.encode(dict(claims), key.pem, algorithm="ES256", headers=headers)


@dataclass(frozen=True)
class _Verified(Generic[T]):
    value: T
    kid: str
    key: Any
    expires: float


class Tokens(Generic[T]):
    """Verifies the tokens of one issuer for one audience and remembers the good ones.

    Remembering saves the signature check only: expiry and the key's place in the set are looked
    at each time.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        jwks: Jwks | None,
        *,
        typ: str,
        require: Sequence[str],
        build: Callable[[dict[str, Any]], T],
        size: int = 10_000,
    ) -> None:
        """``build`` turns checked claims into what is remembered; it raises Unauthenticated.

        Without ``jwks`` the signature was checked, and taken away, in front of this process:
        what the claims say is checked nevertheless.
        """
        self._issuer, self._audience, self._jwks, self._typ = issuer, audience, jwks, typ
        self._require = list(require)
        self._build = build
        self._size = size
        self._lock = threading.Lock()
        self._good: OrderedDict[bytes, _Verified[T]] = OrderedDict()

    def verify(self, token: str) -> T:
        """What ``build`` made of the token's claims. Raises Unauthenticated, Unavailable."""
        if len(token) > _LONGEST_TOKEN:
            raise Unauthenticated
        if self._jwks is None:
            return self._check(token, None).value
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            known = self._good.get(digest)
            if known is not None:
                self._good.move_to_end(digest)
        if known is None or self._jwks.key(known.kid) is not known.key:
            known = self._check(token, self._jwks)
            with self._lock:
                self._good[digest] = known
                if len(self._good) > self._size:
                    self._good.popitem(last=False)
        if clock().now().timestamp() >= known.expires:
            raise Unauthenticated("The token has expired.")
        return known.value

    def _check(self, token: str, jwks: Jwks | None) -> _Verified[T]:
        import jwt

        algorithm: Algorithm = "RS256" if jwks is None else jwks.algorithm
        try:
            header = jwt.get_unverified_header(token)
            kid, typ = header.get("kid"), header.get("typ")
            if (
                header.get("alg") != algorithm
                or not isinstance(kid, str)
                or not isinstance(typ, str)
                or typ.lower().removeprefix("application/") != self._typ.lower()
            ):
                raise Unauthenticated
            key = "" if jwks is None else jwks.key(kid)
            if key is None:
                raise Unauthenticated
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                # Times are checked below, by the process's clock and as fractions of seconds.
                options={
                    "verify_signature": jwks is not None,
                    "verify_iss": True,
                    "verify_aud": True,
                    "require": self._require,
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated from None
        now = clock().now().timestamp()
        expires, issued = _number(claims["exp"]), _number(claims["iat"])
        if max(issued, _number(claims.get("nbf", issued))) > now + LEEWAY:
            raise Unauthenticated("The token is not valid yet.")
        if now >= expires + LEEWAY:
            raise Unauthenticated("The token has expired.")
        return _Verified(self._build(claims), kid, key, expires + LEEWAY)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unauthenticated
    try:
        seconds = float(value)
    except OverflowError:
        raise Unauthenticated from None
    if not math.isfinite(seconds):
        raise Unauthenticated
    return seconds
