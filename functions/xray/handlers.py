"""What xray consumes."""

from __future__ import annotations

from shared.inbox import Subscriptions
from shared.known_people import follow_patients

__all__ = ["on"]

on = Subscriptions("xray")
follow_patients(on)
