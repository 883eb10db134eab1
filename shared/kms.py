"""The key above all keys: wraps and unwraps a service's data keys, and never leaves its home.

``local:<base64 of 32 bytes>`` keeps it in the environment (embedded stack, tests);
``gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K`` asks Google Cloud KMS over REST.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from typing import Any, Protocol

from shared import log
from shared.errors import Unavailable

__all__ = ["GcpKms", "Kms", "LocalKms", "Unreadable", "kms"]

_NONCE = 12


class Unreadable(Exception):
    """The key to this data is gone, or the data was changed after it was sealed."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or type(self).__doc__)


class Kms(Protocol):
    """Wraps small secrets. ``aad`` must be the same when unwrapping."""

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Encrypt ``secret``. Raises Unavailable."""
        ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Decrypt what ``wrap`` gave. Raises Unreadable, Unavailable."""
        ...


@cache
def kms(url: str) -> Kms:
    """The KMS that ``url`` names. Raises ValueError for an unknown scheme or a malformed key."""
    scheme, _, rest = url.partition(":")
    if scheme == "local":
        return LocalKms(base64.b64decode(rest, validate=True))
    if scheme == "gcp-kms":
        return GcpKms(rest.removeprefix("//"))
    raise ValueError("KMS_KEY must begin with local: or gcp-kms://")


class LocalKms:
    """AES-256-GCM with a key from the environment."""

    def __init__(self, key: bytes) -> None:
        """``key`` has 32 bytes."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) != 32:
            raise ValueError("the local KMS key must be 32 bytes")
        self._aead = AESGCM(key)

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Nonce, then ciphertext and tag."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, secret, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Raises Unreadable under another key or ``aad``."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], aad)
        except (InvalidTag, ValueError):
            raise Unreadable from None


class GcpKms:
    """Google Cloud KMS, REST v1 ``cryptoKeys.encrypt`` and ``cryptoKeys.decrypt``.

    Every value travels with its CRC32C in both directions, as Google advises: a bit that flips on
    the way would otherwise cost all the data under the key.
    """

    def __init__(
        self,
        key: str,
        *,
        base: str = "https://cloudkms.googleapis.com",
        credentials: Any = None,
    ) -> None:
        """``key`` is the CryptoKey's resource name; ``credentials`` default to the ambient ones."""
        self._url = f"{base}/v1/{key}"
        self._credentials = credentials

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Encrypt under the key's primary version. Raises Unavailable."""
        reply = self._call("encrypt", plaintext=secret, additionalAuthenticatedData=aad)
        wrapped = base64.b64decode(reply["ciphertext"])
        if not (
            reply.get("verifiedPlaintextCrc32c")
            and reply.get("verifiedAdditionalAuthenticatedDataCrc32c")
            and int(reply["ciphertextCrc32c"]) == crc32c(wrapped)
        ):
            log.error("kms_checksum_mismatch", method="encrypt")
            raise Unavailable
        return wrapped

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Decrypt with whichever version encrypted. Raises Unreadable, Unavailable."""
        reply = self._call("decrypt", ciphertext=wrapped, additionalAuthenticatedData=aad)
        secret = base64.b64decode(reply.get("plaintext", ""))
        if int(reply["plaintextCrc32c"]) != crc32c(secret):
            log.error("kms_checksum_mismatch", method="decrypt")
            raise Unavailable
        return secret

    def _call(self, method: str, **values: bytes) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        body: dict[str, str] = {}
        for name, value in values.items():
            body[name] = base64.b64encode(value).decode()
            body[name + "Crc32c"] = str(crc32c(value))
        try:
            reply = self._session().post(f"{self._url}:{method}", json=body, timeout=5)
        except (GoogleAuthError, RequestException) as failure:
            log.error("kms_unreachable", method=method, failure=type(failure).__name__)
            raise Unavailable from failure
        if reply.status_code == 400 and method == "decrypt":
            raise Unreadable
        if reply.status_code != 200:
            log.error("kms_refused", method=method, status=reply.status_code)
            raise Unavailable
        found: dict[str, Any] = reply.json()
        return found

    def _session(self) -> Any:
        # A session per call: calls are rare (once per key and instance), threads are not.
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        if self._credentials is None:
            self._credentials, _ = google.auth.default(
                scopes=["https://www.googleapis.com/auth/cloudkms"]
            )
        return AuthorizedSession(self._credentials)  # type: ignore[no-untyped-call]


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC of ``data`` (RFC 3720, appendix B.4); meant for a few dozen bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
