"""The processes of infra/chaos/torture.py: who appends, and who reads what is appended.

``python -m infra.chaos.torture_side PARENT append|read|naive FILE ...`` with the database's URL in
TORTURE_DATABASE_URL and the streams' names in the file TORTURE_STREAMS.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from infra.local import lifeline
from shared.crypto import Vault
from shared.db import Contention, Database, Isolation, Tx
from shared.errors import StaleVersion
from shared.eventstore import START, EventStore, Fact, Stream
from shared.messages import personal

__all__ = ["CATEGORIES", "Noted", "Told", "store", "streams"]

CATEGORIES = ("person", "thing")
_PAGES = (50, 200, 1_000)
_PAUSE = 0.005
_ENOUGH = 30_000  # events; positions have no index, so that reading on would cost more and more
_VERSION = "select coalesce(max(version), 0) from events where category = :category and id = :id"
_NAIVE = "select id::text, version, pos from events where pos > :last order by pos limit 1000"


class Told(Fact):
    """Somebody said something; ``number`` is nobody else's."""

    number: int
    words: str = personal()


class Noted(Fact):
    """The same about nobody."""

    number: int


def store(db: Database) -> EventStore:
    """The store of these facts."""
    return EventStore(Vault(db), [Told, Noted])


def streams(file: Path) -> list[Stream]:
    """The streams named in ``file``: one of eight is about a person."""
    ids = map(UUID, file.read_text("ascii").split())
    return [
        Stream("person", id_, id_) if at % 8 == 0 else Stream("thing", id_)
        for at, id_ in enumerate(ids)
    ]


class _Appender:
    """Appends until it is killed; dawdles, rolls back, and meets others on the same streams.

    Its journal says before each commit which numbers it tries (``?``), and afterwards what became
    of them (``+``: committed, ``-``: rolled back).
    """

    def __init__(self, seed: int, journal: Path, thread: int) -> None:
        self.db = Database(os.environ["TORTURE_DATABASE_URL"])
        self.store = store(self.db)
        self.streams = streams(Path(os.environ["TORTURE_STREAMS"]))
        self.dice = random.Random(seed * 1_000 + thread)  # nosec B311
        self.numbers = iter(range((seed * 1_000 + thread) * 10**9, 10**18))
        self.versions = defaultdict[Stream, int](int)
        self.journal = journal.with_suffix(f".{thread}").open("a", encoding="ascii", buffering=1)

    def run(self) -> None:
        """Until the end."""
        while True:
            # Some streams are everybody's favourites.
            crowd = self.streams[:8] if self.dice.random() < 0.1 else self.streams
            self.append(self.dice.choice(crowd))

    def append(self, stream: Stream) -> None:
        """One transaction."""
        facts = list(self._facts(stream))
        numbers = " ".join(str(fact.number) for fact in facts)
        rolled_back, guessed = self.dice.random() < 0.15, self.dice.random() < 0.2
        early, late = self._delay(), self._delay()
        isolation: Isolation = self.dice.choice(["READ COMMITTED", "REPEATABLE READ"])

        def work(tx: Tx) -> int:
            expected = self.versions[stream]
            if early is not None:
                # It has its place in the order of transactions long before it appends, and what
                # it appends may well follow what later ones have appended meanwhile.
                tx.value("select pg_current_xact_id()::text")
                time.sleep(early)
            if not guessed:
                expected = tx.value(_VERSION, category=stream.category, id=stream.id)
            version = self.store.append(tx, stream, facts, expected=expected)
            time.sleep(late or 0)
            if rolled_back:
                raise LookupError
            return version

        self._note("?", numbers)
        try:
            self.versions[stream] = self.db.transaction(work, isolation=isolation)
        except LookupError:
            self._note("-", numbers)
        except (StaleVersion, Contention):
            self._note("-", numbers)
            _, self.versions[stream] = self.store.load(self.db, stream, None, lambda *_: None)
        else:
            self._note("+", numbers)

    def _facts(self, stream: Stream) -> Iterator[Told | Noted]:
        for _ in range(self.dice.choice((1, 1, 2, 10, 100))):
            number = next(self.numbers)
            told = stream.person is not None and self.dice.random() < 0.5
            yield Told(number=number, words=f"word {number}") if told else Noted(number=number)

    def _delay(self) -> float | None:
        return self.dice.choice((None, None, None, 0.0, 0.001, 0.01))

    def _note(self, what: str, numbers: str) -> None:
        self.journal.write(f"{what} {numbers}\n")


def _append(journal: Path, seed: int, threads: int) -> None:
    appenders = [_Appender(seed, journal, thread) for thread in range(threads)]
    working = [threading.Thread(target=one.run, daemon=True) for one in appenders]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    raise SystemExit("an appender has given up")


class _Book:
    """What a reader has seen, in its order: printed now and then, written when all is over."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen = file, 0
        self.draft = file.with_suffix(".draft").open("w", encoding="ascii")
        self.digest = hashlib.sha256()
        self.over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        sys.stdin.read()  # it ends when everything has been appended
        self.over.set()

    def add(self, page: list[tuple[str, int]]) -> None:
        """One page of (stream, version)."""
        lines = "".join(f"{stream} {version}\n" for stream, version in page)
        self.draft.write(lines)
        self.digest.update(lines.encode())
        self.seen += len(page)
        print(self.seen, flush=True)

    def close(self) -> None:
        """Nothing more comes."""
        self.draft.write(f"sha256 {self.digest.hexdigest()}\n")
        self.draft.close()
        Path(self.draft.name).rename(self.file)


def _read(file: Path, seed: int) -> None:
    """Follow by the store's cursor: all streams, or (odd seeds) those of all categories."""
    db = Database(os.environ["TORTURE_DATABASE_URL"])
    events, book, after = store(db), _Book(file), START
    dice = random.Random(seed)  # nosec B311
    categories = CATEGORIES if seed % 2 else None
    while True:
        ended = book.over.is_set()
        page = events.read_all(db, after, categories=categories, limit=dice.choice(_PAGES))
        if page:
            after = page[-1].cursor
            book.add([(str(event.id), event.version) for event in page])
        elif ended:
            book.close()
            return
        else:
            time.sleep(_PAUSE)


def _naive(file: Path, _seed: int) -> None:
    """Follow by the last position that was seen, as one is tempted to; not to the end."""
    db = Database(os.environ["TORTURE_DATABASE_URL"])
    book, last = _Book(file), 0
    while True:
        ended = book.over.is_set()
        page = db.all(_NAIVE, last=last) if book.seen < _ENOUGH else []
        if page:
            last = page[-1]["pos"]
            book.add([(row["id"], row["version"]) for row in page])
        elif ended:
            book.close()
            return
        else:
            time.sleep(_PAUSE)


if __name__ == "__main__":
    lifeline.follow(int(sys.argv[1]))
    _what, _file, _seed = sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    if _what == "append":
        _append(_file, _seed, int(sys.argv[5]))
    else:
        {"read": _read, "naive": _naive}[_what](_file, _seed)
