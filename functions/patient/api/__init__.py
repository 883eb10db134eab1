"""The routes under /api/patients. Nothing personal stands in a URL."""

from functions.patient.api import access_log, allergies, existence, history, identity, records
from functions.patient.api.base import api

__all__ = ["access_log", "allergies", "api", "existence", "history", "identity", "records"]
