"""Dead letters redriven: the message takes effect once, or stays with its new reason."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from shared.bus import Subscription, parse_push
from shared.contracts.patient import CreatePatient
from shared.contracts.saga import SagaReplied
from shared.db import Database, Tx
from shared.messages import Envelope, SagaContext, envelope
from shared.privacy import Privacy
from tests.integration.db_stack import together
from tests.integration.letters_stack import (
    LETTERS,
    NEW,
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
