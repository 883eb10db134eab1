"""The routes under /api/dental-records."""

from __future__ import annotations

from shared.http import Api

__all__ = ["api"]

api = Api("dental_records", prefix="/api/dental-records")
