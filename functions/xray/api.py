"""The routes under /api/xrays."""

from __future__ import annotations

from shared.http import Api

__all__ = ["api"]

api = Api("xray", prefix="/api/xrays")
