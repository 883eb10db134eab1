"""Every route that shows something about a patient, and how to ask it."""

from __future__ import annotations

import re

from tests.platform import CNP

__all__ = ["HARMLESS", "LOOKS", "SEARCHES", "TELLING"]

_CHART = "/api/dental-records/{patient_id}"

LOOKS: dict[str, tuple[str, ...]] = {
    "GET /api/auth/users/{user_id}": ("/api/auth/users/{patient_id}",),
    "GET /api/auth/users/{user_id}/history": ("/api/auth/users/{patient_id}/history",),
    "GET /api/auth/exports/{patient_id}": ("/api/auth/exports/{patient_id}",),
    "GET /api/auth/exports/jobs/{export_id}": ("/api/auth/exports/jobs/{export_id}",),
    "GET /api/notifications": ("/api/notifications",),
    "GET /api/appointments": (
        "/api/appointments?patient_id={patient_id}",
        "/api/appointments?clinic_id={clinic_id}",
        "/api/appointments?practitioner_id={dentist_id}&clinic_id={clinic_id}",
        "/api/appointments?clinic_id={clinic_id}&status=COMPLETED",
        "/api/appointments?clinic_id={clinic_id}&day={day}",
    ),
    "GET /api/appointments/day": ("/api/appointments/day?clinic_id={clinic_id}&day={day}",),
    "GET /api/appointments/{appointment_id}": (
        "/api/appointments/{appointment_id}",
        "/api/appointments/{coming_id}",
    ),
    "GET /api/appointments/{appointment_id}/invite.ics": (
        "/api/appointments/{appointment_id}/invite.ics",
        "/api/appointments/{coming_id}/invite.ics",
    ),
    "GET /api/appointments/requests": (
        "/api/appointments/requests?patient_id={patient_id}",
        "/api/appointments/requests?clinic_id={clinic_id}",
    ),
    "GET /api/appointments/requests/{request_id}": ("/api/appointments/requests/{request_id}",),
    "GET /api/appointments/waitlist": (
        "/api/appointments/waitlist?patient_id={patient_id}",
        "/api/appointments/waitlist?clinic_id={clinic_id}",
    ),
    "GET /api/appointments/waitlist/{wish_id}": ("/api/appointments/waitlist/{wish_id}",),
    "GET /api/appointments/offers/{offer_id}": ("/api/appointments/offers/{offer_id}",),
    "GET /api/appointments/links/offers/{token}": ("{offers}",),
    "GET /api/appointments/links/reminders/{token}": ("{reminders}",),
    "GET /api/appointments/calendar": ("/api/appointments/calendar",),
    "GET /api/appointments/calendar/{token}/appointments.ics": ("{calendar}/appointments.ics",),
    f"GET {_CHART}/problems": (f"{_CHART}/problems", f"{_CHART}/problems?tooth=36"),
    f"GET {_CHART}/problems/{{problem_id}}": (f"{_CHART}/problems/{{problem_id}}",),
    f"GET {_CHART}/interventions": (f"{_CHART}/interventions",),
    f"GET {_CHART}/interventions/{{intervention_id}}": (
        f"{_CHART}/interventions/{{intervention_id}}",
    ),
    f"GET {_CHART}/chart": (f"{_CHART}/chart", f"{_CHART}/chart?as_of=2999-01-01T00:00:00Z"),
    f"GET {_CHART}/chart.svg": (f"{_CHART}/chart.svg",),
    f"GET {_CHART}/teeth/{{tooth}}/history": (f"{_CHART}/teeth/36/history",),
    "GET /api/dental-records/interventions": ("/api/dental-records/interventions?lot=LOT-QUILL-1",),
    "POST /api/patients/search": (),
    "GET /api/patients/{patient_id}": ("/api/patients/{patient_id}",),
    "GET /api/patients/{patient_id}/anamnesis": ("/api/patients/{patient_id}/anamnesis",),
    "GET /api/patients/{patient_id}/history": ("/api/patients/{patient_id}/history",),
    "GET /api/patients/{patient_id}/allergies": ("/api/patients/{patient_id}/allergies",),
    "GET /api/xrays/held": ("/api/xrays/held",),
    "GET /api/xrays": ("/api/xrays?patient_id={patient_id}",),
    "GET /api/xrays/{xray_id}": ("/api/xrays/{xray_id}", "/api/xrays/{held_id}"),
    "GET /api/xrays/{xray_id}/content": ("/api/xrays/{xray_id}/content",),
    "GET /api/xrays/{xray_id}/preview": (
        "/api/xrays/{xray_id}/preview",
        "/api/xrays/{xray_id}/preview?center=9&width=9",
        "/api/xrays/{held_id}/preview",
    ),
    "GET /api/xrays/{xray_id}/thumbnail": ("/api/xrays/{xray_id}/thumbnail",),
    "GET /api/treatments": ("/api/treatments?patient_id={patient_id}",),
    "GET /api/treatments/{treatment_id}": ("/api/treatments/{treatment_id}",),
    "GET /api/treatments/{treatment_id}/versions": ("/api/treatments/{treatment_id}/versions",),
    "GET /api/treatments/prescriptions": ("/api/treatments/prescriptions?patient_id={patient_id}",),
    "GET /api/treatments/prescriptions/{prescription_id}": (
        "/api/treatments/prescriptions/{prescription_id}",
    ),
    "GET /api/treatments/prescriptions/{prescription_id}/print": (
        "/api/treatments/prescriptions/{prescription_id}/print",
    ),
}
"""Route -> how to ask it about her."""

# About nobody who is treated, about who asks, about who looked (ids alone), or for services alone.
HARMLESS = re.compile(
    r"GET /api/(auth/(jwks|me|clinics|registrations|erasures|users$|-/)|notifications/preferences"
    r"|appointments/(slots|clinics)|dental-records/code-systems|patients/-/|patients/.*access-log)"
)
# Whatever these say is about her.
TELLING = re.compile(r"/appointments/(links|calendar)")
SEARCHES = (
    {"query": "quillfeather zenobiella"},
    {"email": "zenobiella.quillfeather@example.com"},
    {"national_id": CNP},
)
