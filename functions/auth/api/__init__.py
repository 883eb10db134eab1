"""Auth's routes: parse, one use case, shape the reply."""

from functions.auth.api import (
    clinics,
    contacts,
    erasures,
    exports,
    history,
    registrations,
    sessions,
    users,
)
from functions.auth.api.base import api

__all__ = [
    "api",
    "clinics",
    "contacts",
    "erasures",
    "exports",
    "history",
    "registrations",
    "sessions",
    "users",
]
