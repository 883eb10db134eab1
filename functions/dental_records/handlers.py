"""What dental_records consumes."""

from __future__ import annotations

from shared.inbox import Subscriptions

__all__ = ["on"]

on = Subscriptions("dental_records")
