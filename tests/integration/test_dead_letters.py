"""Dead letters: sealed, shown without payload, redriven, discarded, erased with the person."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.bus import Subscription, parse_push
from shared.contracts.auth import EmailUpdated
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import CreatePatient
from shared.contracts.saga import SagaReplied
from shared.db import Database, Tx
from shared.messages import Envelope, SagaContext, envelope
from shared.privacy import Privacy
from tests.integration.db_stack import together
from tests.platform import Platform

LETTERS = "/api/patients/-/dead-letters"
NEW = "moved.away@example.com"


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """One platform for this module."""
    return Platform(service_db)


@pytest.fixture(scope="module")
def admin(platform: Platform) -> str:
    """The token of a group-wide ADMIN."""
    return platform.admin()


class Bytes:
    """What is published as it is."""

    ordering_key = ""

    def __init__(self, text: str, **attributes: str) -> None:
        self._text, self._attributes = text, attributes

    def to_json(self) -> str:
        """See ``shared.bus.Publishable``."""
        return self._text

    def attributes(self) -> dict[str, str]:
        """See ``shared.bus.Publishable``."""
        return self._attributes


def moved(person: UUID | str, version: int | None = 5) -> Envelope:
    """The news of another e-mail address; without a version it can never be handled."""
    event = EmailUpdated(person_id=UUID(str(person)), email=NEW)
    return envelope(event, source="auth", version=version)


def park(platform: Platform, env: Envelope, source: str = "patient.auth") -> str:
    """Let the broker give ``env`` up; the letter's id."""
    added = {
        "CloudPubSubDeadLetterSourceSubscription": source,
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
    }
    platform.bus.publish("patient.dead-letters", [Bytes(env.to_json(), **added)])
    platform.drain()
    return str(env.event_id)


def redrive(platform: Platform, token: str, letter: str) -> tuple[int, Any]:
    """The status, and the outcome or the reason."""
    answer = platform.call("POST", f"{LETTERS}/{letter}/redrive", token=token)
    body = answer.json or {}
    return answer.status_code, body.get("outcome") or body.get("reason")


def listed(platform: Platform, token: str, query: str = "") -> list[dict[str, Any]]:
    """The page of dead letters."""
    found: list[dict[str, Any]] = platform.call("GET", LETTERS + query, token=token).json["items"]  # type: ignore[index]
    return found


def audited(platform: Platform, letter: str) -> list[tuple[str, str | None, bool]]:
    """(action, about whom, by a person) of what the audit keeps of a letter, in order."""
    rows = platform.databases["patient"].all(
        "select action, person_id, actor, roles from audit_log where what like :what order by id",
        what=f"dead letter % {letter}",
    )
    return [
        (row["action"], row["person_id"] and str(row["person_id"]), row["roles"] == ["ADMIN"])
        for row in rows
    ]


def stored(platform: Platform, letter: str) -> dict[str, Any] | None:
    """The letter's row as text, and its attempts."""
    return platform.databases["patient"].one(
        "select to_jsonb(d)::text as text, encode(sealed, 'escape') as sealed, attempts"
        " from dead_letters d where id = :id",
        id=letter,
    )


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


def test_a_redriven_message_takes_effect_once(platform: Platform, admin: str) -> None:
    """It takes effect, the letter is gone with it, and the audit says who did that for whom."""
    person = platform.register("redriven@example.com")["patient_id"]
    letter = park(platform, moved(person))
    assert (200, "handled") == redrive(platform, admin, letter)
    profile = platform.call("GET", f"/api/patients/{person}", token=admin).json
    assert profile is not None
    assert NEW == profile["email"]
    assert (404, None) == redrive(platform, admin, letter)
    assert None is stored(platform, letter)
    assert [("redrive", person, True)] == audited(platform, letter)


def test_redrives_at_once_take_effect_once(platform: Platform, admin: str) -> None:
    """Of several operators one redrives the letter, the others are told that it is gone."""
    person = platform.register("at.once@example.com")["patient_id"]
    letter = park(platform, moved(person))
    headers = {"Authorization": f"Bearer {admin}"}

    def one() -> int:
        client = platform.client.application.test_client()
        return client.post(f"{LETTERS}/{letter}/redrive", headers=headers).status_code

    assert [200, *[404] * 5] == sorted(together(*[one] * 6), key=str)
    assert [("redrive", person, True)] == audited(platform, letter)


def test_what_took_effect_already_is_a_duplicate(platform: Platform, admin: str) -> None:
    """A letter of a message that was handled after all changes nothing and is gone."""
    person = platform.register("twice@example.com")["patient_id"]
    env = moved(person)
    platform.bus.publish("auth", [env])
    platform.drain()
    letter = park(platform, env)
    assert (200, "duplicate") == redrive(platform, admin, letter)
    assert None is stored(platform, letter)


def test_a_letter_is_never_too_old_to_be_a_duplicate(platform: Platform, admin: str) -> None:
    """That a message took effect is remembered as long as there is a letter that repeats it."""
    db = platform.databases["patient"]
    messages = [moved(platform.register(f"{n}.old@example.com")["patient_id"]) for n in "ab"]
    platform.bus.publish("auth", messages)
    platform.drain()
    letter = park(platform, messages[0])
    db.all("update inbox set received_at = now() - interval '61 days'")
    platform.services["patient"].jobs["forget"].run()
    ids = [row["event_id"] for row in db.all("select event_id from inbox")]
    assert [messages[0].event_id] == ids
    assert (200, "duplicate") == redrive(platform, admin, letter)


def test_what_fails_again_stays_with_its_new_reason(platform: Platform, admin: str) -> None:
    """409 says why, the letter counts the attempt, and the audit keeps it."""
    env = moved(uuid4(), version=None)
    letter = park(platform, env)
    reason = "an e-mail address without the version it is from"
    assert (409, reason) == redrive(platform, admin, letter)
    shown = next(item for item in listed(platform, admin) if item["id"] == letter)
    assert (6, reason) == (shown["attempts"], shown["reason"])
    assert [("redrive", env.payload["person_id"], True)] == audited(platform, letter)


def test_a_redrive_may_be_repeated_with_its_key(platform: Platform, admin: str) -> None:
    """With an Idempotency-Key the same redrive tells the same, and a failure still counts."""
    person = platform.register("with.a.key@example.com")["patient_id"]
    good, bad = moved(person), moved(uuid4(), version=None)
    park(platform, good)
    park(platform, bad)

    def post(env: Envelope) -> int:
        path, key = f"{LETTERS}/{env.event_id}/redrive", {"Idempotency-Key": f"once-{env.event_id}"}
        return platform.call("POST", path, token=admin, headers=key).status_code

    assert [200, 200, 409, 409] == [post(good), post(good), post(bad), post(bad)]
    left = stored(platform, str(bad.event_id))
    assert (None, 7) == (stored(platform, str(good.event_id)), left and left["attempts"])


def test_a_redrive_waits_for_an_erasure_with_empty_hands(platform: Platform, admin: str) -> None:
    """While it waits for the person it holds nothing that the erasure needs: neither has to be
    broken off for the other."""
    person = uuid4()
    letter = park(platform, moved(person))
    db = platform.databases["patient"]
    with ThreadPoolExecutor(1) as pool:

        def work(tx: Tx) -> list[Any]:
            Privacy.lock(tx, person)
            waiting = pool.submit(redrive, platform, admin, letter)
            _await_lock(db.twin())
            return [
                waiting,
                tx.all("select id from dead_letters where id = :i for update nowait", i=letter),
            ]

        waiting, rows = db.transaction(work, isolation="READ COMMITTED")
        assert [{"id": letter}] == rows
        assert (200, "handled") == waiting.result(60)


def _await_lock(db: Database) -> None:
    """Until somebody waits for an advisory lock."""
    until = time.monotonic() + 25
    sql = "select from pg_locks where locktype = 'advisory' and not granted"
    while not db.all(sql):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_command_answers_its_saga_also_when_redriven(platform: Platform, admin: str) -> None:
    """A refusal is the saga's answer, and deals with the letter."""
    told: list[Envelope] = []

    def orchestrator(body: bytes) -> int:
        told.append(Envelope.parse(parse_push(body).data))
        return 204

    platform.bus.subscribe(Subscription("test.patient", "patient", "t", "memory"), orchestrator)
    platform.register("original@example.com", national_id="2950101123451")
    command = CreatePatient.model_validate(
        {
            "patient_id": uuid4(),
            "first_name": "Ana",
            "last_name": "Popescu",
            "national_id": "2950101123451",
        }
    )
    saga = SagaContext(saga_id=uuid4(), step="create profile", action="do", orchestrator="test")
    told.clear()
    letter = park(platform, envelope(command, source="auth", saga=saga))
    assert (200, "refused") == redrive(platform, admin, letter)
    platform.drain()
    answers = [env.payload for env in told if env.event_type == SagaReplied.type_name()]
    assert [(str(saga.saga_id), "REFUSED")] == [(a["saga_id"], a["outcome"]) for a in answers]


def test_only_its_own_topic_may_send_a_message_also_when_redriven(
    platform: Platform, admin: str
) -> None:
    """A message from a topic that may not send it is unknown: no effect, and the letter is gone."""
    person = platform.register("spoofed@example.com")["patient_id"]
    letter = park(platform, moved(person), source="patient.gdpr")
    assert (200, "unknown") == redrive(platform, admin, letter)
    profile = platform.call("GET", f"/api/patients/{person}", token=admin).json
    assert profile is not None
    assert "spoofed@example.com" == profile["email"]
    assert None is stored(platform, letter)
    assert [("redrive", person, True)] == audited(platform, letter)


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
