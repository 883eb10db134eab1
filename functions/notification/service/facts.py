"""What a text needs to know of an event: taken from it, sealed with the person's key, unsealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from functions.notification.domain.notices import Notice
from shared.clocks import clock
from shared.crypto import Subject
from shared.db import Row
from shared.messages import Event
from shared.runtime import vault

__all__ = ["Facts", "key_of", "late", "seal", "taken", "unseal"]

Facts = Mapping[str, str]
"""Name -> text; moments are ISO 8601 in UTC."""


def taken(event: Event, names: tuple[str, ...]) -> dict[str, str]:
    """The fields ``names`` of ``event`` that have a value."""
    values = {name: getattr(event, name) for name in names}
    return {name: _text(value) for name, value in values.items() if value is not None}


def late(notice: Notice, facts: Facts) -> bool:
    """Is it too late to be told?"""
    if notice.until is None:
        return False
    return datetime.fromisoformat(facts[notice.until]) <= clock().now()


def seal(key: Subject, facts: Facts) -> bytes | None:
    """``facts`` as they rest; None where there are none."""
    return key.seal("facts", json.dumps(facts, ensure_ascii=False)) if facts else None


def key_of(person_id: UUID, row: Row) -> Subject:
    """The key of ``row`` (key_version, key_wrapped). Raises Unreadable, Unavailable."""
    return vault("notification").subject(person_id, row["key_version"], row["key_wrapped"])


def unseal(key: Subject | None, sealed: bytes | None) -> Facts:
    """What ``seal`` was given. Raises Unreadable."""
    text = None if key is None else key.unseal("facts", sealed)
    facts: Facts = {} if text is None else json.loads(text)
    return facts


def _text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
