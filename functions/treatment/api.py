"""The routes under /api/treatments."""

from __future__ import annotations

from shared.http import Api

__all__ = ["api"]

api = Api("treatment", prefix="/api/treatments")
