"""The routes under /api/xrays. No image passes through them, but small pictures of it."""

from functions.xray.api import deciding, reading, uploads
from functions.xray.api.base import api

__all__ = ["api", "deciding", "reading", "uploads"]
