"""A small API with one route per feature of the HTTP edge, for its tests."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import flask
from flask.testing import FlaskClient
from pydantic import BaseModel, ConfigDict, Field, field_validator
from werkzeug.test import TestResponse

from shared import errors
from shared.access import GROUP, anyone, owner, public, roles, services
from shared.http import Api, IfMatch, Reply, RequestInfo
from shared.identity import ANONYMOUS, Caller
from shared.pages import Page, PageQuery, encode_cursor

ME = UUID("01900000-0000-7000-8000-000000000001")
MINE = f"/{ME}"
OTHER = UUID("01900000-0000-7000-8000-000000000002")
CLINIC = UUID("01900000-0000-7000-8000-00000000000c")


def person(*held: str, id: UUID = ME, clinic: UUID | str = "*") -> Caller:
    """Somebody signed in who holds these roles at ``clinic``."""
    names = frozenset(held)
    return Caller("person", id=id, roles=names, clinics={str(clinic): names})


CALLERS = {
    "Bearer patient": person("PATIENT"),
    "Bearer dentist": person("DENTIST", id=OTHER, clinic=CLINIC),
    "Bearer admin": person("ADMIN", id=OTHER),
    "Bearer notification": Caller("service", service="notification"),
}


def authenticate(header: str | None) -> Caller:
    """The callers above by their header."""
    if header is None:
        return ANONYMOUS
    if header not in CALLERS:
        raise errors.Unauthenticated
    return CALLERS[header]


class Strict(BaseModel):
    """Every body refuses what it does not know."""

    model_config = ConfigDict(extra="forbid")


class Allergy(Strict):
    """A nested body part."""

    substance: str
    code: int | UUID | None = None


class Booking(Strict):
    """A body with a bit of everything."""

    patient_id: UUID
    national_id: Annotated[str, Field(max_length=16)] | None = None
    note: str = ""
    weight: float | None = None
    pieces: int = 0
    allergies: list[Allergy] = []
    labels: dict[str, int] = {}

    @field_validator("national_id")
    @classmethod
    def check(cls, value: str | None) -> str | None:
        """Stands for a checksum."""
        if value == "bad":
            raise ValueError("The checksum does not match")
        return value


class Filter(PageQuery):
    """A query with scalars and a list."""

    clinic_id: UUID | None = None
    tooth: list[int] | None = None


class Patient(BaseModel):
    """What comes back."""

    id: UUID
    name: str


class SlotTaken(errors.Conflict):
    """The slot is gone."""


api = Api("example", prefix="/api/examples")


@api.get("/boom", access=public(), returns=Patient)
def boom() -> Patient:
    """Fail in a way nobody expected."""
    raise RuntimeError("secret-detail")


@api.get("/wrong", access=public(), returns=Patient)
def wrong() -> Patient:
    """Return something else than declared."""
    return "no patient"  # type: ignore[return-value]


@api.get("/away", access=public(), returns=Patient)
def away() -> Patient:
    """Miss a database."""
    raise errors.Unavailable(retry_after=3)


@api.get("/me", access=anyone(), returns=dict[str, Any])
def me(caller: Caller, request: RequestInfo) -> dict[str, Any]:
    """Who am I, and from where?"""
    return {"id": caller.id, "address": request.remote_address, "agent": request.user_agent}


@api.get("/{patient_id}", access=roles("DENTIST") | owner("patient_id"), returns=Patient)
def show(patient_id: UUID) -> Reply[Patient]:
    """Show a patient."""
    return Reply(Patient(id=patient_id, name="Ana"), etag=7)


@api.patch(
    "/{patient_id}",
    access=owner("patient_id"),
    returns=Patient,
    problems=[SlotTaken],
)
def change(patient_id: UUID, body: Allergy, if_match: IfMatch) -> Reply[Patient]:
    """Change a patient."""
    if if_match != 7:
        raise errors.StaleVersion
    return Reply(Patient(id=patient_id, name=body.substance), etag=8)


@api.delete("/{patient_id}", access=roles("ADMIN", clinic=GROUP))
def remove(patient_id: UUID) -> None:
    """Remove a patient."""


@api.post("", access=owner("patient_id"), returns=Patient, status=201)
def book(body: Booking) -> Reply[Patient]:
    """Book for oneself."""
    made = Patient(id=body.patient_id, name=body.note)
    return Reply(made, location=f"{api.prefix}/{made.id}", etag=1)


@api.post("/open", access=public(), returns=Patient)
def open_(body: Booking) -> Patient:
    """Take a body from anybody."""
    return Patient(id=body.patient_id, name=body.note)


@api.get("", access=roles("DENTIST", clinic="clinic_id"), returns=Page[Patient])
def listing(query: Filter) -> Page[Patient]:
    """List the patients of a clinic."""
    return Page(
        items=[Patient(id=ME, name=str(query.tooth))], next_cursor=encode_cursor(["Ana", ME])
    )


@api.post("/sync", access=services("notification"), returns=None)
def sync() -> None:
    """Let one service in."""


@api.post("/taken", access=public(), returns=None)
def taken() -> None:
    """Say no, with more to say."""
    raise SlotTaken(retry_after=0.2, headers={"Allow": "GET"}, free_at=[ME], ratio=float("nan"))


app = flask.Flask("example")


@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"])
@app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def run(path: str) -> flask.Response:
    """As functions-framework does it."""
    return api.handle(flask.request, authenticate)


@app.after_request
def read_request(response: flask.Response) -> flask.Response:
    """As functions-framework does it, which is why no body may be left half read."""
    flask.request.get_data()
    return response


client: FlaskClient = app.test_client()


def send(
    method: str, path: str, *, who: str | None = None, body: str | bytes | None = None, **kw: Any
) -> TestResponse:
    """One request below the prefix, by one of CALLERS; bodies are JSON unless ``headers`` say."""
    headers = {**({"Authorization": f"Bearer {who}"} if who else {}), **kw.pop("headers", {})}
    if body is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"
    return client.open(api.prefix + path, method=method, headers=headers, data=body, **kw)


SECRET = "xyzzy"  # sent in all sorts of places; must never come back


def post(body: bytes, kind: str | None = "application/json", **headers: str) -> TestResponse:
    """``body`` to the route that takes one from anybody."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"{api.prefix}/open", data=body, headers=named, content_type=kind)


def check(status: int, answer: TestResponse, kind: str | None = None) -> dict[str, Any]:
    """The problem in ``answer``, after what holds for all of them."""
    problem: dict[str, Any] = json.loads(answer.data)
    assert (status, "application/problem+json", status) == (
        answer.status_code,
        answer.headers["Content-Type"],
        problem["status"],
    )
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert problem["type"].startswith("urn:dentalhelp:problem:")
    assert kind is None or problem["type"].endswith(f":{kind}")
    assert problem["title"]
    assert problem["detail"]
    assert (
        answer.headers["Cache-Control"],
        answer.headers["X-Content-Type-Options"],
    ) == ("no-store", "nosniff")
    assert answer.headers["X-Correlation-Id"]
    assert SECRET not in f"{answer.data!r}{answer.headers}"
    return problem
