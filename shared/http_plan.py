"""A handler's signature as a plan: where each argument comes from, settled at import.

A parameter is a ``{placeholder}`` of the path, ``body``, ``query``, or recognised by its type:
Caller, IfMatch, RequestInfo. Everything that cannot work is refused here, at import, so that a
route which exists is a route that is checked.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.access import Rule
from shared.errors import Invalid, NotFound
from shared.http_request import IfMatch, RequestInfo, parameter_error, query_of
from shared.identity import Caller
from shared.strict_json import clean, describe

__all__ = ["Plan", "RouteError", "plan"]

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+|/\{[a-z_]+\})*")
# RFC 9562's text form; Python's UUID() would also take braces, "urn:" and missing hyphens.
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class RouteError(Exception):
    """A route is declared in a way that cannot work, or would not be safe."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a handler's arguments come from; None for what it does not take."""

    path: tuple[tuple[str, Callable[[str], Any]], ...]
    path_types: Mapping[str, Any]
    body: type[BaseModel] | None
    body_adapter: TypeAdapter[Any] | None
    query: type[BaseModel] | None
    repeatable: Mapping[str, bool]
    caller: str | None
    if_match: str | None
    request: str | None
    access_body: tuple[str, ...]
    access_query: tuple[str, ...]

    def read_path(self, texts: list[str]) -> dict[str, Any]:
        """The placeholders' values. Raises NotFound: a malformed id names nothing."""
        return {name: read(text) for (name, read), text in zip(self.path, texts, strict=True)}

    def read_query(self, text: str) -> BaseModel | None:
        """The query model from the query string. Raises BadRequest, Invalid."""
        found = query_of(text, self.repeatable) if text else {}
        if self.query is None:
            return None
        try:
            return self.query.model_validate(found)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_input=False)
        raise Invalid(
            errors=[parameter_error(str((*e["loc"], "")[0]), describe(e)) for e in errors]
        )


def plan(handler: Callable[..., Any], path: str, method: str, rule: Rule) -> Plan:
    """The plan of ``handler`` under ``path``. Raises RouteError saying what is wrong."""
    if _PATH.fullmatch(path) is None:
        raise RouteError(f"{path!r} is not a path of segments and {{placeholders}}")
    names = _PLACEHOLDER.findall(path)
    if len(set(names)) != len(names):
        raise RouteError("a placeholder stands twice in the path")
    hints = get_type_hints(handler, include_extras=True)
    rest = {}
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise RouteError(f"parameter {parameter.name} cannot be passed by name")
        if parameter.name not in hints:
            raise RouteError(f"parameter {parameter.name} has no type")
        rest[parameter.name] = hints[parameter.name]
    if missing := set(names) - set(rest):
        raise RouteError(f"the handler does not take {', '.join(sorted(missing))} of the path")
    types = {name: rest.pop(name) for name in names}
    body, query = (_model(name, rest.pop(name, None)) for name in ("body", "query"))
    if body is not None and method in ("GET", "DELETE"):
        raise RouteError(f"a {method} has no body")
    by_type = {kind: _taken(rest, kind) for kind in (Caller, IfMatch, RequestInfo)}
    if rest:
        raise RouteError(
            f"parameter {', '.join(rest)} is neither in the path, body nor query, "
            "nor a Caller, IfMatch or RequestInfo"
        )
    in_body, in_query = _sources(rule, types, body, query)
    return Plan(
        path=tuple((name, _reader(kind)) for name, kind in types.items()),
        path_types=types,
        body=body,
        body_adapter=None if body is None else TypeAdapter(body),
        query=query,
        repeatable={} if query is None else _repeatable(query),
        caller=by_type[Caller],
        if_match=by_type[IfMatch],
        request=by_type[RequestInfo],
        access_body=in_body,
        access_query=in_query,
    )


def _taken(rest: dict[str, Any], kind: object) -> str | None:
    """The name of the parameter typed ``kind``, which is thereby spoken for."""
    for name, hint in rest.items():
        if hint is kind:
            del rest[name]
            return name
    return None


def _model(name: str, hint: Any) -> type[BaseModel] | None:
    if hint is None:
        return None
    if not (isinstance(hint, type) and issubclass(hint, BaseModel)):
        raise RouteError(f"{name} must be a pydantic model")
    for model in _lax_models(TypeAdapter(hint).core_schema):
        raise RouteError(f'{name}: {model} must forbid unknown fields (extra="forbid")')
    return hint


def _lax_models(schema: Any) -> Iterator[str]:
    """The names of the types in a pydantic core schema that let unknown fields pass."""
    if isinstance(schema, list | tuple):
        for item in schema:
            yield from _lax_models(item)
    elif isinstance(schema, Mapping):
        kind, name = schema.get("type"), getattr(schema.get("cls"), "__name__", "")
        if kind == "model" and not schema.get("root_model"):
            if schema.get("config", {}).get("extra_fields_behavior") != "forbid":
                yield name
        elif kind in ("dataclass", "typed-dict"):
            yield f"{name} (a {kind}, not a model)"
        for key, item in schema.items():
            if key not in ("metadata", "serialization", "default"):
                yield from _lax_models(item)


def _repeatable(query: type[BaseModel]) -> dict[str, bool]:
    return {
        field.alias or name: any(
            get_origin(kind) in (list, set, frozenset, tuple)
            for kind in (field.annotation, *get_args(field.annotation))
        )
        for name, field in query.model_fields.items()
    }


def _reader(kind: Any) -> Callable[[str], Any]:
    """How the text of a path segment becomes ``kind``."""
    if kind is UUID:
        return _uuid
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def read(text: str) -> Any:
        try:
            if clean(text):
                return adapter.validate_strings(text)
        except ValidationError:
            pass
        raise NotFound

    return read


def _uuid(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise NotFound
    return UUID(text)


def _sources(
    rule: Rule,
    path: Mapping[str, Any],
    body: type[BaseModel] | None,
    query: type[BaseModel] | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of the rule's fields come from the body, and which from the query.

    One name in two places would check the one and act on the other: refused.
    """
    in_body = rule.fields & (body.model_fields.keys() if body else set())
    in_query = rule.fields & (query.model_fields.keys() if query else set())
    for name in sorted(rule.fields):
        places = (name in path) + (name in in_body) + (name in in_query)
        if places != 1:
            raise RouteError(f"access looks at {name}, which is in {places} places, not one")
    return tuple(sorted(in_body)), tuple(sorted(in_query))
