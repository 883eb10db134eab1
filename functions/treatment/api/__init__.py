"""The routes under /api/treatments. Nothing personal stands in a URL."""

from functions.treatment.api import consents, plans, prescriptions
from functions.treatment.api.base import api

__all__ = ["api", "consents", "plans", "prescriptions"]
