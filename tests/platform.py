"""The services of the platform in one process: real databases, an in-memory bus, real requests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from importlib import import_module
from typing import Any

from flask import Flask, Response, request
from werkzeug.test import TestResponse

from functions.auth.service import staff
from functions.auth.service.keys import verification_keys
from infra.manifest import service_names
from shared.bus import Subscription
from shared.client import install_transport
from shared.client_http import NoAnswer
from shared.config import config
from shared.db import Database
from shared.runtime import Service, connected
from shared.testing_bus import MemoryBus

__all__ = ["CNP", "EVERY", "PASSWORD", "Platform", "person"]

EVERY = tuple(service_names())
PASSWORD = "gravel-otter-sings-4"
CNP = "2950101123451"


def person(email: str, **more: Any) -> dict[str, Any]:
    """A registration's body."""
    return {
        "email": email,
        "password": PASSWORD,
        "first_name": "Ana",
        "last_name": "Popescu",
        **more,
    }


class Platform:
    """Services on fresh databases; ``drain`` delivers what was published."""

    def __init__(
        self,
        service_db: Callable[[str], str],
        bus: MemoryBus | None = None,
        services: Sequence[str] = ("auth", "patient", "notification"),
    ) -> None:
        self.bus = bus or MemoryBus()
        self.services: Mapping[str, Service] = {
            name: import_module(f"functions.{name}.main").service for name in services
        }
        self.databases = {name: self._install(name, service_db(name)) for name in self.services}
        self.bus.topic(*self.services, *(f"{name}.dead-letters" for name in self.services))
        for service in self.services.values():
            for topic in (*service.topics, f"{service.name}.dead-letters"):
                self._subscribe(service, topic)
        self.app = self._app()
        self.client = self.app.test_client()
        self.away: set[str] = set()
        """Services that answer no other and take no message."""
        self._introduce()

    def _install(self, name: str, url: str) -> Database:
        db = connected(name, url, self.bus)
        self.services[name].forget_connections(verification_keys)
        return db

    def _subscribe(self, service: Service, topic: str) -> None:
        name = topic if topic.startswith(f"{service.name}.") else f"{service.name}.{topic}"

        def receiver(body: bytes) -> int:
            if service.name in self.away:
                return 503
            service.deliver(body)
            return 204

        dead = None if topic.endswith(".dead-letters") else f"{service.name}.dead-letters"
        self.bus.subscribe(
            Subscription(name, topic, service.name, "http://memory", dead_letter_topic=dead),
            receiver,
        )

    def _app(self) -> Flask:
        app = Flask("platform")

        @app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        def dispatch(path: str) -> Response:
            for service in self.services.values():
                if f"/{path}/".startswith(f"{service.prefix}/"):
                    return service.http(request)
            raise LookupError(path)

        return app

    def _introduce(self) -> None:
        """The services reach each other."""
        personal = {name: s.prefix for name, s in self.services.items() if s.privacy.tables}
        os.environ["SERVICES"] = json.dumps(personal)
        config.cache_clear()
        install_transport(self._transport)

    def _transport(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        path = url.removeprefix(config().services_url)
        if any(path.startswith(f"{self.services[name].prefix}/") for name in self.away):
            raise NoAnswer("away")

        def answer() -> TestResponse:
            return self.app.test_client().open(path, method=method, data=body, headers=headers)

        # The other side knows nothing of this one's request but what the headers say.
        found = Context().run(answer)
        return found.status_code, dict(found.headers), found.data

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request, as JSON, by whoever ``token`` belongs to."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body)
        return self.client.open(path, method=method, data=data, headers=sent)

    def drain(self) -> None:
        """Deliver everything that is due."""
        self.bus.drain()

    def register(self, email: str, **more: Any) -> dict[str, Any]:
        """Register a patient and wait until the saga has ended; the answer's body."""
        response = self.call("POST", "/api/auth/register", person(email, **more))
        assert 201 == response.status_code, response.text
        self.drain()
        found: dict[str, Any] = response.json or {}
        return found

    def login(self, email: str, password: str = PASSWORD) -> dict[str, Any]:
        """The tokens of a new session."""
        response = self.call("POST", "/api/auth/login", {"email": email, "password": password})
        assert 200 == response.status_code, response.text
        found: dict[str, Any] = response.json or {}
        return found

    def token(self, email: str, password: str = PASSWORD) -> str:
        """An access token."""
        return str(self.login(email, password)["access_token"])

    def admin(self) -> str:
        """The access token of a group-wide ADMIN."""
        staff.first_admin("admin@example.com", PASSWORD)
        return self.token("admin@example.com")

    def staff(self, email: str, *roles: Mapping[str, str]) -> str:
        """The access token of a new staff member with ``roles``."""
        body = {
            "email": email,
            "first_name": "Ion",
            "last_name": "Ionescu",
            "password": PASSWORD,
            "roles": list(roles),
        }
        response = self.call("POST", "/api/auth/users", body, token=self.admin())
        assert 201 == response.status_code, response.text
        return self.token(email)
