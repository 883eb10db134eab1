"""Whom a row concerns, as a condition of the statement that reads it: so nobody else's look at it
is on record, because there is none."""

from __future__ import annotations

__all__ = ["mine"]


def mine(alias: str) -> str:
    """The SQL condition that the row ``alias`` is its patient's who acts, or of a clinic where they
    are staff. It takes the parameters of ``Scope.params`` (service/scope.py)."""
    return (
        f"({alias}.patient_id = :person::uuid or :everywhere"
        f" or {alias}.clinic_id = any(:clinics::uuid[]))"
    )
