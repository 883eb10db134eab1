"""Every version of every message ever published stays readable: one stored sample of each.

A sample is the envelope as it was sent: ``samples/<topic>.<TYPE>.v<version>.json``. It is written
once, by ``python -m tests.contract.new_samples``, and never edited.
"""

from __future__ import annotations

import json

import pytest

from shared.errors import Reject
from shared.messages import Envelope, Message, UnknownType, decode
from tests.contract.new_samples import SAMPLES, messages, sample_name

MESSAGES = messages()
NAMES = {
    sample_name(message, version): message
    for message in MESSAGES
    for version in range(1, message.schema_version + 1)
}


def test_there_is_a_sample_of_every_version() -> None:
    """A new message or version comes with its sample; no published version disappears."""
    assert sorted(NAMES) == sorted(file.name for file in SAMPLES.glob("*.json"))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_sample_is_readable(name: str) -> None:
    """What was sent once is understood today; the current version says the same again."""
    message = NAMES[name]
    text = (SAMPLES / name).read_text()
    env = Envelope.parse(text)
    assert message.type_name() == env.event_type
    read = decode(env, {message.type_name(): message})
    assert env.metadata.aggregate_id == str(getattr(read, message.key))
    again = read.model_dump(mode="json")
    if env.metadata.schema_version == message.schema_version:
        assert env.payload == {field: again[field] for field in env.payload}
    # The envelope itself loses nothing either.
    assert json.loads(text) == json.loads(Envelope.parse(env.to_json()).to_json())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type_name())
def test_contract_is_sound(message: type[Message]) -> None:
    """A message names its key among its fields, says what it is, and can be upcast all the way."""
    assert message.key in message.model_fields
    assert message.__doc__
    assert set(range(1, message.schema_version)) == set(message.upcasters)
    assert message.model_config.get("frozen")


def test_type_names_are_unique() -> None:
    """A consumer tells messages apart by their wire type alone."""
    names = [message.type_name() for message in MESSAGES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type_name())
def test_personal_fields_are_declared(message: type[Message]) -> None:
    """A field named like personal data is declared ``personal()``; a clinic's name is nobody's."""
    known = {
        "anamnesis", "birth_date", "email", "first_name", "last_name", "name", "national_id",
        "notes", "phone", "previous",
    }  # fmt: skip
    if message.key == "clinic_id":
        known -= {"name"}
    assert known & message.model_fields.keys() <= message.personal_fields()


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type_name())
def test_personal_messages_name_their_person(message: type[Message]) -> None:
    """What carries personal data says about whom, so that it has no effect on who was erased."""
    assert not message.personal_fields() or message.person_field() is not None


def test_from_the_future() -> None:
    """A version nobody here knows is rejected, a type nobody knows is told apart from it."""
    name, message = min(NAMES.items())
    env = Envelope.parse((SAMPLES / name).read_text())
    newer = env.metadata.model_copy(update={"schema_version": 99})
    with pytest.raises(Reject, match="version 99"):
        decode(env.model_copy(update={"metadata": newer}), {message.type_name(): message})
    with pytest.raises(UnknownType):
        decode(env, {})


def test_a_field_more_is_no_harm() -> None:
    """Fields are only ever added: a consumer that does not know one reads the rest."""
    name, message = min(NAMES.items())
    env = Envelope.parse((SAMPLES / name).read_text())
    payload = {**env.payload, "added_later": {"x": 1}}
    grown = env.model_copy(update={"payload": payload})
    known = {message.type_name(): message}
    assert decode(env, known) == decode(grown, known)
