"""One suite for every store of documents: JSONB in PostgreSQL, and Google's Firestore emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from infra.local.emulator import EmulatorMissing, FirestoreEmulator
from shared import runtime
from shared.config import config
from shared.db import Database
from shared.documents import Documents, SqlDocuments, documents
from shared.documents_firestore import FirestoreDocuments
from shared.errors import Unavailable


class DocumentsContract:
    """What every implementation does. A subclass names one in its ``store`` fixture."""

    def test_gives_back_what_was_put(self, store: Documents) -> None:
        """A document comes back as it was, with its version."""
        data: dict[str, Any] = {
            "unread": 2,
            "least": -(2**63),
            "most": 2**63 - 1,
            "seen": False,
            "nothing": None,
            "name": "Ștefan \N{GRINNING FACE} \"'\\\n",
            "latest": [{"kind": "WELCOME", "tags": ["a", "b"]}, {}],
            "a.dotted/key `of` words": {"nested": {}, "empty": []},
        }
        person = uuid4()
        assert store.put("inbox", person, 3, data)
        assert (3, data) == store.get("inbox", str(person))

    def test_what_never_was_is_none(self, store: Documents) -> None:
        """An unknown document is None."""
        assert store.get("inbox", uuid4()) is None

    def test_collections_are_apart(self, store: Documents) -> None:
        """One id may name a document in each collection."""
        person = uuid4()
        store.put("inbox", person, 1, {"of": "inbox"})
        store.put("board", person, 2, {"of": "board"})
        assert (1, {"of": "inbox"}) == store.get("inbox", person)
        assert (2, {"of": "board"}) == store.get("board", person)

    def test_a_newer_version_replaces_all_of_it(self, store: Documents) -> None:
        """Nothing of the older document is left."""
        person = uuid4()
        store.put("inbox", person, 0, {"old": 1, "both": {"old": 1}})
        assert store.put("inbox", person, 7, {"new": 2, "both": {"new": 2}})
        assert (7, {"new": 2, "both": {"new": 2}}) == store.get("inbox", person)

    @pytest.mark.parametrize("version", [0, 4, 5])
    def test_no_other_version_replaces_it(self, store: Documents, version: int) -> None:
        """An older version, and the same one again, change nothing."""
        person = uuid4()
        store.put("inbox", person, 5, {"kept": True})
        assert not store.put("inbox", person, version, {"late": True})
        assert (5, {"kept": True}) == store.get("inbox", person)

    def test_an_erased_document_is_gone_for_good(self, store: Documents) -> None:
        """Nothing replaces an erased document; erasing it again finds none."""
        person = uuid4()
        store.put("inbox", person, 5, {"kept": True})
        assert [True, False] == [store.erase("inbox", person) for _ in range(2)]
        assert not store.put("inbox", person, 6, {"back": True})
        assert store.get("inbox", person) is None

    def test_what_never_was_stays_away_once_erased(self, store: Documents) -> None:
        """A tombstone also keeps out what comes for the first time afterwards."""
        person = uuid4()
        assert not store.erase("inbox", person)
        assert not store.put("inbox", person, 1, {"late": True})
        assert store.get("inbox", person) is None

    def test_the_newest_wins_a_race(self, store: Documents) -> None:
        """Of versions that arrive at once, in any order, the newest is kept."""
        versions = list(range(24))
        for round_ in range(3):
            person = uuid4()

            def put(version: int, person: UUID = person) -> tuple[int, bool]:
                return version, store.put("inbox", person, version, {"version": version})

            shuffled = versions[round_::3] + versions[::-1]
            with ThreadPoolExecutor(8) as pool:
                stored = [version for version, was in pool.map(put, shuffled) if was]
            assert (23, {"version": 23}) == store.get("inbox", person)
            assert len(set(stored)) == len(stored), "one version was stored twice"

    def test_an_erasure_wins_a_race(self, store: Documents) -> None:
        """However puts and an erasure interleave, nothing is left."""
        for _ in range(3):
            person = uuid4()

            def step(number: int, person: UUID = person) -> bool:
                if number == 6:
                    return store.erase("inbox", person)
                return store.put("inbox", person, number, {"n": number})

            with ThreadPoolExecutor(8) as pool:
                list(pool.map(step, range(16)))
            assert store.get("inbox", person) is None
            assert not store.put("inbox", person, 99, {})

    @pytest.mark.parametrize(
        "data",
        [
            {"real": 1.5},
            {"bytes": b"x"},
            {"large": 2**63},
            {"nul": "a\0b"},
            {"surrogate": "\ud800"},
            {"lists": [[1]]},
            {"": 1},
            {"__reserved__": 1},
            {1: "number"},
            {"id": uuid4()},
            {"size": "x" * 500_000},
            {"deep": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}},
            ["not a mapping"],
        ],
        ids=lambda data: next(iter(data)) if isinstance(data, dict) and all(data) else None,
    )
    def test_refuses_what_some_store_cannot_hold(self, store: Documents, data: Any) -> None:
        """The same data is refused by each store, before anything is sent."""
        person = uuid4()
        with pytest.raises(ValueError):  # noqa: PT011 -- UnicodeEncodeError is one of them
            store.put("inbox", person, 1, data)
        assert store.get("inbox", person) is None

    @pytest.mark.parametrize("version", [-1, 2**63])
    def test_refuses_impossible_versions(self, store: Documents, version: int) -> None:
        """A version is an integer of 63 bits."""
        with pytest.raises(ValueError, match="version"):
            store.put("inbox", uuid4(), version, {})

    @pytest.mark.parametrize("name", ["", "a/b", "..", "__x__", "é", "a" * 101])
    def test_refuses_impossible_names(self, store: Documents, name: str) -> None:
        """A name cannot lead out of its collection."""
        with pytest.raises(ValueError, match="name"):
            store.get(name, "x")
        with pytest.raises(ValueError, match="name"):
            store.put("inbox", name, 1, {})
        with pytest.raises(ValueError, match="name"):
            store.erase("inbox", name)

    def test_away_is_told_as_unavailable(self, away: Documents) -> None:
        """A store that cannot be reached raises Unavailable, for all three."""
        person = uuid4()
        with pytest.raises(Unavailable):
            away.get("inbox", person)
        with pytest.raises(Unavailable):
            away.put("inbox", person, 1, {})
        with pytest.raises(Unavailable):
            away.erase("inbox", person)


@pytest.fixture(scope="module")
def sql_store(kit_db: Callable[[], str]) -> Documents:
    """A store in a database of its own."""
    return SqlDocuments(Database(kit_db()))


class TestSql(DocumentsContract):
    """``SqlDocuments`` on PostgreSQL, by a service's least-privileged role."""

    @pytest.fixture
    def store(self, sql_store: Documents) -> Documents:
        """The store under test."""
        return sql_store

    @pytest.fixture
    def away(self) -> Documents:
        """A store whose database nobody serves."""
        return SqlDocuments(Database("postgresql://nobody:x@127.0.0.1:1/nothing"))

    def test_a_service_uses_its_own_database(self, kit_db: Callable[[], str]) -> None:
        """documents() may be called, and stays, while the thread's transaction rolls back."""
        db = Database(kit_db())
        runtime.install("documented", db)
        person = uuid4()

        class Undone(Exception):
            """Ends the transaction."""

        def work(tx: Any) -> None:
            tx.one("select 1")
            documents("documented").put("inbox", person, 1, {"unread": 1})
            raise Undone

        with pytest.raises(Undone):
            db.transaction(work)
        assert (1, {"unread": 1}) == documents("documented").get("inbox", person)
        found = db.one("select version from documents where id = :id", id=str(person))
        assert {"version": 1} == found


_URL = "firestore://dentalhelp/(default)"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Google's emulator, which the client finds in the environment."""
    running = FirestoreEmulator(Path(tmp_path_factory.mktemp("firestore")))
    try:
        running.start()
    except EmulatorMissing as missing:
        pytest.skip(f"Firestore is not tested on Google's emulator: {missing}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRESTORE_EMULATOR_HOST", running.address)
        yield running.address
    running.stop()


class TestFirestore(DocumentsContract):
    """``FirestoreDocuments`` on Google's emulator; skipped, loudly, where it is not installed."""

    @pytest.fixture
    def store(self, emulator: str) -> Documents:
        """A store in the emulator."""
        return FirestoreDocuments(_URL, "notification")

    @pytest.fixture
    def away(self, emulator: str) -> Iterator[Documents]:
        """A store where nobody listens."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
            yield FirestoreDocuments(_URL, "notification", timeout=0.5)

    def test_services_are_apart(self, store: Documents) -> None:
        """All services share a project: one does not see another's document of the same name."""
        person = uuid4()
        store.put("inbox", person, 1, {})
        assert FirestoreDocuments(_URL, "patient").get("inbox", person) is None

    def test_the_setting_chooses_it(
        self, store: Documents, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DOCUMENTS_URL leads a service to Firestore, through one client for each process."""
        monkeypatch.setenv("DOCUMENTS_URL", _URL)
        config.cache_clear()
        person = uuid4()
        try:
            documents("notification").put("inbox", person, 4, {"unread": 1})
            assert documents("notification") is documents("notification")
        finally:
            monkeypatch.undo()
            config.cache_clear()
        assert (4, {"unread": 1}) == store.get("inbox", person)
