"""The OpenAPI document: valid, complete, and saying who may do what."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from shared.openapi import document
from tests.http_example import api

DOCUMENT: dict[str, Any] = json.loads(json.dumps(document(api)))
PATIENT = "/api/examples/{patient_id}"


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1 by the specification's own schema, references included."""
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_every_route_is_in_it() -> None:
    """Each declared route has its operation with an id of its own."""
    operations = {
        (method.upper(), path): operation["operationId"]
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }
    assert {(route.method, route.path) for route in api.routes} == operations.keys()
    assert len(operations) == len(set(operations.values()))


def test_an_operation_says_what_it_takes_and_gives() -> None:
    """Summary, access rule, parameters, body, answer, own and common problems."""
    operation = DOCUMENT["paths"][PATIENT]["patch"]
    assert (
        operation["summary"],
        operation["description"],
    ) == ("Change a patient.", "Access: the person in patient_id.")
    assert [
        (parameter["name"], parameter["in"], parameter["required"])
        for parameter in operation["parameters"]
    ] == [
        ("patient_id", "path", True),
        ("If-Match", "header", True),
        ("X-Purpose-Of-Use", "header", False),
    ]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Allergy"}
    answers = operation["responses"]
    assert answers["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Patient"
    }
    assert {
        *("200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "428"),
        "default",
    } == answers.keys()
    assert answers["409"]["description"] == "Slot taken: The slot is gone."


def test_the_first_paragraph_is_the_summary() -> None:
    """However its lines are broken, the summary is whole; what follows is told once, below it."""

    def show() -> None:
        """One line
        and another.

        What else there
        is to say.
        """

    route = replace(api.routes[0], handler=show)
    assert ("One line and another.", "What else there is to say.") == (route.summary, route.details)


def test_posts_may_carry_an_idempotency_key() -> None:
    """Each POST, and nothing else, documents the header, 409 and 422."""
    for methods in DOCUMENT["paths"].values():
        for method, operation in methods.items():
            named = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "header"]
            assert (method == "post") == ("Idempotency-Key" in named)
    answers = DOCUMENT["paths"]["/api/examples/open"]["post"]["responses"]
    assert "Idempotency in progress" in answers["409"]["description"]
    assert "Idempotency key reused" in answers["422"]["description"]


def test_query_parameters_stand_one_by_one() -> None:
    """A query model is shown as its parameters, with their bounds and defaults."""
    parameters = {
        parameter["name"]: parameter
        for parameter in DOCUMENT["paths"]["/api/examples"]["get"]["parameters"]
        if parameter["in"] == "query"
    }
    assert {"limit", "cursor", "clinic_id", "tooth"} == parameters.keys()
    assert (
        parameters["limit"]["required"],
        parameters["limit"]["schema"]["maximum"],
        parameters["limit"]["schema"]["default"],
    ) == (False, 200, 50)


@pytest.mark.parametrize(
    ("security", "path", "method"),
    [([], "/api/examples/open", "post"), ([{"token": []}], PATIENT, "get")],
)
def test_public_routes_need_no_token(security: list[Any], path: str, method: str) -> None:
    """Everything but the public routes asks for the bearer token."""
    assert security == DOCUMENT["paths"][path][method]["security"]
