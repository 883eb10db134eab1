"""The routes under /api/appointments."""

from __future__ import annotations

from shared.http import Api

__all__ = ["api"]

api = Api("appointment", prefix="/api/appointments")
