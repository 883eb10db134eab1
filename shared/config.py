"""The one place that reads the environment.

Importing a service reads nothing, so that tools can. Where it is deployed, ``check`` runs at start
and names everything that is missing at once. No secret has a default.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from shared.retention import Retention, retention_of

__all__ = ["AUDIENCE", "PLATFORM", "Config", "MissingSettings", "check", "config", "deployed"]

AUDIENCE = "dentalhelp"
PLATFORM = "platform:"
"""As PUSH_JWKS_URL: Cloud Run admits the pushing account alone, by its signed token, and takes
the signature away before it hands the token on."""


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
    push_audience: str | None
    """Whom pushes to this process are for; None: ``<service>-events``."""
    bus_poke_socket: str | None
    password_cost: Literal["owasp", "low"]
    databases: Mapping[str, str]
    services: Mapping[str, str]
    """Every service that holds personal data -> its URL prefix."""
    services_url: str
    service_issuer: str
    service_jwks_url: str
    service_email: str
    """The account of a service, with ``{service}`` where its name stands."""
    service_signing_key: str | None
    blobs_url: str
    documents_url: str
    fault_points: str | None
    otlp_endpoint: str | None
    retention: Mapping[str, Retention]
    """Kind of record -> how long a law holds it."""
    optional: Mapping[str, str]
    """What only some services need: ``required`` says when it is missing."""

    def required(self, name: str) -> str:
        """A setting that only some services need. Raises MissingSettings."""
        value = self.optional.get(name)
        if not value:
            raise MissingSettings(f"missing: {name}")
        return value

    def retained(self, kind: str) -> Retention:
        """How long records of ``kind`` are held. Raises MissingSettings."""
        try:
            return self.retention[kind]
        except KeyError:
            raise MissingSettings(f"missing: {kind} in RETENTION") from None

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
        public = need("PUBLIC_URL")
        email = need("SERVICE_EMAIL")
        if email and "{service}" not in email:
            faults.append("SERVICE_EMAIL must contain {service}")
        services: dict[str, str] = {}
        try:
            read_services = json.loads(need("SERVICES") or "{}")
            services = {str(name): str(prefix) for name, prefix in read_services.items()}
        except (ValueError, AttributeError):
            faults.append("SERVICES must be a JSON object: name -> prefix")
        faulty = environ.get("FAULT_POINTS") or None
        if faulty and env != "embedded":
            faults.append("FAULT_POINTS is refused unless DENTALHELP_ENV is embedded")
        views = environ.get("DOCUMENTS_URL") or "sql:"
        if views != "sql:" and not views.startswith("firestore://"):
            faults.append("DOCUMENTS_URL must be sql: or firestore://project/database")
        retention: Mapping[str, Retention] = {}
        try:
            retention = retention_of(environ.get("RETENTION", ""))
        except ValueError as fault:
            faults.append(str(fault))
        push_keys = need("PUSH_JWKS_URL")
        if push_keys == PLATFORM and env != "cloud":
            faults.append("PUSH_JWKS_URL may be platform: only where DENTALHELP_ENV is cloud")
        read = cls(
            env="cloud" if env == "cloud" else "embedded",
            bus_url=need("BUS_URL"),
            kms_key=need("KMS_KEY"),
            blind_index_key=key,
            token_issuer=issuer,
            jwks_url=environ.get("JWKS_URL") or f"{issuer}/api/auth/jwks.json",
            public_url=public,
            push_issuer=need("PUSH_ISSUER"),
            push_jwks_url=push_keys,
            push_email=need("PUSH_EMAIL"),
            push_audience=environ.get("PUSH_AUDIENCE") or None,
            bus_poke_socket=environ.get("BUS_POKE_SOCKET") or None,
            password_cost="low" if cost == "low" else "owasp",
            databases={
                name.removesuffix("_DATABASE_URL").lower(): url
                for name, url in environ.items()
                if name.endswith("_DATABASE_URL") and url
            },
            services=services,
            services_url=environ.get("SERVICES_URL") or public,
            service_issuer=need("SERVICE_ISSUER"),
            service_jwks_url=need("SERVICE_JWKS_URL"),
            service_email=email,
            service_signing_key=environ.get("SERVICE_SIGNING_KEY") or None,
            blobs_url=need("BLOBS_URL"),
            documents_url=views,
            fault_points=faulty,
            otlp_endpoint=environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
            retention=retention,
            optional={
                name: environ.get(name, "") for name in ("OBJECTS_URL", "SMTP_URL", "MAIL_FROM")
            },
        )
        if faults:
            raise MissingSettings("; ".join(faults))
        return read


def check(service: str, needs: Iterable[str] = (), kinds: Iterable[str] = ()) -> None:
    """Raises MissingSettings naming everything ``service`` lacks: its database, what it ``needs``
    besides what all need, and the retention of the ``kinds`` of records that it holds."""
    faults = []
    try:
        known = config().retention
        faults += [f"missing: {kind} in RETENTION" for kind in kinds if kind not in known]
    except MissingSettings as missing:
        faults.append(str(missing))
    faults += [
        f"missing: {name}"
        for name in (f"{service.upper()}_DATABASE_URL", *needs)
        if not os.environ.get(name)
    ]
    if faults:
        raise MissingSettings("; ".join(faults))


def deployed() -> bool:
    """Does this process run as a deployed function (Cloud Run's container contract)?"""
    return "K_SERVICE" in os.environ


@cache
def config() -> Config:
    """This process's configuration, read once. Tests that change it call ``config.cache_clear``."""
    return Config.read(os.environ)
