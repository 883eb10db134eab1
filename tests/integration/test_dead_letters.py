"""Dead letters: sealed, shown without payload, discarded, erased with the person."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

from shared.contracts.gdpr import GdprDataDeletion
from shared.messages import envelope
from tests.integration.letters_stack import (
    LETTERS,
    NEW,
    Bytes,
    admin_fixture,
    audited,
    listed,
    moved,
    park,
    platform_fixture,
    redrive,
    stored,
)
from tests.platform import Platform

platform = platform_fixture()
admin = admin_fixture()


def test_a_letter_rests_sealed_and_shows_no_payload(platform: Platform, admin: str) -> None:
    """Neither the table nor the list says what the message said; the list says why and whence."""
    person = uuid4()
    env = moved(person)
    letter = park(platform, env)
    row = stored(platform, letter)
    assert row is not None
    assert False is any(NEW in str(row[column]) for column in ("text", "sealed"))
    shown = next(item for item in listed(platform, admin) if item["id"] == letter)
    assert False is (NEW in json.dumps(shown))
    expected = {
        "id": letter,
        "event_type": "EMAIL_UPDATED",
        "topic": "auth",
        "reason": "not handled by patient.auth",
        "attempts": 5,
        "metadata": env.metadata.model_dump(mode="json", exclude_none=True),
    }
    assert expected == {name: value for name, value in shown.items() if name != "stored_at"}


def test_what_is_no_message_can_be_listed_and_discarded(platform: Platform, admin: str) -> None:
    """Bytes that are no envelope have no metadata, never take effect, and can be thrown away."""
    platform.bus.publish("auth", [Bytes("ana@example.com is no envelope")])
    platform.drain()
    shown = next(item for item in listed(platform, admin) if item["event_type"] is None)
    assert (None, "not an envelope: json_invalid") == (shown["metadata"], shown["reason"])
    assert 409 == redrive(platform, admin, shown["id"])[0]
    path = f"{LETTERS}/{shown['id']}/discard"
    statuses = [platform.call("POST", path, token=admin).status_code for _ in range(2)]
    assert [204, 404] == statuses
    assert ["redrive", "discard"] == [action for action, *_ in audited(platform, shown["id"])]


def test_the_list_has_pages_and_a_filter(platform: Platform, admin: str) -> None:
    """Newest first, page after page, each letter once; one kind only where that is asked."""
    letters = [park(platform, moved(uuid4())) for _ in range(3)]
    seen, cursor = [], ""
    while True:
        query = f"?limit=2&event_type=EMAIL_UPDATED{cursor}"
        page = platform.call("GET", LETTERS + query, token=admin).json
        assert page is not None
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert letters[::-1] == seen[:3]
    assert len(seen) == len(set(seen))
    assert [] == listed(platform, admin, "?event_type=NOBODY_SAID_THIS")


def test_an_erasure_takes_the_letters_along(platform: Platform) -> None:
    """What was parked about a person goes with them, and nothing about them is parked later."""
    person = uuid4()
    before = [park(platform, moved(person)), park(platform, moved(uuid4()))]
    asked = GdprDataDeletion(
        erasure_id=uuid4(),
        patient_id=person,
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=datetime.now(UTC),
    )
    platform.bus.publish("gdpr", [envelope(asked, source="auth")])
    platform.drain()
    after = park(platform, moved(person))
    kept = [stored(platform, letter) is not None for letter in (*before, after)]
    assert [False, True, False] == kept
