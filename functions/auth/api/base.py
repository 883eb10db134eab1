"""What all of auth's routes share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from shared.access import GROUP, roles
from shared.http import Api

__all__ = ["ADMINS", "GROUP_ADMINS", "Body", "api"]

api = Api("auth", prefix="/api/auth")

ADMINS = roles("ADMIN")
GROUP_ADMINS = roles("ADMIN", clinic=GROUP)


class Body(BaseModel):
    """What may be sent: nothing but the named fields."""

    model_config = ConfigDict(extra="forbid")
