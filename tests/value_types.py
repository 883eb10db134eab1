"""The value types by name, and the words in which they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.national_ids import NationalId
from shared.types import BirthDate, Email, Language, PersonName, Phone, TimeZoneName

__all__ = ["ADAPTERS", "refusal"]

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "national_id": TypeAdapter(NationalId),
    "email": TypeAdapter(Email),
    "name": TypeAdapter(PersonName),
    "phone": TypeAdapter(Phone),
    "language": TypeAdapter(Language),
    "zone": TypeAdapter(TimeZoneName),
    "birth_date": TypeAdapter(BirthDate),
}


def refusal(kind: str, value: Any) -> str:
    """The text with which ``value`` is refused."""
    with pytest.raises(ValidationError) as caught:
        ADAPTERS[kind].validate_python(value)
    return str(caught.value.errors()[0]["msg"])
