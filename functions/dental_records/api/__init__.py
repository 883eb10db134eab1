"""The routes under /api/dental-records."""

from functions.dental_records.api import charts, codes, interventions, lots, problems
from functions.dental_records.api.base import api

__all__ = ["api", "charts", "codes", "interventions", "lots", "problems"]
