"""A small HTTP client for the tools that talk to a running platform as anybody would."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra import manifest
from infra.local.admin import Admin

__all__ = ["Answer", "Away", "Client", "NotThere", "Person", "admin", "target", "why"]

_PATIENCE = 120.0  # seconds for an answer that is not 503


class Away(Exception):
    """Nobody answered; whether a request took effect is unknown."""


class NotThere(Exception):
    """What the tool needs is missing; the message is one line for a person."""


@dataclass(frozen=True)
class Answer:
    """What came back: ``body`` is the JSON (or {}), ``seconds`` from asking to reading it all."""

    status: int
    headers: Message
    body: dict[str, Any]
    seconds: float
    data: bytes = b""
    """All of it, whatever it is."""

    @property
    def etag(self) -> str:
        """The version, as If-Match wants it."""
        return str(self.headers.get("ETag", ""))


class Client:
    """One kept connection; each thread needs a client of its own."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        """``url`` without a path; ``timeout`` in seconds for every answer."""
        self.url = url
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=timeout
        )

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, as JSON, by whoever ``token`` belongs to. Raises Away; repeats nothing."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        started = time.perf_counter()
        try:
            self._connection.request(method, path, data, sent)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as fault:
            self._connection.close()
            raise Away(str(fault) or type(fault).__name__) from None
        took = time.perf_counter() - started
        read: Any = None
        with suppress(ValueError):
            read = json.loads(text)
        found = read if isinstance(read, dict) else {}
        return Answer(response.status, response.headers, found, took, text)

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._connection.close()


class Person:
    """Somebody who is logged in, on one connection; used by one thread."""

    def __init__(self, url: str, email: str, password: str, *, patience: float = _PATIENCE) -> None:
        """``patience``: how long, in seconds, what is away is asked again."""
        self._client = Client(url)
        self._who = {"email": email, "password": password}
        self._patience = patience
        self._token: str | None = None

    def call(self, method: str, path: str, body: Any = None) -> Answer:
        """One request, repeated while the platform is away: one that may be. Raises Away, or
        NotThere when the log-in is refused."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if self._token is None:
                    self._login()
                answer = self._client.call(method, path, body, token=self._token)
            except Away:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
                continue
            if answer.status == 401 and self._token is not None:
                self._token = None
            elif answer.status != 503 or time.monotonic() > deadline:
                return answer
            else:
                time.sleep(float(answer.headers.get("Retry-After", "1")))

    def _login(self) -> None:
        answer = self._client.call("POST", "/api/auth/login", self._who)
        if answer.status == 503:
            raise Away("the log-in is away")
        if answer.status != 200:
            raise NotThere(f"{self._who['email']} cannot log in: {why(answer)}")
        self._token = answer.body["access_token"]


def why(answer: Answer) -> str:
    """What a person wants to know of an answer that is not as wanted."""
    return f"{answer.status} {answer.body.get('detail', '')}".strip()


def target(environ: Mapping[str, str] = os.environ) -> str:
    """Where the platform is: URL, or PORT (8080) on this machine."""
    url = environ.get("URL") or f"http://127.0.0.1:{environ.get('PORT') or '8080'}"
    return url.rstrip("/")


def admin(environ: Mapping[str, str] = os.environ) -> Admin:
    """The first administrator, from ADMIN_FILE (``admin.json`` in DATA). Raises NotThere."""
    data = manifest.ROOT / (environ.get("DATA") or ".local")
    file = Path(environ.get("ADMIN_FILE") or data / "admin.json")
    try:
        return Admin(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as fault:
        reason = getattr(fault, "strerror", None) or "not an e-mail and a password"
        raise NotThere(
            f"The administrator's credentials cannot be read from {file} ({reason}):"
            " name the file with ADMIN_FILE, or its directory with DATA."
        ) from None
