"""What services say to each other: typed messages in one envelope (docs/architecture.md).

A message class is frozen data. Its wire type is its name in UPPER_SNAKE, its version a number on
the class, its topic the contracts module it lives in. The envelope is JSON that people can read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from shared import clocks, log
from shared.errors import Reject
from shared.types import uuid7

__all__ = [
    "Command",
    "Envelope",
    "Event",
    "Message",
    "Metadata",
    "SagaContext",
    "UnknownType",
    "attributes",
    "decode",
    "envelope",
    "personal",
    "read_json",
    "read_payload",
]

Payload = dict[str, Any]


class UnknownType(Exception):
    """No class has this wire type here; the consumer acknowledges and counts it."""


class Message(BaseModel):
    """Base of events (past tense) and commands (imperative). Fields are only ever added."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    schema_version: ClassVar[int] = 1
    key: ClassVar[str]
    """The field whose value is the aggregate id: messages of one key stay in order."""
    upcasters: ClassVar[dict[int, Callable[[Payload], Payload]]] = {}
    """Payloads of an older version -> of the next one."""
    shared_topic: ClassVar[str | None] = None
    """A topic that several services publish on; None: the publishing service's own."""
    reaches_the_erased: ClassVar[bool] = False
    """Handled also when it is about somebody who was erased."""
    notify: ClassVar[bool] = False
    """People are told of it: notification has a row and texts for it."""

    @classmethod
    @cache
    def type_name(cls) -> str:
        """``AppointmentBooked`` -> ``APPOINTMENT_BOOKED``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()

    @classmethod
    def topic(cls) -> str:
        """The service whose contract this is: its module's last name."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def person_field(cls) -> str | None:
        """The field that says which person this is about; erased people get no more messages."""
        return next((f for f in ("person_id", "patient_id") if f in cls.model_fields), None)

    @classmethod
    @cache
    def personal_fields(cls) -> frozenset[str]:
        """The fields declared with ``personal()``."""
        return frozenset(
            name
            for name, field in cls.model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("personal")
        )


class Event(Message):
    """Something that happened."""


class Command(Message):
    """Something a saga asks of a service."""


def personal(default: Any = ...) -> Any:
    """A field that holds personal data: the contract says so, and nothing keeps it longer."""
    return Field(default, json_schema_extra={"personal": True})


# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def _trace(value: Any) -> Any:
    """A malformed trace is no reason to refuse a message: forget it."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


class SagaContext(BaseModel):
    """Which step of which saga a command belongs to, so that the answer finds its way."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    saga_id: UUID
    step: str
    action: Literal["do", "undo"]
    orchestrator: str
    cancels: UUID | None = None
    """For an undo, the event id of the do: it must never take effect from now on."""


class Metadata(BaseModel):
    """What travels with every message; see docs/architecture.md for each field."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    source_service: str
    schema_version: int
    # What we copy into messages of our own must fit every broker (Pub/Sub: 1024 bytes).
    correlation_id: str = Field(max_length=128)
    causation_id: str | None = None
    aggregate_id: str = Field(min_length=1, max_length=256)
    aggregate_version: int | None = None
    retry_count: int = 0
    hlc: str
    traceparent: Annotated[str | None, BeforeValidator(_trace)] = None
    saga: SagaContext | None = None

    def version(self, what: str = "a message") -> int:
        """The aggregate's version that ``what`` is from, for replicas that never go back. Raises
        Reject where there is none."""
        if self.aggregate_version is None:
            raise Reject(f"{what} without the version it is from")
        return self.aggregate_version


class Envelope(BaseModel):
    """One message on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    event_id: UUID
    event_type: str
    timestamp: AwareDatetime
    payload: Payload
    metadata: Metadata

    def to_json(self) -> str:
        """The wire form, as text."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read the wire form. Raises Reject for anything that is not an envelope."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise Reject(f"not an envelope: {_faults(error)}") from None

    @property
    def ordering_key(self) -> str:
        """Messages of one key arrive in the order they were emitted."""
        return self.metadata.aggregate_id

    def attributes(self) -> dict[str, str]:
        """What a broker may filter and trace by, without opening the payload."""
        return attributes(self.event_type, self.metadata.model_dump())


def attributes(event_type: str, metadata: Mapping[str, Any]) -> dict[str, str]:
    """The broker's attributes of a message; ``metadata`` as it stands in the envelope."""
    found = {
        "event_type": event_type,
        "schema_version": str(metadata["schema_version"]),
        "correlation_id": metadata["correlation_id"],
    }
    if metadata.get("traceparent"):
        found["traceparent"] = metadata["traceparent"]
    return found


def envelope(
    message: Message,
    *,
    source: str,
    key: UUID | str | None = None,
    version: int | None = None,
    event_id: UUID | None = None,
    saga: SagaContext | None = None,
) -> Envelope:
    """Wrap ``message``: stamped by the hybrid clock, correlated with the work at hand.

    ``key`` defaults to the field the class names, ``event_id`` to a new UUIDv7.
    """
    identity = event_id or uuid7()
    return Envelope(
        event_id=identity,
        event_type=message.type_name(),
        timestamp=clocks.clock().now(),
        payload=message.model_dump(mode="json"),
        metadata=Metadata(
            source_service=source,
            schema_version=message.schema_version,
            correlation_id=log.correlation_id.get() or str(identity),
            causation_id=log.causation_id.get(),
            aggregate_id=str(key if key is not None else getattr(message, message.key)),
            aggregate_version=version,
            hlc=clocks.hlc().tick(),
            traceparent=log.traceparent.get(),
            saga=saga,
        ),
    )


def decode(env: Envelope, known: dict[str, type[Message]]) -> Message:
    """The typed message of ``env``.

    Raises UnknownType, or Reject for a version from the future or a payload that does not fit.
    """
    cls = known.get(env.event_type)
    if cls is None:
        raise UnknownType(env.event_type)
    return read_payload(cls, env.metadata.schema_version, env.payload)


def read_payload(cls: type[Message], version: int, payload: Payload) -> Message:
    """The message whose ``payload`` was written in ``version``, brought up to date.

    Raises Reject.
    """
    while version != cls.schema_version:
        upcast = cls.upcasters.get(version)
        if upcast is None:
            raise Reject(f"{cls.type_name()}: version {version} is unknown here")
        try:
            payload, version = upcast(payload), version + 1
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Reject(f"{cls.type_name()}: version {version}: {type(error).__name__}") from None
    try:
        return _validator(cls)(payload)
    except ValidationError as error:
        # Below the first name there may be a dictionary's keys, which are input.
        raise Reject(f"{cls.type_name()}: {_faults(error, depth=1)}") from None


def read_json(cls: type[Message], version: int, text: bytes) -> Message:
    """``read_payload`` of what is not parsed yet: without objects in between, if it is up to date.

    Raises Reject.
    """
    if version != cls.schema_version:
        return read_payload(cls, version, from_json(text))
    try:
        return _json_validator(cls)(text)
    except ValidationError as error:
        raise Reject(f"{cls.type_name()}: {_faults(error, depth=1)}") from None


@cache
def _json_validator(cls: type[Message]) -> Callable[[bytes], Message]:
    validate: Callable[[bytes], Message] = cls.__pydantic_validator__.validate_json
    return validate


@cache
def _validator(cls: type[Message]) -> Callable[[Payload], Message]:
    return cls.model_validate


def _faults(error: ValidationError, depth: int | None = None) -> str:
    """Where and what, never the input: the text is stored and logged."""
    return "; ".join(
        ": ".join(filter(None, (".".join(map(str, fault["loc"][:depth])), fault["type"])))
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
