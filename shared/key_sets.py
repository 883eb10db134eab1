"""Sets of public keys (JWKS, RFC 7517) that tokens are checked with."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from shared import log
from shared.errors import Unavailable

__all__ = ["Algorithm", "Jwks"]

Algorithm = Literal["ES256", "RS256"]
Jwk = Mapping[str, Any]

_LARGEST_SET = 1 << 20  # bytes
_KEY_TYPES = {"ES256": ("EC", "P-256"), "RS256": ("RSA", None)}


class Jwks:
    """Public keys by ``kid``, cached: refreshed after ``ttl`` seconds, and at most every
    ``refetch`` seconds when a token names an unknown key. When the source is away the last set is
    served; Unavailable if there is none.
    """

    def __init__(
        self,
        url: str,
        *,
        algorithm: Algorithm = "ES256",
        ttl: float = 300.0,
        refetch: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``url`` is http(s):// or file:// and gives ``{"keys": [...]}``."""
        if not url.startswith(("https://", "http://", "file://")):
            raise ValueError("a key set's URL begins with https://, http:// or file://")
        self._source: Callable[[], Sequence[Jwk]] = lambda: _fetch(url)
        self._set(algorithm, ttl, refetch, monotonic)

    @classmethod
    def of(
        cls,
        source: Callable[[], Sequence[Jwk]],
        *,
        algorithm: Algorithm = "ES256",
        ttl: float = 300.0,
        refetch: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Jwks:
        """Keys from ``source``, for the service that keeps them itself."""
        made = cls.__new__(cls)
        made._source = source
        made._set(algorithm, ttl, refetch, monotonic)
        return made

    def _set(
        self, algorithm: Algorithm, ttl: float, refetch: float, monotonic: Callable[[], float]
    ) -> None:
        self.algorithm: Algorithm = algorithm
        self._ttl, self._refetch, self._monotonic = ttl, refetch, monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, Any] | None = None
        self._fresh_until = self._next_try = -math.inf

    def key(self, kid: str) -> Any | None:
        """The key called ``kid``, or None. Raises Unavailable if no set could be had so far."""
        keys, now = self._keys, self._monotonic()
        known = keys is not None and kid in keys
        if (known and now < self._fresh_until) or (keys is not None and now < self._next_try):
            return keys.get(kid) if keys else None
        # Who has the key in hand does not wait for another thread's refresh.
        if self._lock.acquire(blocking=not known, timeout=-1 if known else 3):
            try:
                self._refresh()
            finally:
                self._lock.release()
        if self._keys is None:
            raise Unavailable
        return self._keys.get(kid)

    def _refresh(self) -> None:
        now = self._monotonic()
        if now < self._next_try:  # another thread has just been there
            return
        # Without any key every request fails, so then try again sooner.
        self._next_try = now + (self._refetch if self._keys is not None else 1.0)
        try:
            found = {jwk["kid"]: self._parse(jwk) for jwk in self._source()}
        except Exception as failure:  # noqa: BLE001 - whatever ails the source, old keys serve
            log.warning("key_set_unreachable", failure=type(failure).__name__)
            return
        self._keys = {kid: key for kid, key in found.items() if key is not None}
        self._next_try = now + self._refetch
        self._fresh_until = now + self._ttl

    def _parse(self, jwk: Jwk) -> Any | None:
        import jwt

        kind, curve = _KEY_TYPES[self.algorithm]
        if (
            jwk.get("kty") != kind
            or jwk.get("crv") != curve
            or jwk.get("use", "sig") != "sig"
            or jwk.get("alg", self.algorithm) != self.algorithm
            # Published for what it signed once, not for tokens.
            or jwk.get("retired")
        ):
            return None
        try:
            return jwt.PyJWK(dict(jwk), algorithm=self.algorithm).key
        except jwt.PyJWTError:
            return None


def _fetch(url: str) -> Sequence[Jwk]:
    from urllib.request import urlopen

    # Configuration names the URL and its scheme has been checked.
    with urlopen(url, timeout=2) as reply:  # nosec B310
        found: dict[str, Any] = json.loads(reply.read(_LARGEST_SET))
    keys: list[Jwk] = found["keys"]
    return keys
