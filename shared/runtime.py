"""What turns a service's parts into its two deploy targets, ``http`` and ``events``.

Everything is connected lazily: importing a service needs no setting and opens nothing, so that
the manifest can be derived from the code and a cold start pays only for what a request uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared import dead_letters, kit, log
from shared.audit import acting_as_service
from shared.bus import BusUnavailable, parse_push
from shared.config import AUDIENCE, check, config, deployed
from shared.errors import NotFound, Problem, Reject, Unavailable
from shared.event_gate import gate_gauges
from shared.handles import connected, database, install, outbox, vault
from shared.http import Api
from shared.http_reply import make, problem
from shared.idempotency import Once
from shared.identity import (
    Caller,
    Jwks,
    Revocations,
    Verifier,
    verify_push,
)
from shared.inbox import Subscriptions, receive
from shared.jobs import Jobs
from shared.messages import Envelope
from shared.privacy import NO_PERSONAL_DATA, Privacy
from shared.saga import Orchestrator, Saga, replied
from shared.service_identity import authenticate
from shared.telemetry import Gauges, handled
from shared.telemetry_export import Serving
from shared.telemetry_routes import kit_gauges, read_gauges

if TYPE_CHECKING:
    from flask import Request, Response

    from shared.db import Database
    from shared.projection import Projector

__all__ = ["Service", "connected", "database", "install", "outbox", "vault"]


class Service:
    """One service: its routes, what it consumes, its sagas and its jobs."""

    def __init__(
        self,
        name: str,
        *,
        api: Api,
        handlers: Subscriptions | None = None,
        sagas: Sequence[Saga] = (),
        jobs: Jobs | None = None,
        privacy: Privacy = NO_PERSONAL_DATA,
        needs: Sequence[str] = (),
        gauges: Sequence[Gauges] = (),
        projections: Sequence[Projector] = (),
        keys: Callable[[], list[dict[str, Any]]] | None = None,
    ) -> None:
        """``needs``: settings besides those that every service needs. ``gauges`` read figures of
        the service's own. ``projections`` follow its events. ``keys`` gives the public token keys
        where they need not be fetched: in auth itself."""
        self.name, self.api, self.privacy = name, api, privacy
        self.needs = (*needs, *(["RETENTION"] if privacy.kinds else []))
        self.on = handlers or Subscriptions(name)
        self.sagas, self.projections = sagas, projections
        self._keys = keys
        self._once = Once(lambda: database(name), lambda: vault(name))
        self.orchestrator = Orchestrator(name, sagas, self.on, lambda: database(name))
        self.jobs = jobs.entries.copy() if jobs else {}
        self.gauges: tuple[Gauges, ...] = (kit_gauges, gate_gauges, *gauges)
        if deployed():
            check(name, needs, privacy.kinds)
        kit.add_jobs(self)
        kit.add_handlers(self)
        kit.add_routes(self)

    @property
    def prefix(self) -> str:
        """The URL prefix all its routes share."""
        return self.api.prefix

    @property
    def topics(self) -> frozenset[str]:
        """The topics it subscribes to."""
        return self.on.topics

    def http(self, request: Request) -> Response:
        """The HTTP target."""
        with Serving(self.name):
            return self.api.handle(request, self._authenticate, self._once)

    def events(self, request: Request) -> Response:
        """The target of pushes (``POST /``) and of the schedule (``POST /jobs/<name>``).

        2xx acknowledges; 4xx and 5xx make the broker deliver again, later and later.
        """
        correlation = str(uuid4())
        try:
            verify_push(request.headers.get("Authorization"), self.name)
            path = request.path.rstrip("/")
            if request.method != "POST":
                raise NotFound
            if "/jobs/" in path:
                with Serving(self.name, lambda: read_gauges(database(self.name), self.gauges)):
                    self._run(path.rpartition("/")[2], correlation)
            else:
                self.deliver(request.get_data())
        except Problem as refused:
            return problem(refused, correlation)
        except BusUnavailable:
            return problem(Unavailable("The bus is away."), correlation)
        except Exception as error:  # noqa: BLE001 -- the broker delivers again
            log.error("message_failed", exc=error, service=self.name, correlation=correlation)
            return problem(Problem(correlation_id=correlation), correlation)
        return make(204, b"", correlation)

    def forget_connections(self, keys: Callable[[], list[dict[str, Any]]] | None = None) -> None:
        """After ``install``: connect anew; ``keys`` as in the constructor (tests and tools)."""
        self.__dict__.pop("_verifier", None)
        self._keys = keys or self._keys

    @cached_property
    def _verifier(self) -> Verifier:
        settings = config()
        jwks = Jwks.of(self._keys) if self._keys else Jwks(settings.jwks_url)
        revocations = Revocations(database(self.name).all)
        return Verifier(settings.token_issuer, AUDIENCE, jwks, revocations.revoked)

    def _authenticate(self, authorization: str | None) -> Caller:
        return authenticate(authorization, self.name, self._verifier.verify)

    def deliver(self, body: bytes) -> None:
        """Let a push's ``body`` take effect; who may push has been checked. Raises as receive."""
        with Serving(self.name):
            self._deliver(body)

    def _deliver(self, body: bytes) -> None:
        push = parse_push(body)
        db = database(self.name)
        topic = push.subscription.removeprefix(f"{self.name}.")
        try:
            env = Envelope.parse(push.data)
        except Reject as reason:
            dead_letters.store(db, dead_letters.Letter(push.message_id, push.data, str(reason)))
            return
        with log.context(
            correlation=env.metadata.correlation_id,
            causation=str(env.event_id),
            trace=env.metadata.traceparent,
        ):
            if topic == "dead-letters":
                dead_letters.store(db, dead_letters.given_up(env, push.attributes))
            else:
                self._receive(db, env, topic)

    def _receive(self, db: Database, env: Envelope, topic: str) -> None:
        outcome = "failed"
        try:
            outcome = receive(db, self.on, env, replied=replied, topic=topic)
        except Exception as error:
            # It is logged where the work at hand has ended, but must be found with it.
            error.add_note(f"correlation_id: {env.metadata.correlation_id}")
            raise
        finally:
            handled(env, outcome)
            note = log.warning if outcome == "failed" else log.info
            note("message", event_type=env.event_type, outcome=outcome, service=self.name)

    def _run(self, name: str, correlation: str) -> None:
        job = self.jobs.get(name)
        if job is None:
            raise NotFound
        with log.context(correlation=correlation), acting_as_service(self.name):
            result = job.run()
            if result:
                log.info("job", service=self.name, name=name, result=result)
