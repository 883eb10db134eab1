"""The inbox: what a person reads, marks and chooses."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest

from functions.notification.domain.notices import NOTICES
from shared.contracts.auth import PasswordChanged, UserActivated
from tests.notification_stack import Clinic, clinic_fixture

INBOX = "/api/notifications"
PREFERENCES = f"{INBOX}/preferences"

clinic = clinic_fixture()


def test_whoever_registers_is_welcome(clinic: Clinic) -> None:
    """The first notification is there as soon as the account can be used, in the own language."""
    clinic.register("ana@example.com", language="ro")
    inbox = clinic.inbox(clinic.token("ana@example.com"))
    [item] = inbox["items"]
    assert (1, None) == (inbox["unread"], inbox["next_cursor"])
    assert ("WELCOME", "Bine ați venit la DentalHelp", None) == (
        item["kind"],
        item["title"],
        item["read_at"],
    )
    assert item["text"].startswith("Contul dumneavoastră este gata.")


@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        ("id-ID,en;q=0.5", "Selamat datang di DentalHelp"),
        ("en", "Welcome to DentalHelp"),
        ("de,fr;q=0.5", "Bine ați venit la DentalHelp"),
    ],
)
def test_the_reader_s_language_wins(clinic: Clinic, wanted: str, title: str) -> None:
    """Accept-Language decides where it names a language of ours, else the person's own."""
    email = f"b{uuid4().hex[:8]}@example.com"
    clinic.register(email, language="ro")
    inbox = clinic.inbox(clinic.token(email), **{"Accept-Language": wanted})
    assert [title] == [item["title"] for item in inbox["items"]]


def test_reading_one(clinic: Clinic) -> None:
    """Marked once, it stays read since then; again changes nothing, and others cannot."""
    clinic.register("cleo@example.com")
    clinic.register("carl@example.com")
    token = clinic.token("cleo@example.com")
    [item] = clinic.inbox(token)["items"]
    path = f"{INBOX}/{item['id']}/read"
    assert 404 == clinic.call("POST", path, token=clinic.token("carl@example.com")).status_code
    assert 1 == clinic.inbox(token)["unread"]
    assert 204 == clinic.call("POST", path, token=token).status_code
    [read] = clinic.inbox(token)["items"]
    assert read["read_at"] is not None
    assert 204 == clinic.call("POST", path, token=token).status_code
    assert [read] == clinic.inbox(token)["items"]
    assert ([], 0) == (clinic.inbox(token, "?unread=true")["items"], clinic.inbox(token)["unread"])
    assert 404 == clinic.call("POST", f"{INBOX}/{uuid4()}/read", token=token).status_code


def test_reading_all(clinic: Clinic) -> None:
    """All of the caller's, and nobody else's; what comes later is unread again."""
    dan, eva = clinic.person("dan@example.com"), clinic.person("eva@example.com")
    for person in (dan, dan, dan, eva):
        clinic.happens(PasswordChanged(person_id=person))
    token = clinic.token("dan@example.com")
    assert 3 == clinic.inbox(token)["unread"]
    assert 204 == clinic.call("POST", f"{INBOX}/read", token=token).status_code
    assert 204 == clinic.call("POST", f"{INBOX}/read", token=token).status_code
    assert 0 == clinic.inbox(token)["unread"]
    assert 1 == clinic.inbox(clinic.token("eva@example.com"))["unread"]
    clinic.happens(PasswordChanged(person_id=dan))
    inbox = clinic.inbox(token, "?unread=true")
    assert (1, 1) == (inbox["unread"], len(inbox["items"]))


def test_pages_neither_skip_nor_repeat(clinic: Clinic) -> None:
    """Newest first; what arrives while somebody turns pages stands before them."""
    flo = clinic.person("flo@example.com")
    for _ in range(5):
        clinic.happens(PasswordChanged(person_id=flo))
    token = clinic.token("flo@example.com")
    everything = [item["id"] for item in clinic.inbox(token)["items"]]
    # Timestamps that end in zeros, and equal ones.
    clinic.db.all(
        "update notifications set created_at = date_trunc('minute', created_at)"
        " where person_id = :p",
        p=flo,
    )
    assert sorted(everything, reverse=True) == [item["id"] for item in clinic.inbox(token)["items"]]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"?limit=2&cursor={cursor}" if cursor else "?limit=2"
        page = clinic.inbox(token, query)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        clinic.happens(PasswordChanged(person_id=flo))
    assert sorted(everything, reverse=True) == seen
    assert 8 == clinic.inbox(token)["unread"]


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=AQ", "limit=0", "limit=201", "x=1"])
def test_a_query_that_makes_no_sense(clinic: Clinic, query: str) -> None:
    """A foreign cursor is 400, what does not fit is 422."""
    email = f"g{uuid4().hex[:8]}@example.com"
    clinic.register(email)
    answer = clinic.call("GET", f"{INBOX}?{query}", token=clinic.token(email))
    assert (400 if "cursor" in query else 422) == answer.status_code


def test_choices(clinic: Clinic) -> None:
    """Everything is on at first; a choice replaces all, and wants to know what it replaces."""
    hal = clinic.person("hal@example.com")
    token = clinic.token("hal@example.com")
    first = clinic.call("GET", PREFERENCES, token=token)
    assert '"0"' == first.headers["ETag"]
    assert {
        "choices": {
            notice.kind: {"IN_APP": True, "EMAIL": True}
            for notice in NOTICES
            if notice.kind != "INVITATION"
        },
        "mandatory": ["EMAIL_UPDATED", "PASSWORD_CHANGED"],
    } == first.json
    off = {"choices": {"WELCOME": {"IN_APP": False}}}
    assert 428 == clinic.call("PUT", PREFERENCES, off, token=token).status_code
    for match, status in (('"1"', 412), ('"0"', 200), ('"0"', 412)):
        headers = {"If-Match": match}
        answer = clinic.call("PUT", PREFERENCES, off, token=token, headers=headers)
        assert status == answer.status_code
    clinic.happens(UserActivated(person_id=hal))
    assert [] == clinic.inbox(token)["items"]
    shown = clinic.call("GET", PREFERENCES, token=token)
    assert '"1"' == shown.headers["ETag"]
    assert {"IN_APP": False, "EMAIL": True} == (shown.json or {})["choices"]["WELCOME"]
    back = clinic.call(
        "PUT", PREFERENCES, {"choices": {}}, token=token, headers={"If-Match": '"1"'}
    )
    assert ('"2"', True) == (
        back.headers["ETag"],
        (back.json or {})["choices"]["WELCOME"]["IN_APP"],
    )


@pytest.mark.parametrize(
    ("choices", "pointer"),
    [
        ({"PASSWORD_CHANGED": {"EMAIL": False}}, "/choices/PASSWORD_CHANGED/EMAIL"),
        ({"EMAIL_UPDATED": {"IN_APP": False}}, "/choices/EMAIL_UPDATED/IN_APP"),
        ({"WELCOME": {"IN_APP": "no"}}, "/choices/WELCOME/IN_APP"),
        ({"INVITATION": {"EMAIL": False}}, None),
        ({"WELCOME": {"PIGEON": False}}, None),
        ({"WELCOME": {"EMAIL": "perhaps"}}, None),
    ],
)
def test_choices_that_nobody_has(
    clinic: Clinic, choices: dict[str, dict[str, object]], pointer: str | None
) -> None:
    """Warnings stay on, and nobody chooses about what does not exist."""
    email = f"i{uuid4().hex[:8]}@example.com"
    clinic.register(email)
    token = clinic.token(email)
    answer = clinic.call(
        "PUT", PREFERENCES, {"choices": choices}, token=token, headers={"If-Match": '"0"'}
    )
    assert 422 == answer.status_code
    errors = (answer.json or {})["errors"]
    assert 1 == len(errors)
    assert pointer in (None, errors[0]["pointer"])
    assert '"0"' == clinic.call("GET", PREFERENCES, token=token).headers["ETag"]


def test_two_first_choices_at_once(clinic: Clinic) -> None:
    """Of ten that replace the same version one is made, the others are told so."""
    jo = clinic.person("jo@example.com")
    token = clinic.token("jo@example.com")
    answers: list[int] = []
    together = threading.Barrier(10)

    def choose(number: int) -> None:
        together.wait()
        wanted = {"choices": {"WELCOME": {"EMAIL": number % 2 == 0}}}
        headers = {"If-Match": '"0"', "Authorization": f"Bearer {token}"}
        client = clinic.app.test_client()
        answers.append(client.put(PREFERENCES, json=wanted, headers=headers).status_code)
        for db in clinic.databases.values():
            db.close()

    threads = [threading.Thread(target=choose, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200] + [412] * 9 == sorted(answers)
    [row] = clinic.db.all("select version from preferences where person_id = :p", p=jo)
    assert 1 == row["version"]


def test_nobody_who_was_erased_chooses(clinic: Clinic) -> None:
    """A token outlives an erasure by minutes: what it writes must not bring the person back."""
    kim = clinic.person("kim@example.com")
    token = clinic.token("kim@example.com")
    _tombstone(clinic, kim)
    answer = clinic.call(
        "PUT", PREFERENCES, {"choices": {}}, token=token, headers={"If-Match": '"0"'}
    )
    assert (409, "urn:dentalhelp:problem:person-erased") == (
        answer.status_code,
        (answer.json or {})["type"],
    )
    assert [] == clinic.db.all("select * from preferences where person_id = :p", p=kim)


def test_who_was_erased_reads_nothing(clinic: Clinic) -> None:
    """What such a token reads is what somebody sees of whom nothing is known."""
    lea = clinic.person("lea@example.com")
    clinic.happens(PasswordChanged(person_id=lea))
    token = clinic.token("lea@example.com")
    off = {"choices": {"WELCOME": {"EMAIL": False}}}
    headers = {"If-Match": '"0"'}
    assert 200 == clinic.call("PUT", PREFERENCES, off, token=token, headers=headers).status_code
    _tombstone(clinic, lea)
    assert {"items": [], "unread": 0, "next_cursor": None} == clinic.inbox(token)
    shown = clinic.call("GET", PREFERENCES, token=token)
    assert (200, '"0"') == (shown.status_code, shown.headers["ETag"])
    assert (shown.json or {})["choices"]["WELCOME"]["EMAIL"]


def _tombstone(clinic: Clinic, person: UUID) -> None:
    """The service has heard of the person's erasure."""
    clinic.db.all(
        "insert into erased_people (person_id, erasure_id, erased, held)"
        " values (:p, :e, '{}', '[]')",
        p=person,
        e=uuid4(),
    )
