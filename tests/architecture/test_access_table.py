"""Who may call what: every route of every service, for every kind of caller, over HTTP.

The table must be complete: a new route fails here until somebody has decided who may use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from uuid import UUID

import pytest
from flask import Flask, request

from infra.manifest import service_names
from shared.http import Route
from shared.identity import ANONYMOUS, Caller
from shared.runtime import Service
from tests.platform import EVERY, Platform

CLINIC = "0199aaaa-0000-7000-8000-00000000c11c"
SUBJECT = UUID("0199aaaa-0000-7000-8000-000000000001")  # whom each route is about


def _person(number: int, place: str, *roles: str) -> Caller:
    held = frozenset(roles)
    return Caller(
        "person",
        UUID(int=SUBJECT.int + number),
        held,
        MappingProxyType({place: held}),
        UUID(int=number),
    )


CALLERS = {
    "anonymous": ANONYMOUS,
    "owner": _person(0, "*", "PATIENT"),
    "patient": _person(1, "*", "PATIENT"),
    "receptionist": _person(2, CLINIC, "RECEPTIONIST"),
    "dentist": _person(3, CLINIC, "DENTIST"),
    "clinic admin": _person(4, CLINIC, "ADMIN"),
    "admin": _person(5, "*", "ADMIN"),
    "service": Caller("service", service="notification"),
    "auth": Caller("service", service="auth"),
    "appointment": Caller("service", service="appointment"),
    "dental_records": Caller("service", service="dental_records"),
    "treatment": Caller("service", service="treatment"),
    "xray": Caller("service", service="xray"),
}
EVERYBODY = set(CALLERS)
SIGNED_IN = {who for who, caller in CALLERS.items() if caller.kind == "person"}
STAFF = {"receptionist", "dentist", "clinic admin", "admin"}
DESK = {"receptionist", "clinic admin", "admin"}
ADMINS = {"clinic admin", "admin"}
GROUP = {"admin"}

TABLE = {
    "POST /api/auth/register": EVERYBODY,
    "GET /api/auth/registrations/{registration_id}": EVERYBODY,
    "POST /api/auth/invitations": DESK,
    "POST /api/auth/invitations/accept": EVERYBODY,
    "POST /api/auth/users/{user_id}/invitation": DESK,
    "POST /api/auth/login": EVERYBODY,
    "POST /api/auth/refresh": EVERYBODY,
    "POST /api/auth/logout": SIGNED_IN,
    "GET /api/auth/jwks.json": EVERYBODY,
    "GET /api/auth/me": SIGNED_IN,
    "PATCH /api/auth/me/email": SIGNED_IN,
    "POST /api/auth/me/password": SIGNED_IN,
    "POST /api/auth/users": ADMINS,
    "GET /api/auth/users": ADMINS,
    "GET /api/auth/users/{user_id}": ADMINS | {"owner"},
    "GET /api/auth/users/{user_id}/history": GROUP | {"owner"},
    "PUT /api/auth/users/{user_id}/roles": ADMINS,
    "POST /api/auth/users/{user_id}/deactivate": ADMINS,
    "POST /api/auth/users/{user_id}/reactivate": ADMINS,
    "POST /api/auth/clinics": GROUP,
    "GET /api/auth/clinics": SIGNED_IN,
    "GET /api/auth/clinics/{clinic_id}": SIGNED_IN | {"service", "appointment"},
    "PUT /api/auth/clinics/{clinic_id}": GROUP,
    "POST /api/auth/erasures": GROUP | {"owner"},
    "GET /api/auth/erasures/{erasure_id}": EVERYBODY,
    "POST /api/auth/-/erasures/replay": GROUP,
    "GET /api/auth/exports/{patient_id}": GROUP | {"owner"},
    "POST /api/auth/exports": GROUP | {"owner"},
    "GET /api/auth/exports/jobs/{export_id}": SIGNED_IN,
    "GET /api/auth/-/contacts/{person_id}": {"service"},
    "GET /api/auth/-/sagas": GROUP,
    "GET /api/auth/-/sagas/{saga_id}": GROUP,
    "POST /api/auth/-/sagas/{saga_id}/resume": GROUP,
    "GET /api/notifications": SIGNED_IN,
    "POST /api/notifications/read": SIGNED_IN,
    "POST /api/notifications/{notification_id}/read": SIGNED_IN,
    "GET /api/notifications/preferences": SIGNED_IN,
    "PUT /api/notifications/preferences": SIGNED_IN,
    "GET /api/appointments/slots": SIGNED_IN,
    "POST /api/appointments": SIGNED_IN,
    "POST /api/appointments/series": STAFF,
    "POST /api/appointments/series/{series_id}/cancel": STAFF,
    "GET /api/appointments": {"owner", "admin"},
    "GET /api/appointments/day": STAFF,
    "GET /api/appointments/{appointment_id}": SIGNED_IN,
    "POST /api/appointments/{appointment_id}/reschedule": SIGNED_IN,
    "POST /api/appointments/{appointment_id}/cancel": SIGNED_IN,
    "POST /api/appointments/{appointment_id}/check-in": STAFF,
    "POST /api/appointments/{appointment_id}/complete": STAFF,
    "POST /api/appointments/{appointment_id}/missed": STAFF,
    "GET /api/appointments/clinics/{clinic_id}/practitioners": SIGNED_IN,
    "POST /api/appointments/clinics/{clinic_id}/practitioners": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/practitioners/{practitioner_id}": SIGNED_IN,
    "PUT /api/appointments/clinics/{clinic_id}/practitioners/{practitioner_id}": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/exceptions": GROUP,
    "POST /api/appointments/clinics/{clinic_id}/exceptions": GROUP,
    "DELETE /api/appointments/clinics/{clinic_id}/exceptions/{exception_id}": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/chairs": SIGNED_IN,
    "POST /api/appointments/clinics/{clinic_id}/chairs": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/chairs/{chair_id}": SIGNED_IN,
    "PUT /api/appointments/clinics/{clinic_id}/chairs/{chair_id}": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/types": SIGNED_IN,
    "POST /api/appointments/clinics/{clinic_id}/types": GROUP,
    "GET /api/appointments/clinics/{clinic_id}/types/{type_id}": SIGNED_IN,
    "PUT /api/appointments/clinics/{clinic_id}/types/{type_id}": GROUP,
    "POST /api/appointments/requests": SIGNED_IN,
    "GET /api/appointments/requests": {"owner", "admin"},
    "GET /api/appointments/requests/{request_id}": SIGNED_IN,
    "POST /api/appointments/requests/{request_id}/accept": DESK,
    "POST /api/appointments/requests/{request_id}/decline": DESK,
    "POST /api/appointments/requests/{request_id}/withdraw": SIGNED_IN,
    "POST /api/appointments/waitlist": SIGNED_IN,
    "GET /api/appointments/waitlist": {"owner", "admin"},
    "GET /api/appointments/waitlist/{wish_id}": SIGNED_IN,
    "POST /api/appointments/waitlist/{wish_id}/withdraw": SIGNED_IN,
    "GET /api/appointments/offers/{offer_id}": SIGNED_IN,
    "POST /api/appointments/offers/{offer_id}/accept": SIGNED_IN,
    "POST /api/appointments/offers/{offer_id}/decline": SIGNED_IN,
    "GET /api/appointments/links/offers/{token}": EVERYBODY,
    "POST /api/appointments/links/offers/{token}/{choice}": EVERYBODY,
    "GET /api/appointments/links/reminders/{token}": EVERYBODY,
    "POST /api/appointments/links/reminders/{token}/{choice}": EVERYBODY,
    "GET /api/appointments/clinics/{clinic_id}/settings": {"admin"},
    "PUT /api/appointments/clinics/{clinic_id}/settings": {"admin"},
    "GET /api/appointments/{appointment_id}/invite.ics": SIGNED_IN,
    "POST /api/appointments/calendar": SIGNED_IN,
    "GET /api/appointments/calendar": SIGNED_IN,
    "DELETE /api/appointments/calendar": SIGNED_IN,
    "GET /api/appointments/calendar/{token}/appointments.ics": EVERYBODY,
    "POST /api/dental-records/{patient_id}/problems": {"dentist"},
    "GET /api/dental-records/{patient_id}/problems": {"dentist", "owner"},
    "GET /api/dental-records/{patient_id}/problems/{problem_id}": {"dentist", "owner"},
    "PUT /api/dental-records/{patient_id}/problems/{problem_id}": {"dentist"},
    "POST /api/dental-records/{patient_id}/problems/{problem_id}/entered-in-error": {"dentist"},
    "POST /api/dental-records/{patient_id}/interventions": {"dentist"},
    "GET /api/dental-records/{patient_id}/interventions": {"dentist", "owner"},
    "GET /api/dental-records/{patient_id}/interventions/{intervention_id}": {"dentist", "owner"},
    "PUT /api/dental-records/{patient_id}/interventions/{intervention_id}": {"dentist"},
    "POST /api/dental-records/{patient_id}/interventions/{intervention_id}/entered-in-error": {
        "dentist"
    },
    "GET /api/dental-records/{patient_id}/chart": {"dentist", "owner"},
    "GET /api/dental-records/{patient_id}/chart.svg": {"dentist", "owner"},
    "GET /api/dental-records/{patient_id}/teeth/{tooth}/history": {"dentist", "owner"},
    "GET /api/dental-records/interventions": {"dentist"},
    "GET /api/dental-records/code-systems": STAFF,
    "GET /api/dental-records/code-systems/{system}/codes": STAFF,
    "PUT /api/dental-records/code-systems/{system}": GROUP,
    "POST /api/patients/search": STAFF,
    "GET /api/patients/{patient_id}": STAFF | {"owner"},
    "PATCH /api/patients/{patient_id}": STAFF | {"owner"},
    "GET /api/patients/{patient_id}/anamnesis": {"dentist", "owner"},
    "PUT /api/patients/{patient_id}/anamnesis": {"dentist", "owner"},
    "GET /api/patients/{patient_id}/access-log": GROUP | {"owner"},
    "GET /api/patients/{patient_id}/history": GROUP | {"owner"},
    "GET /api/patients/-/identity/{patient_id}": {"xray"},
    "GET /api/patients/-/exists/{patient_id}": {
        *("appointment", "dental_records", "treatment", "xray"),
    },
    "GET /api/patients/{patient_id}/allergies": {"dentist", "owner"},
    "PUT /api/patients/{patient_id}/allergies": {"dentist", "owner"},
    "GET /api/patients/-/allergies/{patient_id}": {"treatment"},
    "POST /api/xrays": {"dentist", "receptionist"},
    "POST /api/xrays/{xray_id}/complete": {"dentist", "receptionist"},
    "DELETE /api/xrays/{xray_id}": {"dentist", "receptionist"},
    "GET /api/xrays/held": {"dentist", "receptionist"},
    "POST /api/xrays/{xray_id}/approve": {"dentist", "receptionist"},
    "POST /api/xrays/{xray_id}/reject": {"dentist", "receptionist"},
    "POST /api/xrays/{xray_id}/entered-in-error": {"dentist"},
    "GET /api/xrays": {"dentist", "owner"},
    "GET /api/xrays/{xray_id}": SIGNED_IN,
    "GET /api/xrays/{xray_id}/content": SIGNED_IN,
    "GET /api/xrays/{xray_id}/preview": SIGNED_IN,
    "GET /api/xrays/{xray_id}/thumbnail": SIGNED_IN,
    "POST /api/treatments": {"dentist"},
    "GET /api/treatments": {"receptionist", "dentist", "owner"},
    "GET /api/treatments/{treatment_id}": SIGNED_IN,
    "GET /api/treatments/{treatment_id}/versions": SIGNED_IN,
    "PUT /api/treatments/{treatment_id}/plan": {"dentist"},
    "POST /api/treatments/{treatment_id}/accept": SIGNED_IN,
    "POST /api/treatments/{treatment_id}/decline": SIGNED_IN,
    "POST /api/treatments/{treatment_id}/consents": {"receptionist", "dentist"},
    "POST /api/treatments/prescriptions": {"dentist"},
    "GET /api/treatments/prescriptions": {"dentist", "owner"},
    "GET /api/treatments/prescriptions/{prescription_id}": SIGNED_IN,
    "GET /api/treatments/prescriptions/{prescription_id}/print": SIGNED_IN,
    "POST /api/treatments/prescriptions/{prescription_id}/cancel": {"dentist"},
}


# What every service has without saying so (shared/kit.py), below its prefix.
OPERATORS = {
    "GET /-/dead-letters": GROUP,
    "POST /-/dead-letters/{letter_id}/redrive": GROUP,
    "POST /-/dead-letters/{letter_id}/discard": GROUP,
    "GET /-/health": EVERYBODY,
    "GET /-/metrics": GROUP,
    "GET /-/openapi.json": EVERYBODY,
}
PRIVACY = {
    "GET /-/people/{person_id}": {"auth"},
    "GET /-/people/{person_id}/files": {"auth"},
    "GET /-/validation/people": {"auth"},
    "GET /-/validation/addresses": {"auth"},
}
"""Where there are personal data, but not in auth, which asks the others."""


def _services() -> list[Service]:
    return [import_module(f"functions.{name}.main").service for name in service_names()]


def _table() -> dict[str, set[str]]:
    found = dict(TABLE)
    for service in _services():
        asked = PRIVACY if service.privacy.tables and service.name != "auth" else {}
        for route, who in (OPERATORS | asked).items():
            found[route.replace(" ", f" {service.prefix}")] = who
    return found


def _routes() -> dict[str, tuple[Service, Route]]:
    return {
        f"{route.method} {route.path}": (service, route)
        for service in _services()
        for route in service.api.routes
    }


@pytest.fixture(scope="module")
def platform(service_db: Callable[[str], str]) -> Platform:
    """Real databases behind the routes: who is let in gets as far as the data."""
    return Platform(service_db, services=EVERY)


def test_the_table_is_complete() -> None:
    """Every route stands in the table, and nothing stands there that is no route."""
    assert set(_table()) == set(_routes())


@pytest.mark.parametrize("name", sorted(_table()))
def test_exactly_these_callers_are_let_in(platform: Platform, name: str) -> None:
    """Each route answers 401 or 403 to everybody but those whom the table names."""
    service, route = _routes()[name]
    path = re.sub(r"\{\w+\}", str(SUBJECT), route.path)
    app = Flask("access")
    let_in = set()
    for who, caller in CALLERS.items():

        def authenticate(_: str | None, caller: Caller = caller) -> Caller:
            return caller

        # No body that validates, unless it says whom the request is about: being let in shows as
        # any other answer than 401 and 403.
        fields: dict[str, object] = {field: str(SUBJECT) for field in route.plan.access_body}
        writes = route.method in ("POST", "PUT", "PATCH")
        body = {"json": fields or {"surprise": 1}} if writes else {}
        query = dict.fromkeys(route.plan.access_query, str(SUBJECT))
        with app.test_request_context(path, method=route.method, query_string=query, **body):
            answer = service.api.handle(request._get_current_object(), authenticate)  # type: ignore[attr-defined]
        if answer.status_code not in (401, 403):
            let_in.add(who)
        assert (401 if who == "anonymous" else 403) == answer.status_code or who in let_in
        assert 500 > answer.status_code
    assert _table()[name] == let_in


@pytest.mark.parametrize("name", sorted(_table()))
def test_a_bad_token_is_401_unless_nobody_needs_one(platform: Platform, name: str) -> None:
    """A malformed token never opens a protected route."""
    service, route = _routes()[name]
    if "anonymous" in _table()[name]:
        assert route.access.public
        return
    path = re.sub(r"\{\w+\}", str(SUBJECT), route.path)
    headers = {"Authorization": "Bearer not.a.token"}
    with Flask("access").test_request_context(path, method=route.method, headers=headers):
        answer = service.http(request._get_current_object())  # type: ignore[attr-defined]
    assert 401 == answer.status_code
    assert "Bearer" in answer.headers["WWW-Authenticate"]
