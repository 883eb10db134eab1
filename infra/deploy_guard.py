"""What a plan may not do unnoticed: delete what holds people's data or the keys to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["KEPT", "changes", "deletions", "summary"]

KEPT = frozenset(
    {
        "google_firestore_database",
        "google_kms_crypto_key",
        "google_kms_key_ring",
        "google_logging_project_bucket_config",
        "google_secret_manager_secret",
        "google_sql_database",
        "google_sql_database_instance",
        "google_storage_bucket",
    }
)
"""Types of resources that hold something that is nowhere else."""
# A reader is a copy for reading: others are left.
_COPIES = ("google_sql_database_instance.reader",)


def changes(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What ``plan`` (terraform show -json) changes."""
    idle = (["no-op"], ["read"])
    found = plan.get("resource_changes", [])
    return [change for change in found if change["change"]["actions"] not in idle]


def deletions(plan: Mapping[str, Any]) -> list[str]:
    """The addresses that ``plan`` deletes or makes anew, and should not."""
    return sorted(
        change["address"]
        for change in changes(plan)
        if change["type"] in KEPT
        and "delete" in change["change"]["actions"]
        and not any(copy in change["address"] for copy in _COPIES)
    )


def summary(plan: Mapping[str, Any]) -> str:
    """One line for each kind of resource that changes: what an operator reads first."""
    kinds: dict[str, Counter[str]] = {}
    for change in changes(plan):
        actions = "+".join(change["change"]["actions"])
        kinds.setdefault(change["type"], Counter())[actions] += 1
    if not kinds:
        return "Nothing changes."
    return "\n".join(
        f"  {kind}: {', '.join(f'{number} {action}' for action, number in sorted(counts.items()))}"
        for kind, counts in sorted(kinds.items())
    )
