"""What auth knows about people."""

from __future__ import annotations

from functions.auth.store import exports
from functions.auth.store.history import STORE
from shared.event_export import exported
from shared.privacy import Personal, Privacy

__all__ = ["privacy"]

_SESSIONS = "session_id in (select id from sessions where user_id = :person)"

privacy = Privacy(
    tables=(
        Personal("refresh_tokens", where=_SESSIONS),
        Personal("sessions", person="user_id", plain=("started_at", "expires_at", "ended_at")),
        Personal("invitations", person="user_id", plain=("expires_at", "used_at")),
        Personal("user_roles", person="user_id", plain=("role", "clinic_id")),
        Personal(
            "users",
            person="id",
            plain=(
                *("id", "email", "status", "first_name", "last_name", "language"),
                *("created_at", "updated_at"),
            ),
            sealed={"national_id": "users.national_id"},
        ),
        Personal("account_history_a"),
        Personal("account_history_b"),
        Personal("exports", plain=("id", "state", "requested_at", "settled_at", "expires_at")),
        # Sealed with the person's key, which the erasure deletes.
        Personal("events", erase="keep", show=exported(STORE)),
        # Shows that the request was met; erasure_services has counts and the erasure's id.
        Personal("erasures", erase="keep", plain=("id", "reason", "status", "requested_at")),
    ),
    # login_attempts: keyed hashes of addresses, for a day.
    impersonal=frozenset(
        {"clinics", "erasure_services", "login_attempts", "receipt_keys", "signing_keys"}
    ),
    outside=exports.forget,
    emails="select id as person_id, email from users",
)
