"""The environment of the embedded platform's processes, derived from its directory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra import manifest
from infra.local.files import write_private
from infra.local.keyring import Keyring
from infra.local.preflight import HOST
from shared.tokens import SigningKey

__all__ = ["EXAMPLE_RETENTION", "Settings"]

# Examples, not advice: what the law asks for, and for how long, the operator has to find out.
EXAMPLE_RETENTION = {
    "appointment": {"days": 1_095, "reason": "EXAMPLE: claims expire after 3 years"},
    "dental_record": {"days": 3_650, "reason": "EXAMPLE: medical records, 10 years"},
    "xray": {"days": 3_650, "reason": "EXAMPLE: diagnostic images, 10 years"},
    "treatment": {"days": 3_650, "reason": "EXAMPLE: medical records, 10 years"},
    "prescription": {"days": 1_825, "reason": "EXAMPLE: prescriptions, 5 years"},
}

_PUSH_EMAIL = "bus@dentalhelp.local"
# A Unix socket's whole path has at most 104 (macOS) or 108 (Linux) bytes.
_LONGEST_SOCKET_DIR = 60
# What a process needs from whoever started the platform; everything else stays outside.
_PASSED_ON = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME", "SYSTEMROOT"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"),
)


@dataclass(frozen=True)
class Settings:
    """Where one platform keeps things and what it tells its processes."""

    directory: Path
    port: int
    keys: Keyring
    urls: Mapping[str, str]
    """Service -> its database's URL for the runtime role."""
    bus_url: str
    extra: Mapping[str, str]
    """Further variables for every process."""
    smtp_port: int
    """Where the mail sink listens."""

    @property
    def smtp_url(self) -> str:
        """The mail sink, which the background process runs."""
        return f"smtp://{HOST}:{self.smtp_port}"

    @property
    def mail_dir(self) -> Path:
        """Where the mail sink keeps what it received."""
        return self.directory / "mail"

    @property
    def url(self) -> str:
        """Where the platform answers."""
        return f"http://{HOST}:{self.port}"

    @property
    def run_dir(self) -> Path:
        """For sockets and the like; a short path in the temporary directory if need be."""
        own = self.directory / "run"
        if len(str(own)) <= _LONGEST_SOCKET_DIR:
            return own
        name = hashlib.sha256(str(own).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"dentalhelp-{os.getuid()}-{name}"

    def prepare(self) -> None:
        """Write the files that the variables point to. Raises OSError."""
        self.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kept in (self.directory / "blobs", self.directory / "objects", self.mail_dir):
            kept.mkdir(mode=0o700, exist_ok=True)
        if self.run_dir.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.run_dir} belongs to somebody else")
        for stale in self.run_dir.glob("*.sock"):
            stale.unlink()
        write_private(self.run_dir / "push-key.pem", self.keys.push_signing_key)
        public = SigningKey.from_pem(self.keys.push_signing_key).public_jwk()
        write_private(self.run_dir / "push-jwks.json", json.dumps({"keys": [public]}))
        write_private(self.run_dir / "service-key.pem", self.keys.service_signing_key)
        public = SigningKey.from_pem(self.keys.service_signing_key).public_jwk()
        write_private(self.run_dir / "service-jwks.json", json.dumps({"keys": [public]}))

    def common(self) -> dict[str, str]:
        """What every process may know."""
        return {
            **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            "PYTHONUNBUFFERED": "1",
            "DENTALHELP_ENV": "embedded",
            "BUS_URL": self.bus_url,
            "BUS_POKE_SOCKET": str(self.run_dir / "bus.sock"),
            "KMS_KEY": f"local:{self.keys.kms_key}",
            "BLIND_INDEX_KEY": self.keys.blind_index_key,
            "TOKEN_ISSUER": self.url,
            "PUBLIC_URL": self.url,
            "PUSH_ISSUER": "dentalhelp-bus",
            "PUSH_JWKS_URL": (self.run_dir / "push-jwks.json").absolute().as_uri(),
            "PUSH_EMAIL": _PUSH_EMAIL,
            "SERVICES": json.dumps(manifest.personal_services()),
            "SERVICE_ISSUER": "dentalhelp-services",
            "SERVICE_JWKS_URL": (self.run_dir / "service-jwks.json").absolute().as_uri(),
            "SERVICE_EMAIL": "{service}@dentalhelp.local",
            "RETENTION": json.dumps(EXAMPLE_RETENTION),
            "BLOBS_URL": (self.directory / "blobs").absolute().as_uri(),
            "OBJECTS_URL": (self.directory / "objects").absolute().as_uri(),
            **self.extra,
        }

    def services(self, names: Iterable[str]) -> dict[str, str]:
        """For a process that runs these services: their databases and no others."""
        databases = {f"{name.upper()}_DATABASE_URL": self.urls[name] for name in names}
        key = {"SERVICE_SIGNING_KEY": str(self.run_dir / "service-key.pem")}
        mail = {"SMTP_URL": self.smtp_url, "MAIL_FROM": "DentalHelp <no-reply@dentalhelp.example>"}
        return self.common() | key | mail | databases

    def background(self) -> dict[str, str]:
        """For the one process that signs pushes; it sees no service's database."""
        return self.common() | {
            "PUSH_SIGNING_KEY": str(self.run_dir / "push-key.pem"),
            "SMTP_PORT": str(self.smtp_port),
            "MAIL_DIR": str(self.mail_dir),
        }
