"""What appointment knows about people."""

from __future__ import annotations

from shared.privacy import Privacy

__all__ = ["privacy"]

privacy = Privacy()
