"""What every service has without saying so: jobs, handlers and operators' routes of the kit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared import idempotency
from shared.access import public
from shared.audit_seals import Place, seal
from shared.blobs import blobs
from shared.contracts.auth import AccessRevoked
from shared.contracts.gdpr import ERASER, GdprDataDeletion
from shared.contracts.saga import SagaReplied
from shared.db import Tx
from shared.dead_letter_routes import add_dead_letter_routes
from shared.errors import Unavailable
from shared.event_gate import gate_job
from shared.handles import database, outbox, vault
from shared.identity import purge_revocations, revoke
from shared.jobs import Job
from shared.privacy_routes import add_privacy_routes
from shared.rotation import rotate
from shared.saga_routes import add_saga_routes
from shared.telemetry_routes import add_metrics_route
from shared.validation_routes import add_validation_routes

if TYPE_CHECKING:
    from shared.runtime import Service

__all__ = ["add_handlers", "add_jobs", "add_routes"]


def add_jobs(service: Service) -> None:
    """What the schedule triggers in every service."""
    name = service.name

    def sweep() -> int:
        return outbox(name).sweep()

    def forget() -> int:
        return database(name).transaction(_forget)

    def new_key() -> int:
        return rotate(database(name), vault(name))

    def seal_audit() -> int:
        return seal(Place(name, database(name), vault(name), blobs()))

    for job in (
        Job("seal-audit", timedelta(minutes=1), seal_audit),
        Job("sweep", timedelta(seconds=1), sweep),
        Job("forget", timedelta(hours=1), forget),
        Job("service-key", timedelta(days=1), new_key),
        gate_job(lambda: database(name)),
    ):
        service.jobs[job.name] = job

    def validate() -> int:
        from shared.validation import look, tell

        return tell(look(name, database(name), service.projections))

    service.jobs["validate"] = Job("validate", timedelta(days=1), validate)
    if service.privacy.tables:

        def release() -> int:
            return service.privacy.release(name, database(name))

        service.jobs["release-holds"] = Job("release-holds", timedelta(hours=1), release)
    if service.sagas:
        service.jobs["sagas"] = Job("sagas", timedelta(seconds=1), service.orchestrator.tick)
    if service.projections:
        from shared.projection import catch_up, lags

        def project() -> int:
            return catch_up(service.projections)

        service.jobs["project"] = Job("project", timedelta(seconds=1), project)
        service.gauges = (*service.gauges, lags(service.projections))


def add_handlers(service: Service) -> None:
    """What every service does when it hears of ended sessions, erasures and its sagas."""
    name = service.name
    if name != AccessRevoked.topic():

        @service.on(AccessRevoked)
        def end_sessions(event: AccessRevoked, tx: Tx) -> None:
            """Tokens of an ended session stop working here, too."""
            revoke(tx, event.person_id, event.session_id, event.revoked_at)

    if service.privacy.tables and name != ERASER:

        @service.on(GdprDataDeletion)
        def erase(event: GdprDataDeletion, tx: Tx) -> None:
            """The person is erased here, too, and auth is told how much that was."""
            service.privacy.answer(name, tx, event)

    if service.sagas:
        service.on.register(SagaReplied, service.orchestrator.topics)(service.orchestrator.reply)


def add_routes(service: Service) -> None:
    """Health, OpenAPI and what operators need, under ``{prefix}/-/``."""
    api, name = service.api, service.name

    @api.get("/-/health", access=public(), returns=dict[str, str], problems=[Unavailable])
    def health() -> dict[str, str]:
        """Is this service able to answer? 503 when its database is away."""
        database(name).all("select 1")
        return {"service": name, "status": "ok"}

    @api.get("/-/openapi.json", access=public(), returns=dict[str, Any])
    def openapi() -> dict[str, Any]:
        """This service's OpenAPI 3.1 document."""
        from shared.openapi import document

        return document(api)

    add_dead_letter_routes(api, service.on, lambda: database(name))
    add_metrics_route(api, lambda: database(name), service.gauges)
    add_validation_routes(api, service.privacy, lambda: database(name))
    add_privacy_routes(api, service.privacy, lambda: database(name), lambda: vault(name))
    if service.sagas:
        add_saga_routes(api, service.orchestrator)


def _forget(tx: Tx) -> int:
    """Inbox rows outlive redelivery (7 days at most), and any letter that may be redriven."""
    purged = purge_revocations(tx) + idempotency.purge(tx)
    return purged + tx.run(
        "delete from inbox i where received_at < now() - interval '60 days'"
        " and not exists (select from dead_letters d where d.id = i.event_id::text)"
    )
