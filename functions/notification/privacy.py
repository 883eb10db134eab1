"""What notification knows about people."""

from __future__ import annotations

from functions.notification.store import live
from shared.privacy import Personal, Privacy

__all__ = ["privacy"]

privacy = Privacy(
    tables=(
        Personal("notifications", plain=("id", "kind", "created_at", "read_at")),
        # The link of an invitation is a key to the account: it is erased, and never shown.
        Personal(
            "deliveries",
            plain=("id", "kind", "recipient", "state", "created_at", "settled_at"),
            sealed={"address": "address"},
        ),
        Personal("preferences", plain=("muted",)),
        Personal("inboxes", plain=("language",)),
    ),
    outside=live.forget,
)
