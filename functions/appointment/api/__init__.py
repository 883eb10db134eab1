"""The routes under /api/appointments."""

from functions.appointment.api import appointments, booking, catalogue, exceptions, practitioners
from functions.appointment.api.base import api

__all__ = ["api", "appointments", "booking", "catalogue", "exceptions", "practitioners"]
