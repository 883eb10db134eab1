"""The one place that reads the environment.

Each part (``database_url``, ``crypto`` ...) is asked for by who needs it, and ``check`` names
everything a service lacks at once, at start. No secret has a default.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["Config", "MissingSettings", "config"]

AUDIENCE = "dentalhelp"


class MissingSettings(Exception):
    """The environment lacks settings, or holds malformed ones; the message lists them all."""


@dataclass(frozen=True)
class Config:
    """Everything a function is told from outside; see docs/configuration.md for each setting."""

    env: Literal["embedded", "cloud"]
    bus_url: str
    kms_key: str
    blind_index_key: bytes
    token_issuer: str
    jwks_url: str
    public_url: str
    push_issuer: str
    push_jwks_url: str
    push_email: str
    bus_poke_socket: str | None
    password_cost: Literal["owasp", "low"]
    databases: Mapping[str, str]

    def database_url(self, service: str) -> str:
        """The URL of ``service``'s own database. Raises MissingSettings."""
        try:
            return self.databases[service]
        except KeyError:
            raise MissingSettings(f"missing: {service.upper()}_DATABASE_URL") from None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Config:
        """Read and check ``environ``; raises MissingSettings naming every fault."""
        faults: list[str] = []

        def need(name: str) -> str:
            value = environ.get(name, "")
            if not value:
                faults.append(f"missing: {name}")
            return value

        env = need("DENTALHELP_ENV")
        if env and env not in ("embedded", "cloud"):
            faults.append("DENTALHELP_ENV must be embedded or cloud")
        key = b""
        text = need("BLIND_INDEX_KEY")
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            faults.append("BLIND_INDEX_KEY must be base64")
        if text and key and len(key) != 32:
            faults.append("BLIND_INDEX_KEY must be 32 bytes")
        cost = environ.get("PASSWORD_COST", "owasp")
        if cost not in ("owasp", "low") or (cost == "low" and env != "embedded"):
            faults.append("PASSWORD_COST must be owasp (low only when embedded)")
        issuer = need("TOKEN_ISSUER")
        read = cls(
            env="cloud" if env == "cloud" else "embedded",
            bus_url=need("BUS_URL"),
            kms_key=need("KMS_KEY"),
            blind_index_key=key,
            token_issuer=issuer,
            jwks_url=environ.get("JWKS_URL") or f"{issuer}/api/auth/jwks.json",
            public_url=need("PUBLIC_URL"),
            push_issuer=need("PUSH_ISSUER"),
            push_jwks_url=need("PUSH_JWKS_URL"),
            push_email=need("PUSH_EMAIL"),
            bus_poke_socket=environ.get("BUS_POKE_SOCKET") or None,
            password_cost="low" if cost == "low" else "owasp",
            databases={
                name.removesuffix("_DATABASE_URL").lower(): url
                for name, url in environ.items()
                if name.endswith("_DATABASE_URL") and url
            },
        )
        if faults:
            raise MissingSettings("; ".join(faults))
        return read


@cache
def config() -> Config:
    """This process's configuration, read once. Tests that change it call ``config.cache_clear``."""
    return Config.read(os.environ)
