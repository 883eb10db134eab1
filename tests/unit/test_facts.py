"""Every version of every fact ever stored stays readable: one stored sample of each.

A sample is what was stored: ``contract/facts/<service>.<TYPE>.v<version>.json``. It is written
once, by ``python -m tests.contract.new_samples``, and never edited.
"""

from __future__ import annotations

import json

import pytest

from shared.errors import Reject
from shared.eventstore import EventStore, Fact
from shared.messages import read_json
from tests.contract.new_samples import FACTS, fact_name, facts
from tests.eventstore_stack import Moved, Registered

ALL = facts()
NAMES = {
    fact_name(fact, version): (fact, version)
    for fact in ALL
    for version in range(1, fact.schema_version + 1)
}
CLINIC = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"


def test_there_is_a_sample_of_every_version() -> None:
    """A new fact or version comes with its sample; no stored version disappears."""
    assert sorted(NAMES) == sorted(file.name for file in FACTS.glob("*.json"))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_sample_is_readable(name: str) -> None:
    """What was stored once is understood today; the current version says the same again."""
    fact, version = NAMES[name]
    text = (FACTS / name).read_bytes()
    again = read_json(fact, version, text).model_dump(mode="json")
    if version == fact.schema_version:
        stored = json.loads(text)
        assert stored == {field: again[field] for field in stored}


@pytest.mark.parametrize("fact", ALL, ids=lambda fact: fact.type_name())
def test_fact_is_sound(fact: type[Fact]) -> None:
    """A fact says what it is, cannot be changed, and can be upcast all the way."""
    assert fact.__doc__
    assert set(range(1, fact.schema_version)) == set(fact.upcasters)
    assert fact.model_config.get("frozen")


def test_a_fact_of_an_older_version_is_brought_up_to_date() -> None:
    """Upcast from what was stored, whether parsed or not."""
    old = {"first": "Ana", "last": "Pop", "clinic": CLINIC}
    read = read_json(Registered, 1, json.dumps(old).encode())
    assert read == read_json(
        Registered, 2, json.dumps({"name": "Ana Pop", "clinic": CLINIC}).encode()
    )


@pytest.mark.parametrize(
    ("version", "text", "why"),
    [
        (3, b'{"name": "Ana"}', "version 3 is unknown"),
        (1, b'{"first": "Ana"}', "version 1: KeyError"),
        (2, b'{"name": "Ana"}', "clinic: missing"),
    ],
)
def test_what_does_not_fit_is_named_without_its_content(
    version: int, text: bytes, why: str
) -> None:
    """A version from the future, an upcast that fails, a field that is missing."""
    with pytest.raises(Reject, match=why) as refused:
        read_json(Registered, version, text)
    assert "Ana" not in str(refused.value)


def test_a_fact_is_not_a_message() -> None:
    """It has no topic: nobody can publish it by mistake."""
    with pytest.raises(TypeError, match="stored, not published"):
        Moved.topic()


def test_two_facts_of_one_name() -> None:
    """The stored name must say which class it was."""
    with pytest.raises(ValueError, match="same name"):
        EventStore(None, [Moved, Moved])  # type: ignore[arg-type]
