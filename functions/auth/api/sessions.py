"""Log-in, tokens and the own account."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from functions.auth.api.base import Body, api
from functions.auth.api.users import User, user
from functions.auth.domain import ACCESS_LIFE
from functions.auth.service import keys, sessions
from shared.access import anyone, public
from shared.errors import Conflict, Forbidden, NotFound, TooManyRequests, Unauthenticated
from shared.http import Reply, RequestInfo
from shared.identity import Caller
from shared.types import (
    Email,
)


class Login(Body):
    """Who wants in."""

    email: Email
    password: str = Field(max_length=1024)


class Refresh(Body):
    """The newest refresh token of a session."""

    refresh_token: str = Field(max_length=1024)


class Tokens(BaseModel):
    """RFC 6749, 5.1."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = int(ACCESS_LIFE.total_seconds())


class ChangeEmail(Body):
    """A new address, confirmed by the password."""

    email: Email
    password: str = Field(max_length=1024)


class ChangePassword(Body):
    """A new password, confirmed by the current one."""

    current_password: str = Field(max_length=1024)
    new_password: str = Field(max_length=1024)


@api.post("/login", access=public(), returns=Tokens, problems=[Unauthenticated, TooManyRequests])
def login(body: Login, request: RequestInfo) -> Tokens:
    """Begin a session."""
    pair = sessions.login(body.email, body.password, request.remote_address)
    return Tokens(access_token=pair.access, refresh_token=pair.refresh)


@api.post("/refresh", access=public(), returns=Tokens, problems=[Unauthenticated])
def refresh(body: Refresh) -> Tokens:
    """Rotate the refresh token; using an old one ends the session."""
    pair = sessions.refresh(body.refresh_token)
    return Tokens(access_token=pair.access, refresh_token=pair.refresh)


@api.post("/logout", access=anyone())
def logout(caller: Caller) -> None:
    """End this session everywhere."""
    sessions.logout(caller)


@api.get("/jwks.json", access=public(), returns=dict[str, Any])
def jwks() -> Reply[dict[str, Any]]:
    """The public keys of access tokens (RFC 7517)."""
    return Reply(
        {"keys": keys.verification_keys()}, headers={"Cache-Control": "public, max-age=300"}
    )


@api.get("/me", access=anyone(), returns=User, problems=[NotFound])
def me(caller: Caller) -> Reply[User]:
    """The caller's own account."""
    return user(caller.id)


@api.patch("/me/email", access=anyone(), returns=User, problems=[Conflict, Forbidden])
def change_email(body: ChangeEmail, caller: Caller) -> Reply[User]:
    """Change the own e-mail address; every service follows."""
    return User.of(sessions.change_email(caller, body.email, body.password))


@api.post("/me/password", access=anyone(), problems=[Forbidden])
def change_password(body: ChangePassword, caller: Caller) -> None:
    """Change the own password; all other sessions end."""
    sessions.change_password(caller, body.current_password, body.new_password)
