"""What notification knows about people."""

from __future__ import annotations

from functions.notification.store import live
from shared.privacy import Personal, Privacy

__all__ = ["privacy"]

privacy = Privacy(
    tables=(
        Personal(
            "notifications",
            plain=("id", "kind", "about", "created_at", "read_at"),
            sealed={"facts": "facts"},
        ),
        # A link opens something without logging in: it is erased, and never shown.
        Personal(
            "deliveries",
            plain=("id", "kind", "about", "recipient", "state", "created_at", "settled_at"),
            sealed={"address": "address", "facts": "facts"},
        ),
        Personal("preferences", plain=("muted",)),
        Personal("inboxes", plain=("language",)),
        Personal("settled", plain=("about",)),
        Personal("receptionists", plain=("places",)),
    ),
    impersonal=frozenset({"clinics"}),
    outside=live.forget,
)
