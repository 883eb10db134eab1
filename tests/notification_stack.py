"""The platform with a real mail server, and what tests of notification ask of both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from functions.notification.service import sending
from shared.bus import Subscription, parse_push
from shared.config import config
from shared.messages import Envelope, Event, Message, SagaContext, envelope
from shared.types import uuid7
from tests.mail_server import MailServer
from tests.platform import Platform

__all__ = ["Clinic", "clinic_fixture"]


class Clinic(Platform):
    """auth, patient, notification, which sends to ``mail``, and ``more`` services; what it tells is
    in ``told``."""

    def __init__(
        self, service_db: Callable[[str], str], mail: MailServer, more: Sequence[str] = ()
    ) -> None:
        super().__init__(service_db, services=("auth", "patient", "notification", *more))
        os.environ["SMTP_URL"] = mail.url
        config.cache_clear()
        self.mail = mail
        self.db = self.databases["notification"]
        self.told: list[Envelope] = []
        tap = Subscription("tap.notification", "notification", "tap", "http://memory")
        self.bus.subscribe(tap, self._hear)

    def _hear(self, body: bytes) -> int:
        self.told.append(Envelope.parse(parse_push(body).data))
        return 204

    def person(self, email: str, **more: Any) -> UUID:
        """Somebody registered; what they were told at that occasion is forgotten."""
        made = UUID(self.register(email, **more)["patient_id"])
        for table in ("notifications", "deliveries"):
            self.db.all(f"delete from {table} where person_id = :person", person=made)
        self.mail.mails.clear()
        self.told.clear()
        return made

    def happens(
        self,
        message: Message,
        *,
        version: int | None = None,
        event_id: UUID | None = None,
        saga: SagaContext | None = None,
    ) -> UUID:
        """The service whose event this is says so (commands: auth), and everybody hears it; the
        message's id."""
        source = message.topic() if isinstance(message, Event) else "auth"
        env = envelope(message, source=source, version=version, event_id=event_id, saga=saga)
        self.bus.publish(source, [env])
        self.drain()
        return env.event_id

    def commanded(self, message: Message, saga_id: UUID | None = None) -> UUID:
        """The same as a saga's command; the saga's id."""
        saga = SagaContext(
            saga_id=saga_id or uuid7(), step="tell", action="do", orchestrator="auth"
        )
        self.happens(message, saga=saga)
        return saga.saga_id

    def send_now(self) -> int:
        """Whatever waits is due, and sent; how many mails left."""
        self.db.all(
            "update deliveries set due_at = clock_timestamp() - interval '1 second'"
            " where state = 'PENDING'"
        )
        sent = sending.send_due()
        self.drain()
        return sent

    def deliveries(self, person: UUID) -> list[dict[str, Any]]:
        """The person's e-mails, oldest first."""
        return self.db.all(
            "select *, due_at - clock_timestamp() as wait from deliveries"
            " where person_id = :person order by created_at, id",
            person=person,
        )

    def states(self, person: UUID) -> list[str]:
        """PENDING, SENT, SKIPPED or DEAD, of each."""
        return [str(row["state"]) for row in self.deliveries(person)]

    def channels(self, person: UUID) -> list[tuple[str, str]]:
        """(kind, channel) of everything that others were told about this person, sorted."""
        told = [env.payload for env in self.told if env.event_type == "NOTIFICATION_SENT"]
        mine = [payload for payload in told if payload["person_id"] == str(person)]
        return sorted((payload["kind"], payload["channel"]) for payload in mine)

    def inbox(self, token: str, query: str = "", **headers: str) -> dict[str, Any]:
        """What the person sees."""
        response = self.call("GET", f"/api/notifications{query}", token=token, headers=headers)
        assert 200 == response.status_code, response.text
        found: dict[str, Any] = response.json or {}
        return found


def clinic_fixture(more: Sequence[str] = ()) -> Any:
    """A fixture: one platform for the module that has it; every test has people of its own."""

    @pytest.fixture(scope="module")
    def clinic(service_db: Callable[[str], str], server: MailServer) -> Clinic:
        return Clinic(service_db, server, more)

    return clinic
