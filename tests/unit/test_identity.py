"""Access tokens and callers: who gets in and, above all, who does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from shared.clocks import set_clock
from shared.errors import Unauthenticated, Unavailable
from shared.identity import ANONYMOUS, Caller, Verifier, bearer
from shared.key_sets import Jwks
from shared.tokens import SigningKey, sign

ISSUER = "http://127.0.0.1:8080"
PERSON = UUID("01990000-0000-7000-8000-000000000001")
SESSION = UUID("01990000-0000-7000-8000-000000000002")
CLINIC = UUID("01990000-0000-7000-8000-000000000003")
KEY = SigningKey.generate()


def claims(**changes: Any) -> dict[str, Any]:
    """A good access token's claims; a change to None leaves the claim out."""
    now = time.time()
    good = {
        "iss": ISSUER,
        "aud": "dentalhelp",
        "sub": str(PERSON),
        "sid": str(SESSION),
        "iat": now,
        "exp": int(now) + 600,
        "jti": "1",
        "clinics": {"*": ["ADMIN"], str(CLINIC): ["DENTIST"]},
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def verifier(*keys: SigningKey, revoked: Callable[..., bool] = lambda *_: False) -> Verifier:
    """A verifier that trusts ``keys``."""
    published = [key.public_jwk() for key in keys or (KEY,)]
    return Verifier(ISSUER, "dentalhelp", Jwks.of(lambda: published), revoked)


def part(value: Any) -> str:
    """``value`` as one part of a compact token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refused(token: str, by: Verifier | None = None) -> str:
    """The detail with which ``token`` is refused."""
    with pytest.raises(Unauthenticated) as caught:
        (by or verifier()).verify(token)
    return caught.value.detail


def test_a_good_token_names_the_caller() -> None:
    """A valid token gives person, session and roles per clinic, first and remembered."""
    mine, token = verifier(), sign(claims(), KEY)
    for _ in range(2):
        caller = mine.verify(token)
        assert ("person", PERSON, SESSION) == (caller.kind, caller.id, caller.session)
        assert frozenset({"ADMIN", "DENTIST"}) == caller.roles


def test_roles_hold_where_they_were_given() -> None:
    """A role at one clinic is no role at another; a group-wide role holds everywhere."""
    caller = verifier().verify(sign(claims(), KEY))
    other = UUID(int=9)
    assert caller.has("DENTIST")
    assert caller.has("DENTIST", CLINIC)
    assert not caller.has("DENTIST", other)
    assert caller.has("ADMIN", other)
    assert not caller.has("RECEPTIONIST", CLINIC)


def test_ownership() -> None:
    """Only the person is the owner; a service or nobody never is."""
    assert Caller("person", PERSON).is_owner(PERSON)
    assert not Caller("person", PERSON).is_owner(SESSION)
    assert not Caller("service", PERSON, service="auth").is_owner(PERSON)
    assert not ANONYMOUS.is_owner(PERSON)
    assert not ANONYMOUS.has("PATIENT")


def test_the_authorization_header() -> None:
    """A bearer token is found, however it is spelled; anything else is refused."""
    assert "a.b.c" == bearer("bearer  a.b.c ")
    for header in ("", "Bearer", "Bearer ", "Basic YTpi", sign(claims(), KEY)):
        with pytest.raises(Unauthenticated):
            bearer(header)


class _In(int):
    """So many seconds from when the test runs, long after it was collected."""


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "http://evil.example"},
        {"aud": "other"},
        {"aud": ["dentalhelp"]},
        {"iat": _In(3600), "exp": _In(3700)},
        {"nbf": _In(3600)},
        {"exp": _In(7200)},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**400},
        {"iat": "now"},
        {"sub": "ana"},
        {"sub": 7},
        {"sid": "x"},
        {"clinics": ["ADMIN"]},
        {"clinics": {"*": "ADMIN"}},
        {"clinics": {"*": [7]}},
        *({name: None} for name in ("iss", "aud", "exp", "iat", "sub", "sid", "jti", "clinics")),
    ],
    ids="-".join,
)
def test_wrong_claims_are_refused(changes: dict[str, Any]) -> None:
    """A well-signed token for somebody else, some other time or of another shape is refused."""
    now = time.time()
    made = {name: now + v if isinstance(v, _In) else v for name, v in changes.items()}
    assert refused(sign(claims(**made), KEY))


def test_an_expired_token_says_so() -> None:
    """An expired token is refused with a reason that tells the client to refresh."""
    past = time.time() - 700
    assert "The token has expired." == refused(sign(claims(iat=past, exp=past + 600), KEY))


@pytest.mark.parametrize("typ", ["JWT", "at", "", None])
def test_other_kinds_of_token_are_refused(typ: Any) -> None:
    """A token made for another use (a push, an invitation) is no access token."""
    token = jwt.encode(claims(), KEY.pem, "ES256", headers={"typ": typ, "kid": KEY.kid})
    assert refused(token)


@pytest.mark.parametrize("kid", [None, "unknown"])
def test_a_key_must_be_named_and_known(kid: str | None) -> None:
    """Without a kid, or with one nobody published, a token is refused."""
    headers = {"typ": "at+jwt"} | ({"kid": kid} if kid else {})
    assert refused(jwt.encode(claims(), KEY.pem, "ES256", headers=headers))


def test_an_unsigned_token_is_refused() -> None:
    """alg "none" in any spelling gets nobody in."""
    for alg in ("none", "None", "NONE", "nOnE"):
        header = {"alg": alg, "typ": "at+jwt", "kid": KEY.kid}
        for signature in ("", "AAAA"):
            assert refused(f"{part(header)}.{part(claims())}.{signature}")


def test_the_public_key_is_no_shared_secret() -> None:
    """A token signed with HMAC under the published key is refused (algorithm confusion)."""
    public = load_pem_private_key(KEY.pem.encode(), None).public_key()
    header = {"alg": "HS256", "typ": "at+jwt", "kid": KEY.kid}
    body = f"{part(header)}.{part(claims())}"
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(KEY.public_jwk()).encode(),
    ):
        mac = hmac.new(secret, body.encode(), hashlib.sha256).digest()
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        assert refused(f"{body}.{signature}")


def test_another_key_under_a_known_name_is_refused() -> None:
    """A forger's key that claims a published kid does not verify."""
    forger = SigningKey(KEY.kid, SigningKey.generate().pem)
    assert refused(sign(claims(), forger))


def test_a_key_inside_the_token_is_ignored() -> None:
    """A token that brings its own key (jwk, jku) is verified with ours, and fails."""
    own = SigningKey.generate()
    headers = {"typ": "at+jwt", "kid": KEY.kid, "jwk": own.public_jwk(), "jku": "http://evil"}
    assert refused(jwt.encode(claims(), own.pem, "ES256", headers=headers))


@given(st.data())
def test_a_tampered_token_is_refused(data: st.DataObject) -> None:
    """Whatever byte of a token's meaning is changed, it is refused."""
    head, body, signature = sign(claims(iat=int(time.time())), KEY).split(".")
    parts = [base64.urlsafe_b64decode(p + "=" * (-len(p) % 4)) for p in (head, body, signature)]
    which = data.draw(st.integers(0, 2))
    place = data.draw(st.integers(0, len(parts[which]) - 1))
    flipped = parts[which][place] ^ data.draw(st.integers(1, 255))
    parts[which] = parts[which][:place] + bytes([flipped]) + parts[which][place + 1 :]
    assert refused(".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts))


@given(st.one_of(st.text(), st.text(alphabet="abcdefgeyJ._-=", max_size=300)))
def test_nonsense_is_refused_without_a_crash(text: str) -> None:
    """Any text that is not a token is refused as one, never answered with an error of ours."""
    refused(text)


def test_deep_and_huge_tokens_are_refused() -> None:
    """Tokens built to exhaust the parser are refused."""
    nested = base64.urlsafe_b64encode(b"[" * 5000).decode()
    assert refused(f"{nested}.{nested}.AAAA")
    assert refused("x" * 1_000_000)


def test_a_remembered_token_still_expires() -> None:
    """That a token was good before does not help once its time is over."""

    class Later:
        at = datetime.now(UTC)

        def now(self) -> datetime:
            return self.at

    mine, token, later = verifier(), sign(claims(), KEY), Later()
    old = set_clock(later)
    try:
        assert PERSON == mine.verify(token).id
        later.at += timedelta(minutes=11)
        assert "The token has expired." == refused(token, mine)
    finally:
        set_clock(old)


def test_revocation_is_asked_every_time() -> None:
    """A remembered token is refused from the moment its session is revoked."""
    gone: set[UUID] = set()
    mine = verifier(revoked=lambda subject, session, issued: session in gone)
    token = sign(claims(), KEY)
    assert PERSON == mine.verify(token).id
    gone.add(SESSION)
    assert "This session has ended: log in again." == refused(token, mine)


def test_unknowable_revocations_let_nobody_in() -> None:
    """When revocations cannot be read the answer is 503, not a welcome."""

    def away(*_: Any) -> bool:
        raise Unavailable

    with pytest.raises(Unavailable):
        verifier(revoked=away).verify(sign(claims(), KEY))


def test_keys_rotate_without_a_gap() -> None:
    """Tokens of the old and the new key both work, until the old key is withdrawn."""
    new, moment = SigningKey.generate(), [0.0]
    published = [KEY]
    jwks = Jwks.of(lambda: [k.public_jwk() for k in published], monotonic=lambda: moment[0])
    mine = Verifier(ISSUER, "dentalhelp", jwks, lambda *_: False)
    before = sign(claims(), KEY)
    assert mine.verify(before).id == PERSON
    published.append(new)
    moment[0] = 6
    assert mine.verify(sign(claims(), new)).id == PERSON
    assert mine.verify(before).id == PERSON
    published.remove(KEY)
    moment[0] = 400
    assert refused(before, mine)


def test_only_good_tokens_are_remembered_and_not_without_end() -> None:
    """The memory of verified tokens is bounded: old ones make room and are checked again."""
    mine = verifier()
    mine._tokens._size = 3
    tokens = [sign(claims(jti=str(n)), KEY) for n in range(6)]
    for token in tokens:
        mine.verify(token)
        with pytest.raises(Unauthenticated):
            mine.verify(token + "A")
    assert 3 == len(mine._tokens._good)
    assert PERSON == mine.verify(tokens[0]).id
