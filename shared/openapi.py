"""The OpenAPI 3.1 document of a service, from its own route table.

Nothing here runs until somebody asks for the document: routes keep the models they check with,
and pydantic writes the schemas (OpenAPI 3.1 speaks JSON Schema 2020-12, as pydantic does).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import TypeAdapter

from shared.audit import PURPOSES
from shared.errors import (
    BadRequest,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionRequired,
    Problem,
    StaleVersion,
    TooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from shared.http import Api, Route
from shared.idempotency import IdempotencyInProgress, IdempotencyKeyReused

__all__ = ["document"]

_REF = "#/components/schemas/{model}"
_STRING = {"type": "string"}
_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457 problem details; problems may carry more members than these.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:dentalhelp:problem:not-found"]},
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "correlation_id": _STRING,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the body"},
                    "parameter": {"type": "string", "description": "of the query"},
                    "detail": _STRING,
                },
            },
        },
    },
}


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "A random value of the client's, such as a UUID. Repeated with the same key within a day,"
        " the request takes effect once; the first answer comes again with Idempotent-Replayed."
    ),
    "schema": {"type": "string", "maxLength": 257, "examples": ['"8e03978e-40d5-43dd-bc93"']},
}

_PURPOSE = {
    "name": "X-Purpose-Of-Use",
    "in": "header",
    "required": False,
    "description": (
        "What for, in the access log (HL7 v3 PurposeOfUse). By default people ask for their own"
        " data themselves (PATRQT), dentists treat (TREAT), and all others operate (HOPERAT)."
    ),
    "schema": {"type": "string", "enum": sorted(PURPOSES)},
}


class _Use(NamedTuple):
    """One place where a route needs a schema."""

    route: int
    what: str


def document(api: Api, *, version: str = "1") -> dict[str, Any]:
    """The OpenAPI 3.1 document of all of ``api``'s routes, ready for JSON."""
    schemas, components = _schemas(api.routes)
    paths: dict[str, dict[str, Any]] = {}
    names: dict[str, int] = {}
    for number, route in enumerate(api.routes):
        name = route.handler.__name__
        names[name] = names.get(name, 0) + 1
        paths.setdefault(route.path, {})[route.method.lower()] = {
            "operationId": name if names[name] == 1 else f"{name}_{names[name]}",
            **_operation(api, number, route, schemas, components),
        }
    return {
        "openapi": "3.1.1",
        "info": {"title": f"DentalHelp {api.name}", "version": version},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM_SCHEMA},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _schemas(routes: tuple[Route, ...]) -> tuple[dict[_Use, Any], dict[str, Any]]:
    """The schema of every use, and the components they refer to."""
    inputs: list[tuple[_Use, Literal["validation", "serialization"], TypeAdapter[Any]]] = []
    for number, route in enumerate(routes):
        if route.adapter is not None:
            inputs.append((_Use(number, "returns"), "serialization", route.adapter))
        if route.plan.body_adapter is not None:
            inputs.append((_Use(number, "body"), "validation", route.plan.body_adapter))
        if route.plan.query is not None:
            adapter: TypeAdapter[Any] = TypeAdapter(route.plan.query)
            inputs.append((_Use(number, "query"), "validation", adapter))
        for name, kind in route.plan.path_types.items():
            inputs.append((_Use(number, f"path {name}"), "validation", TypeAdapter(kind)))
    by_use, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REF)
    return {use: schema for (use, _), schema in by_use.items()}, definitions.get("$defs", {})


def _operation(
    api: Api, number: int, route: Route, schemas: dict[_Use, Any], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "description": f"{route.details}\n\nAccess: {route.access.describe()}.".strip(),
        "tags": ["operators" if route.path.startswith(f"{api.prefix}/-/") else api.name],
        "security": [] if route.access.public else [{"token": []}],
        "responses": _responses(route, schemas.get(_Use(number, "returns"))),
    }
    if parameters := _parameters(number, route, schemas, components):
        operation["parameters"] = parameters
    if body := schemas.get(_Use(number, "body")):
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _parameters(
    number: int, route: Route, schemas: dict[_Use, Any], components: dict[str, Any]
) -> list[dict[str, Any]]:
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schemas[_Use(number, f"path {name}")],
        }
        for name in route.plan.path_types
    ]
    if route.plan.query is not None:
        # pydantic gives the model as a component, whose properties are the parameters.
        schema = components[schemas[_Use(number, "query")]["$ref"].rpartition("/")[2]]
        parameters.extend(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                "schema": part,
            }
            for name, part in schema["properties"].items()
        )
    if route.plan.if_match is not None:
        parameters.append(
            {
                "name": "If-Match",
                "in": "header",
                "required": True,
                "description": "The ETag last read.",
                "schema": {"type": "string", "examples": ['"7"']},
            }
        )
    if route.method == "POST":
        parameters.append(_IDEMPOTENCY_KEY)
    if not route.access.public:
        parameters.append(_PURPOSE)
    return parameters


def _responses(route: Route, returns: Any) -> dict[str, Any]:
    """What may come back: the value, and the problems that the route's own checks can raise."""
    good: dict[str, Any] = {"description": route.summary or "Done"}
    if returns is not None:
        # What is no JSON has no schema (OpenAPI 3.1, Media Type Object).
        shape = {} if route.returns is bytes else {"schema": returns}
        good["content"] = {route.media.partition(";")[0]: shape}
    plan = route.plan
    kinds: list[type[Problem]] = [Invalid, *route.problems]
    if plan.path:
        kinds.append(NotFound)
    if not route.access.public:
        kinds += [Unauthenticated, Forbidden]
    if plan.body is not None:
        kinds += [BadRequest, TooLarge, UnsupportedMediaType]
    if plan.if_match is not None:
        kinds += [BadRequest, StaleVersion, PreconditionRequired]
    if route.method == "POST":
        kinds += [BadRequest, IdempotencyInProgress, IdempotencyKeyReused]
    words: dict[int, list[str]] = {}
    for kind in kinds:
        line = f"{kind().to_dict()['title']}: {kind().detail}"
        if line not in words.setdefault(kind.status, []):
            words[kind.status].append(line)
    content = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {
        str(route.status): good,
        **{
            str(status): {"description": "\n\n".join(lines), "content": content}
            for status, lines in sorted(words.items())
        },
        "default": {"description": "Any other problem", "content": content},
    }
