"""Auth's routes: parse, one use case, shape the reply."""

from functions.auth.api import clinics, contacts, registrations, sessions, users
from functions.auth.api.base import api

__all__ = ["api", "clinics", "contacts", "registrations", "sessions", "users"]
