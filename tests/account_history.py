"""What tests of an account's history share: a change, and looks at it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from tests.platform import PASSWORD, Platform

__all__ = ["model", "move", "shown", "status", "whats"]


def shown(platform: Platform, person_id: Any, token: str, **query: Any) -> Any:
    """What the route answers."""
    path = f"/api/auth/users/{person_id}/history?{urlencode(query)}"
    answer = platform.call("GET", path, token=token)
    assert 200 == answer.status_code, answer.text
    return answer.json


def whats(platform: Platform, person_id: Any, token: str) -> list[str]:
    """The kinds of change, in their order."""
    return [item["what"] for item in shown(platform, person_id, token)["items"]]


def move(platform: Platform, token: str, email: str) -> None:
    """The person changes their address."""
    body = {"email": email, "password": PASSWORD}
    answer = platform.call("PATCH", "/api/auth/me/email", body, token=token)
    assert 200 == answer.status_code, answer.text


def model(platform: Platform, person_id: Any) -> list[dict[str, Any]]:
    """The rows of the read model, of both sides."""
    sql = "select * from account_history_{} where person_id = :id order by version"
    db = platform.databases["auth"]
    return [row for side in "ab" for row in db.all(sql.format(side), id=UUID(str(person_id)))]


def status(platform: Platform, method: str, path: str, body: Any, token: str) -> int:
    """How a request ends."""
    return platform.call(method, f"/api/auth/{path}", body, token=token).status_code
