"""Documents in Google's Firestore, where clients can watch them. Imported only where it is used.

What the service ``notification`` calls ``inbox`` is Firestore's collection ``notification-inbox``.
A document has two fields: ``version``, and ``data``, which is null once it was erased.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from shared.documents import checked, named
from shared.errors import Unavailable

__all__ = ["FirestoreDocuments"]

T = TypeVar("T")

_TIMEOUT = 5.0  # seconds for one call
_ATTEMPTS = 30
_LONGEST_PAUSE = 0.25  # seconds


class _Overtaken(Exception):
    """Somebody else changed the document between our reading and our writing."""


class FirestoreDocuments:
    """See ``shared.documents.Documents`` (``FIRESTORE_EMULATOR_HOST`` is honoured by the client).

    A change is written on the condition that the document is still as it was read: whenever a
    write is refused, another one has succeeded.
    """

    def __init__(self, url: str, service: str, *, timeout: float = _TIMEOUT) -> None:
        """``url``: ``firestore://project/database``; ``timeout``: seconds for one call."""
        parts = urlsplit(url)
        self._project = parts.netloc
        self._database = parts.path.strip("/") or "(default)"
        self._service = named(service)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self._owner = 0

    def put(
        self, collection: str, identity: UUID | str, version: int, data: Mapping[str, Any]
    ) -> bool:
        """See ``Documents``."""
        checked(version, data)
        fields = {"version": version, "data": dict(data)}

        def work() -> bool:
            ref, found = self._read(collection, identity)
            if found.exists:
                there = found.to_dict()
                if there["data"] is None or there["version"] >= version:
                    return False
            self._write(ref, found, fields)
            return True

        return self._again(work)

    def get(self, collection: str, identity: UUID | str) -> tuple[int, dict[str, Any]] | None:
        """See ``Documents``."""

        def work() -> tuple[int, dict[str, Any]] | None:
            _, found = self._read(collection, identity)
            there: dict[str, Any] = found.to_dict() if found.exists else {"data": None}
            data: dict[str, Any] | None = there["data"]
            return None if data is None else (int(there["version"]), data)

        return self._again(work)

    def erase(self, collection: str, identity: UUID | str) -> bool:
        """See ``Documents``."""

        def work() -> bool:
            ref, found = self._read(collection, identity)
            there = found.to_dict() if found.exists else {"version": -1, "data": None}
            if found.exists and there["data"] is None:
                return False
            self._write(ref, found, {"version": there["version"], "data": None})
            return bool(found.exists)

        return self._again(work)

    def _read(self, collection: str, identity: UUID | str) -> tuple[Any, Any]:
        within = f"{self._service}-{named(collection)}"
        ref = self._connected().collection(within).document(named(str(identity)))
        return ref, ref.get(retry=None, timeout=self._timeout)

    def _write(self, ref: Any, found: Any, fields: dict[str, Any]) -> None:
        from google.api_core import exceptions

        try:
            if not found.exists:
                ref.create(fields, retry=None, timeout=self._timeout)
            else:
                unchanged = self._connected().write_option(last_update_time=found.update_time)
                # A field that is named is replaced, with all that is in it.
                ref.update(fields, option=unchanged, retry=None, timeout=self._timeout)
        except (exceptions.AlreadyExists, exceptions.FailedPrecondition) as error:
            raise _Overtaken from error

    def _again(self, work: Callable[[], T]) -> T:
        """Do ``work`` until nobody came between. Raises Unavailable."""
        for attempt in range(_ATTEMPTS):
            if attempt:
                longest = min(_LONGEST_PAUSE, 0.005 * 2**attempt)
                time.sleep(random.uniform(0, longest))  # nosec B311
            try:
                return work()
            except _Overtaken:
                continue
            except ValueError:
                raise
            except Exception as error:
                from google.api_core.exceptions import Aborted

                if isinstance(error, Aborted):
                    continue
                # No credentials, no network, no quota...: the caller repeats it later.
                raise Unavailable("The live views are away.") from error
        raise Unavailable("Too many changes of the same live view at once.")

    def _connected(self) -> Any:
        """The client of this process: gRPC channels do not survive a fork."""
        with self._lock:
            if self._client is None or self._owner != os.getpid():
                from google.cloud.firestore_v1.client import Client

                self._client = Client(project=self._project, database=self._database)
                self._owner = os.getpid()
            return self._client
