"""Live views: small documents that clients watch, replaced only by newer versions.

``documents("notification").put("inbox", person_id, version, {"unread": 2})`` may be called late,
twice or in any order: what is kept is the newest version, and an erased document stays erased.
With Firestore clients watch a document itself; without it the service's own table holds them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from shared.config import config
from shared.db import Database

__all__ = ["Documents", "SqlDocuments", "Unfit", "checked", "documents", "named"]

_NAME = re.compile(r"(?!__)[A-Za-z0-9_-]{1,100}")
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_MOST_BYTES = 500_000
_MOST_DEPTH = 10
_LARGEST = 2**63 - 1


class Unfit(ValueError):
    """Some store could not hold this; the message says why, and quotes nothing."""


class Documents(Protocol):
    """The documents of one service. Every method raises Unavailable when the store is away.

    ``data`` holds strings, integers of 64 bits, booleans, None, lists (not directly in lists) and
    mappings by strings: what every store gives back as it was. Anything else raises Unfit.
    """

    def put(
        self, collection: str, identity: UUID | str, version: int, data: Mapping[str, Any]
    ) -> bool:
        """Store ``data`` unless ``version`` (0 or greater) is there already, or a newer one, or
        the document was erased; whether it is stored now."""

    def get(self, collection: str, identity: UUID | str) -> tuple[int, dict[str, Any]] | None:
        """(version, data), or None for one that never was or was erased."""

    def erase(self, collection: str, identity: UUID | str) -> bool:
        """Remove the document for good, also one that never was: nothing replaces it. Whether
        there was one."""


class SqlDocuments:
    """Documents in the ``documents`` table."""

    def __init__(self, db: Database) -> None:
        """``db`` must not be the handle that others have a transaction open on."""
        self._db = db

    def put(
        self, collection: str, identity: UUID | str, version: int, data: Mapping[str, Any]
    ) -> bool:
        """See ``Documents``."""
        row = self._db.one(
            "insert into documents (collection, id, version, data)"
            " values (:collection, :id, :version, :data::jsonb)"
            " on conflict (collection, id) do update"
            " set version = excluded.version, data = excluded.data"
            " where documents.data is not null and documents.version < excluded.version"
            " returning version",
            collection=named(collection),
            id=named(str(identity)),
            version=version,
            data=checked(version, data),
        )
        return row is not None

    def get(self, collection: str, identity: UUID | str) -> tuple[int, dict[str, Any]] | None:
        """See ``Documents``."""
        row = self._db.one(
            "select version, data from documents"
            " where collection = :collection and id = :id and data is not null",
            collection=named(collection),
            id=named(str(identity)),
        )
        return (row["version"], row["data"]) if row else None

    def erase(self, collection: str, identity: UUID | str) -> bool:
        """See ``Documents``."""
        row = self._db.one(
            # No document has the version -1: it tells a tombstone that is new from a removal.
            "insert into documents (collection, id, version) values (:collection, :id, -1)"
            " on conflict (collection, id) do update set data = null"
            " where documents.data is not null returning version",
            collection=named(collection),
            id=named(str(identity)),
        )
        return row is not None and row["version"] >= 0


def named(text: str) -> str:
    """``text`` if it can name a collection or a document. Raises Unfit."""
    if _NAME.fullmatch(text) is None:
        raise Unfit("not a name for a document or a collection")
    return text


def checked(version: int, data: Mapping[str, Any]) -> str:
    """``data`` as JSON, if every store can hold it. Raises Unfit or another ValueError."""
    if not 0 <= version <= _LARGEST:
        raise Unfit("a version is an integer from 0")
    if not isinstance(data, Mapping):
        raise Unfit("a document is a mapping")
    _check(data, _MOST_DEPTH)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > _MOST_BYTES:
        raise Unfit("the document is too large")
    return text


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise Unfit("too deeply nested")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key or "\0" in key or _RESERVED.fullmatch(key):
                raise Unfit("not a name for a field")
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, list | tuple):
                raise Unfit("a list directly in a list cannot be stored")
            _check(item, depth - 1)
    elif isinstance(value, int):
        if not -_LARGEST - 1 <= value <= _LARGEST:
            raise Unfit("an integer has 64 bits")
    elif isinstance(value, str):
        if "\0" in value:
            raise Unfit("NUL cannot be stored")
    elif value is not None:
        raise Unfit(f"a {type(value).__name__} cannot be stored")


_made: dict[str, tuple[Database, SqlDocuments]] = {}
_firestore: dict[str, Documents] = {}
_lock = threading.Lock()


def documents(service: str) -> Documents:
    """The documents of ``service``, where DOCUMENTS_URL says. Raises MissingSettings."""
    from shared.runtime import database

    url = config().documents_url
    with _lock:
        if url.startswith("firestore://"):
            if service not in _firestore:
                from shared.documents_firestore import FirestoreDocuments

                _firestore[service] = FirestoreDocuments(url, service)
            return _firestore[service]
    db = database(service)
    with _lock:
        found = _made.get(service)
        if found is None or found[0] is not db:
            # A live view changes on its own, also while the thread has a transaction open.
            found = _made[service] = (db, SqlDocuments(db.twin()))
        return found[1]
