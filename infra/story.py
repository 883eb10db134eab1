"""How a story is told over HTTP: a line per request with its time, and what makes it a miss."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infra.client import Answer, Client
from infra.local.admin import Admin

__all__ = ["AUTH", "PATIENTS", "Missed", "Story", "tell"]

AUTH, PATIENTS = "/api/auth", "/api/patients"
_PATIENCE = 5.0  # seconds, the longest the group accepts for anything eventual


class Missed(Exception):
    """Something is not as told; the message says what."""


@dataclass
class Story:
    """What the chapters share: who has which token, and the person it is all about."""

    client: Client
    administrator: Admin
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    tokens: dict[str, str] = field(default_factory=dict)
    """Who (``admin``, ``reception``, ``person``, ``stranger``) -> access token."""
    person: dict[str, Any] = field(default_factory=dict)
    patient_id: str = ""
    registration_id: str = ""
    refresh_token: str = ""
    etag: str = ""
    addresses: list[str] = field(default_factory=list)
    """Every e-mail address the person has had; the last one counts."""
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

    def until(self, what: str, look: Callable[[], bool]) -> float:
        """Wait until ``look`` is true; seconds it took. Raises Missed."""
        started = time.perf_counter()
        while not look():
            if time.perf_counter() - started > _PATIENCE:
                raise Missed(f"{what}: not within {_PATIENCE:.0f} s")
            time.sleep(0.002)
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


def tell(what: str, seconds: float | None = None, status: int | None = None) -> None:
    """One line of the story."""
    took = "" if seconds is None else f"{seconds * 1000:8.1f} ms"
    print(f"     {what:<58} {status or '':>4} {took}".rstrip(), flush=True)
