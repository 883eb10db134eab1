"""Write a sample of every version of a message or a fact that has none.

``python -m tests.contract.new_samples``

Values are made up from the field's type; samples that exist are left as they are.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import types
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, TypeAdapter

import shared.contracts
from infra import manifest
from shared.eventstore import Fact
from shared.messages import Command, Envelope, Message, Metadata, SagaContext

__all__ = ["FACTS", "SAMPLES", "fact_name", "facts", "messages", "sample_name"]

SAMPLES = Path(__file__).parent / "samples"
FACTS = Path(__file__).parent / "facts"
_ID = UUID("0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")
_MOMENT = "2026-01-15T10:30:00.123456Z"

_PLAIN: dict[Any, Any] = {
    UUID: str(_ID),
    str: "text",
    int: 7,
    float: 0.5,
    bool: True,
    date: "1996-02-29",
    datetime: _MOMENT,
    AwareDatetime: _MOMENT,
}
_NAMED = {
    "anamnesis": {"allergies": "penicillin", "notes": "text"},
    "email": "ana@example.com",
    "first_name": "Ana",
    "last_name": "Popescu",
    "national_id": "1960229410015",
    "phone": "+40721234567",
    "previous": "ana.old@example.com",
}


def messages() -> list[type[Message]]:
    """Every message of every contracts module."""
    found = []
    for module in pkgutil.iter_modules(shared.contracts.__path__):
        contract = importlib.import_module(f"shared.contracts.{module.name}")
        found += [getattr(contract, name) for name in contract.__all__]
    return [one for one in found if isinstance(one, type) and issubclass(one, Message)]


def sample_name(message: type[Message], version: int) -> str:
    """``patient.PATIENT_UPDATED.v1.json``."""
    return f"{message.topic()}.{message.type_name()}.v{version}.json"


def facts() -> list[type[Fact]]:
    """Every fact of every service."""
    for service in manifest.service_names():
        importlib.import_module(f"functions.{service}.main")
    found = [fact for fact in _below(Fact) if fact.__module__.startswith("functions.")]
    return sorted(found, key=lambda fact: (fact.__module__, fact.__name__))


def _below(fact: type[Fact]) -> Iterator[type[Fact]]:
    for one in fact.__subclasses__():
        yield one
        yield from _below(one)


def fact_name(fact: type[Fact], version: int) -> str:
    """``patient.EMAIL_FOLLOWED.v1.json``."""
    return f"{fact.__module__.split('.')[1]}.{fact.type_name()}.v{version}.json"


def _value(name: str, annotation: Any) -> Any:
    if name in _NAMED:
        return _NAMED[name]
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    makers: dict[Any, Callable[[], Any]] = {
        Literal: lambda: arguments[0],
        Annotated: lambda: _value(name, arguments[0]),
        Union: lambda: _value(name, arguments[0]),
        types.UnionType: lambda: _value(name, arguments[0]),
        list: lambda: [_value(name, arguments[0])],
        tuple: lambda: [_value(name, arguments[0])],
        dict: lambda: {"key": _value(name, arguments[1])},
    }
    if origin in makers:
        return makers[origin]()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {n: _value(n, f.annotation) for n, f in annotation.model_fields.items()}
    if dataclasses.is_dataclass(annotation):
        return {n: _value(n, kind) for n, kind in get_type_hints(annotation).items()}
    return _PLAIN[annotation]


def sample(message: type[Message]) -> Envelope:
    """An envelope of ``message`` in its current version with every field filled."""
    payload = {name: _value(name, field.annotation) for name, field in message.model_fields.items()}
    read = TypeAdapter(message).validate_python(payload)
    command = issubclass(message, Command)
    return Envelope(
        event_id=UUID("0199a1b2-c3d4-7000-8000-000000000001"),
        event_type=message.type_name(),
        timestamp=datetime.fromisoformat(_MOMENT),
        payload=read.model_dump(mode="json"),
        metadata=Metadata(
            source_service="auth" if command else message.topic(),
            schema_version=message.schema_version,
            correlation_id="0199a1b2-c3d4-7000-8000-000000000002",
            causation_id="0199a1b2-c3d4-7000-8000-000000000003",
            aggregate_id=str(getattr(read, message.key)),
            aggregate_version=None if command else 7,
            hlc="2026-01-15T10:30:00.123Z-0007",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            saga=SagaContext(saga_id=_ID, step="a step", action="do", orchestrator="auth")
            if command
            else None,
        ),
    )


def fact_sample(fact: type[Fact]) -> dict[str, Any]:
    """What is stored of ``fact`` in its current version, with every field filled."""
    payload = {name: _value(name, field.annotation) for name, field in fact.model_fields.items()}
    return TypeAdapter(fact).validate_python(payload).model_dump(mode="json")


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    print(file.name)  # noqa: T201


if __name__ == "__main__":
    for message in messages():
        file = SAMPLES / sample_name(message, message.schema_version)
        if not file.exists():
            _write(file, json.loads(sample(message).to_json()))
    for fact in facts():
        file = FACTS / fact_name(fact, fact.schema_version)
        if not file.exists():
            _write(file, fact_sample(fact))
