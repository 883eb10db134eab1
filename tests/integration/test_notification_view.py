"""What follows from an inbox: its live view, the audit, the export, and that it can end."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.notification.main import service
from functions.notification.store import live
from shared.contracts.auth import EmailUpdated, PasswordChanged
from shared.contracts.notification import SendInvitation
from shared.documents import documents
from shared.runtime import vault
from tests.mail_server import MailServer
from tests.notification_stack import Clinic, clinic_fixture

INBOX = "/api/notifications"
PREFERENCES = f"{INBOX}/preferences"

clinic = clinic_fixture()


def _view(person: UUID) -> dict[str, Any]:
    found = documents("notification").get("inbox", person)
    assert found is not None
    return found[1]


def _rows(clinic: Clinic, person: UUID, columns: str = "action, what, purpose") -> list[object]:
    rows = clinic.db.all(
        f"select {columns} from audit_log where person_id = :person order by id", person=person
    )
    return [tuple(row.values()) for row in rows]


def _brief(item: dict[str, Any]) -> tuple[str, str, datetime]:
    return item["id"], item["kind"], datetime.fromisoformat(item["created_at"])


def test_the_live_view_follows(clinic: Clinic) -> None:
    """After each change the document says how much is unread and what is newest, and no text."""
    lea = clinic.person("lea@example.com")
    clinic.happens(PasswordChanged(person_id=lea))
    clinic.happens(PasswordChanged(person_id=lea))
    token = clinic.token("lea@example.com")
    items = clinic.inbox(token)["items"]
    view = _view(lea)
    assert 2 == view["unread"]
    assert [_brief(item) for item in items] == [_brief(item) for item in view["latest"]]
    assert {"id", "kind", "created_at"} == view["latest"][0].keys()
    clinic.call("POST", f"{INBOX}/{items[0]['id']}/read", token=token)
    assert 1 == _view(lea)["unread"]
    clinic.call("POST", f"{INBOX}/read", token=token)
    assert 0 == _view(lea)["unread"]
    for _ in range(25):
        clinic.happens(PasswordChanged(person_id=lea))
    view = _view(lea)
    assert (25, 20) == (view["unread"], len(view["latest"]))


def test_a_view_that_was_missed_is_caught_up(clinic: Clinic) -> None:
    """A process that died after its commit leaves a stale view for at most a tick."""
    mo = clinic.person("mo@example.com")
    clinic.happens(PasswordChanged(person_id=mo))
    clinic.db.all("delete from documents where id = :id", id=str(mo))
    clinic.db.all("update inboxes set projected_version = 0 where person_id = :p", p=mo)
    assert 1 == service.jobs["refresh-inboxes"].run()
    assert 1 == _view(mo)["unread"]
    assert 0 == service.jobs["refresh-inboxes"].run()


def test_an_erased_inbox_does_not_come_back(clinic: Clinic) -> None:
    """Tables, key and view are gone; a refresh that is late and events that are late change
    nothing."""
    nia = clinic.person("nia@example.com")
    clinic.happens(PasswordChanged(person_id=nia))
    admin = clinic.admin()
    answer = clinic.call("POST", "/api/auth/erasures", {"patient_id": str(nia)}, token=admin)
    assert 202 == answer.status_code, answer.text
    clinic.drain()
    assert {} == service.privacy.remains(clinic.db, nia)
    assert documents("notification").get("inbox", nia) is None
    documents("notification").put("inbox", nia, 99, {"unread": 1, "latest": []})
    live.refresh(nia)
    clinic.happens(PasswordChanged(person_id=nia))
    assert documents("notification").get("inbox", nia) is None
    assert {} == service.privacy.remains(clinic.db, nia)


def test_the_own_data_can_be_taken_along(clinic: Clinic, mail: MailServer) -> None:
    """An export shows what is kept, the sealed address readable, and no key to the account."""
    ole = clinic.person("ole@example.com")
    mail.stop()
    clinic.happens(EmailUpdated(person_id=ole, email="ole@example.com", previous="o@example.org"))
    clinic.commanded(SendInvitation(person_id=ole, link="https://clinic.example/i#secret"))
    mail.start()
    found = service.privacy.export(clinic.db, vault("notification"), ole)
    assert {
        *("notifications", "deliveries", "inboxes", "preferences", "receptionists", "settled")
    } == set(found)
    assert Counter({None: 2, "o@example.org": 1}) == Counter(
        row["address"] for row in found["deliveries"]
    )
    assert [{"language": "en"}] == found["inboxes"]
    assert "secret" not in str(found)
    assert 3 == clinic.send_now()


def test_every_look_and_change_is_audited(clinic: Clinic) -> None:
    """One row for one look, however many notifications it showed, and one for each change."""
    pia = clinic.person("pia@example.com")
    clinic.happens(PasswordChanged(person_id=pia))
    clinic.happens(PasswordChanged(person_id=pia))
    token = clinic.token("pia@example.com")
    [item, _] = clinic.inbox(token)["items"]
    clinic.call("POST", f"{INBOX}/{item['id']}/read", token=token)
    clinic.call("POST", f"{INBOX}/read", token=token)
    clinic.call("GET", PREFERENCES, token=token)
    clinic.call("PUT", PREFERENCES, {"choices": {}}, token=token, headers={"If-Match": '"0"'})
    assert [
        ("read", "notifications", "PATRQT"),
        ("write", "notifications", "PATRQT"),
        ("write", "notifications", "PATRQT"),
        ("read", "notification preferences", "PATRQT"),
        ("write", "notification preferences", "PATRQT"),
    ] == _rows(clinic, pia)
    assert [(pia,)] * 5 == _rows(clinic, pia, "actor")
