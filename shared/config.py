"""The one place that reads the environment.

Importing a service reads nothing, so that tools can. Where it is deployed, ``check`` runs at start
and names everything that is missing at once. No secret has a default.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["AUDIENCE", "Config", "MissingSettings", "check", "config", "deployed"]

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
            raise MissingSettings(_no_database(service)) from None

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


def check(service: str) -> None:
    """Raises MissingSettings naming everything ``service`` lacks, its database included."""
    try:
        config().database_url(service)
    except MissingSettings as missing:
        name = _no_database(service)
        absent = not os.environ.get(f"{service.upper()}_DATABASE_URL")
        also = f"; {name}" if absent and name not in str(missing) else ""
        raise MissingSettings(f"{missing}{also}") from None


def _no_database(service: str) -> str:
    return f"missing: {service.upper()}_DATABASE_URL"


def deployed() -> bool:
    """Does this process run as a deployed function (Cloud Run's container contract)?"""
    return "K_SERVICE" in os.environ


@cache
def config() -> Config:
    """This process's configuration, read once. Tests that change it call ``config.cache_clear``."""
    return Config.read(os.environ)
