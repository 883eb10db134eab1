"""What turns a service's parts into its two deploy targets, ``http`` and ``events``.

Everything is connected lazily: importing a service needs no setting and opens nothing, so that
the manifest can be derived from the code and a cold start pays only for what a request uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from shared import dead_letters, idempotency, log
from shared.access import public
from shared.audit import acting_as_service
from shared.audit_seals import Place, seal
from shared.blobs import blobs
from shared.bus import BusUnavailable, parse_push, publisher
from shared.config import AUDIENCE, check, config, deployed
from shared.contracts.auth import AccessRevoked
from shared.contracts.gdpr import ERASER, GdprDataDeletion
from shared.contracts.saga import SagaReplied
from shared.crypto import Vault
from shared.db import Database, Tx
from shared.dead_letter_routes import add_dead_letter_routes
from shared.errors import NotFound, Problem, Reject, Unavailable
from shared.http import Api
from shared.http_reply import make, problem
from shared.idempotency import Once
from shared.identity import (
    Caller,
    Jwks,
    Revocations,
    Verifier,
    purge_revocations,
    revoke,
    verify_push,
)
from shared.inbox import Subscriptions, receive
from shared.jobs import Job, Jobs
from shared.messages import Envelope
from shared.outbox import Outbox
from shared.privacy import NO_PERSONAL_DATA, Privacy
from shared.privacy_routes import add_privacy_routes
from shared.rotation import rotate
from shared.saga import Orchestrator, Saga, replied
from shared.saga_routes import add_saga_routes
from shared.service_identity import authenticate
from shared.telemetry import Gauges, handled
from shared.telemetry_export import Serving
from shared.telemetry_routes import add_metrics_route, kit_gauges, read_gauges

if TYPE_CHECKING:
    from flask import Request, Response

__all__ = ["Service", "database", "install", "outbox", "vault"]

_databases: dict[str, Database] = {}
_vaults: dict[str, Vault] = {}
_lock = Lock()
_EMBEDDED_LEASE_S = 0.8


def database(service: str) -> Database:
    """This process's handle on ``service``'s database, with its outbox. Raises MissingSettings."""
    found = _databases.get(service)
    if found is None:
        with _lock:
            found = _databases.get(service)
            if found is None:
                settings = config()
                bus = publisher(settings.bus_url, poke_socket=settings.bus_poke_socket)
                # The embedded schedule ticks each second: a short lease mends a crash within two.
                lease = _EMBEDDED_LEASE_S if settings.env == "embedded" else None
                box = Outbox(service, bus, lease_s=lease)
                found = Database(settings.database_url(service), outbox=box)
                box.bind(found)
                _databases[service] = found
    return found


def vault(service: str) -> Vault:
    """The keys of ``service``, in its own database."""
    found = _vaults.get(service)
    if found is None:
        found = _vaults[service] = Vault(database(service))
    return found


def install(service: str, db: Database) -> None:
    """Use ``db`` for ``service`` from now on (tests and tools)."""
    _databases[service] = db
    _vaults.pop(service, None)


def outbox(service: str) -> Outbox:
    """The outbox of ``service``."""
    box = database(service).outbox
    if not isinstance(box, Outbox):
        raise TypeError(f"{service} has no outbox")
    return box


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
        keys: Callable[[], list[dict[str, Any]]] | None = None,
    ) -> None:
        """``needs``: settings besides those that every service needs. ``gauges`` read figures of
        the service's own. ``keys`` gives the public token keys where they need not be fetched: in
        auth itself."""
        self.name, self.api, self.privacy = name, api, privacy
        self.on = handlers or Subscriptions(name)
        self.sagas = sagas
        self._keys = keys
        self._once = Once(lambda: database(name), lambda: vault(name))
        self.orchestrator = Orchestrator(name, sagas, self.on, lambda: database(name))
        self.jobs = jobs.entries.copy() if jobs else {}
        self.gauges = (kit_gauges, *gauges)
        if deployed():
            check(name, needs)
        self._kit_jobs()
        self._kit_handlers()
        self._kit_routes()

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
        if topic == "dead-letters":
            dead_letters.store(db, dead_letters.given_up(env, push.attributes))
            return
        outcome = "failed"
        try:
            outcome = receive(db, self.on, env, replied=replied, topic=topic)
        finally:
            handled(env, outcome)
        log.info("message", event_type=env.event_type, outcome=outcome, service=self.name)

    def _run(self, name: str, correlation: str) -> None:
        job = self.jobs.get(name)
        if job is None:
            raise NotFound
        with log.context(correlation=correlation), acting_as_service(self.name):
            result = job.run()
            if result:
                log.info("job", service=self.name, name=name, result=result)

    def _kit_jobs(self) -> None:
        def sweep() -> int:
            return outbox(self.name).sweep()

        def forget() -> int:
            return database(self.name).transaction(_forget)

        def new_key() -> int:
            return rotate(database(self.name), vault(self.name))

        def seal_audit() -> int:
            return seal(Place(self.name, database(self.name), vault(self.name), blobs()))

        for job in (
            Job("seal-audit", timedelta(minutes=1), seal_audit),
            Job("sweep", timedelta(seconds=1), sweep),
            Job("forget", timedelta(hours=1), forget),
            Job("service-key", timedelta(days=1), new_key),
        ):
            self.jobs[job.name] = job
        if self.privacy.tables:

            def release() -> int:
                return self.privacy.release(self.name, database(self.name))

            self.jobs["release-holds"] = Job("release-holds", timedelta(hours=1), release)
        if self.sagas:
            self.jobs["sagas"] = Job("sagas", timedelta(seconds=1), self.orchestrator.tick)

    def _kit_handlers(self) -> None:
        if self.name != AccessRevoked.topic():

            @self.on(AccessRevoked)
            def end_sessions(event: AccessRevoked, tx: Tx) -> None:
                """Tokens of an ended session stop working here, too."""
                revoke(tx, event.person_id, event.session_id, event.revoked_at)

        if self.privacy.tables and self.name != ERASER:

            @self.on(GdprDataDeletion)
            def erase(event: GdprDataDeletion, tx: Tx) -> None:
                """The person is erased here, too, and auth is told how much that was."""
                self.privacy.answer(self.name, tx, event)

        if self.sagas:
            self.on.register(SagaReplied, self.orchestrator.topics)(self.orchestrator.reply)

    def _kit_routes(self) -> None:
        api = self.api

        @api.get("/-/health", access=public(), returns=dict[str, str], problems=[Unavailable])
        def health() -> dict[str, str]:
            """Is this service able to answer? 503 when its database is away."""
            database(self.name).all("select 1")
            return {"service": self.name, "status": "ok"}

        @api.get("/-/openapi.json", access=public(), returns=dict[str, Any])
        def openapi() -> dict[str, Any]:
            """This service's OpenAPI 3.1 document."""
            from shared.openapi import document

            return document(api)

        add_dead_letter_routes(api, self.on, lambda: database(self.name))
        add_metrics_route(api, lambda: database(self.name), self.gauges)
        add_privacy_routes(api, self.privacy, lambda: database(self.name), lambda: vault(self.name))
        if self.sagas:
            add_saga_routes(api, self.orchestrator)


def _forget(tx: Tx) -> int:
    """Inbox rows outlive redelivery (7 days at most) and manual redrive (30 days)."""
    purged = purge_revocations(tx) + idempotency.purge(tx)
    return purged + tx.run("delete from inbox where received_at < now() - interval '60 days'")
