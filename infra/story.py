"""How a story is told over HTTP: a line per request with its time, and what makes it a miss."""

from __future__ import annotations

import http.client
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from infra.client import Answer, Away, Client
from infra.local.admin import Admin

__all__ = ["AUTH", "PATIENTS", "ZONE", "Missed", "Story", "tell"]

AUTH, PATIENTS = "/api/auth", "/api/patients"
_MAILS = "/_local/mail"
# The clinic is where a working day has begun and has hours to go, whenever the story is told.
ZONE = next(
    zone
    for zone in (
        "Europe/Bucharest",
        "Asia/Jakarta",
        "America/New_York",
        "America/Los_Angeles",
        "Pacific/Auckland",
    )
    if 6 <= datetime.now(ZoneInfo(zone)).hour < 14
)
"""The clinic's time zone."""
_PATIENCE = 5.0  # seconds, the longest the group accepts for anything eventual
_EAGER = 0.5  # seconds in which a look follows a look at once, to measure


class Missed(Exception):
    """Something is not as told; the message says what."""


@dataclass
class Story:
    """What the chapters share: who has which token, and the person it is all about."""

    client: Client
    administrator: Admin
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    tokens: dict[str, str] = field(default_factory=dict)
    """Who (``admin``, ``reception``, ``dentist``, ``person``, ``stranger``) -> access token."""
    person: dict[str, Any] = field(default_factory=dict)
    patient_id: str = ""
    registration_id: str = ""
    refresh_token: str = ""
    etag: str = ""
    addresses: list[str] = field(default_factory=list)
    """Every e-mail address the person has had; the last one counts."""
    known: dict[str, Any] = field(default_factory=dict)
    """What a chapter leaves for later ones: ids, times, a file."""
    erasure_id: str = ""
    receipt: str = ""

    def ask(
        self,
        what: str,
        expected: int,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """One request ``by`` somebody, told as ``what``. Raises Missed on any other status."""
        token = self.tokens[by] if by else None
        answer = self.client.call(method, path, body, token=token, headers=headers)
        if answer.status != expected:
            detail = answer.body.get("detail", "without a reason")
            raise Missed(
                f"{what}: {method} {path} answered {answer.status}, not {expected}: {detail}"
            )
        tell(what, answer.seconds, answer.status)
        return answer

    def transfer(
        self,
        what: str,
        method: str,
        url: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Send or fetch a file at a signed ``url``, without a token: what came. Raises Missed."""
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        line = kind(parts.netloc, timeout=60.0)
        started = time.perf_counter()
        try:
            line.request(method, f"{parts.path}?{parts.query}", data, dict(headers or {}))
            response = line.getresponse()
            came = response.read()
        except (OSError, http.client.HTTPException) as fault:
            raise Away(str(fault) or type(fault).__name__) from None
        finally:
            line.close()
        self.must(response.status in (200, 201), f"{what}: {method} answered {response.status}")
        tell(what, time.perf_counter() - started, response.status)
        return came

    def until(self, what: str, look: Callable[[], bool], patience: float = _PATIENCE) -> float:
        """Wait until ``look`` is true; seconds it took. Raises Missed."""
        started = time.perf_counter()
        while not look():
            waited = time.perf_counter() - started
            if waited > patience:
                raise Missed(f"{what}: not within {patience:.0f} s")
            time.sleep(0.002 if waited < _EAGER else 0.05)
        return time.perf_counter() - started

    def must(self, holds: bool, what: str) -> None:
        """Raise Missed with ``what`` unless it holds."""
        if not holds:
            raise Missed(what)

    def login(self, who: str, email: str, password: str) -> str:
        """Log ``who`` in; the refresh token."""
        body = {"email": email, "password": password}
        answer = self.ask(f"{who} logs in", 200, "POST", f"{AUTH}/login", body)
        self.tokens[who] = answer.body["access_token"]
        return str(answer.body["refresh_token"])

    def register(self, body: dict[str, Any]) -> Answer:
        """Register somebody and follow the saga to its end; the first answer."""
        answer = self.ask("registers", 201, "POST", f"{AUTH}/register", body)
        path = answer.headers["Location"]

        def active() -> bool:
            status = self.client.call("GET", path).body["status"]
            self.must(status != "FAILED", "the registration failed")
            return bool(status == "ACTIVE")

        tell("is ACTIVE in every service", self.until("becoming ACTIVE", active))
        return answer

    def profile(self) -> Answer:
        """The person's own profile, untold."""
        path = f"{PATIENTS}/{self.patient_id}"
        return self.client.call("GET", path, token=self.tokens["person"])

    def has_mailboxes(self) -> bool:
        """Whether the platform runs on this machine, where its outside world can be looked at."""
        return self.client.call("GET", f"{_MAILS}.json").status == 200

    def mails(self, *addresses: str) -> Iterator[str]:
        """The texts of the newest e-mails that went to one of ``addresses``."""
        for mail in self.client.call("GET", f"{_MAILS}.json").body["items"]:
            if set(mail["to"]) & set(addresses):
                yield self.client.call("GET", f"{_MAILS}/{mail['id']}.json").body["text"]


def tell(what: str, seconds: float | None = None, status: int | None = None) -> None:
    """One line of the story."""
    took = "" if seconds is None else f"{seconds * 1000:8.1f} ms"
    print(f"     {what:<58} {status or '':>4} {took}".rstrip(), flush=True)
