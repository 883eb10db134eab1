"""The patient's key that comes with a sealed row."""

from __future__ import annotations

from shared.crypto import Subject
from shared.db import Row
from shared.runtime import vault

__all__ = ["COLUMNS", "key_of"]

COLUMNS = "k.version as key_version, k.wrapped as key_wrapped"
"""What a statement selects for ``key_of``, beside patient_id; ``k`` is subject_keys."""


def key_of(row: Row) -> Subject:
    """The key that opens ``row``. Raises Unreadable, Unavailable."""
    return vault("treatment").subject(row["patient_id"], row["key_version"], row["key_wrapped"])
