"""Push tokens: only the broker may push, and only to the service its token names."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.config import Config, MissingSettings, config
from shared.errors import Unauthenticated
from shared.identity import push_token, verify_push
from shared.tokens import SigningKey, sign

ISSUER = "http://127.0.0.1:8080"
Change = Callable[[dict[str, Any]], Any]
PUSH = SigningKey.generate()
ACCOUNT = "push@project.iam.gserviceaccount.com"


@pytest.fixture
def push_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Change]:
    """Settings of who signs pushes; the returned function publishes their keys."""
    path = tmp_path / "push.json"

    def publish(settings: dict[str, Any]) -> None:
        path.write_text(json.dumps({"keys": [settings["jwk"]]}))
        environment = {
            "DENTALHELP_ENV": "embedded",
            "BUS_URL": "postgresql://bus@/bus",
            "KMS_KEY": "local:" + base64.b64encode(bytes(32)).decode(),
            "BLIND_INDEX_KEY": base64.b64encode(bytes(32)).decode(),
            "TOKEN_ISSUER": ISSUER,
            "PUBLIC_URL": ISSUER,
            "PUSH_ISSUER": settings["issuer"],
            "PUSH_JWKS_URL": path.as_uri(),
            "PUSH_EMAIL": ACCOUNT,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        config.cache_clear()

    yield publish
    config.cache_clear()


def test_the_embedded_broker_is_recognised(push_settings: Change) -> None:
    """The broker's token opens the service it is for, and no other kind of token does."""
    push_settings({"jwk": PUSH.public_jwk(), "issuer": "dentalhelp-bus"})
    token = push_token(PUSH, "patient", issuer="dentalhelp-bus", email=ACCOUNT)
    verify_push(f"Bearer {token}", "patient")
    forged = [
        push_token(PUSH, "auth", issuer="dentalhelp-bus", email=ACCOUNT),
        push_token(PUSH, "patient", issuer="other", email=ACCOUNT),
        push_token(PUSH, "patient", issuer="dentalhelp-bus", email="eve@example.com"),
        push_token(PUSH, "patient", issuer="dentalhelp-bus", email=ACCOUNT, life=-60),
        push_token(SigningKey.generate(), "patient", issuer="dentalhelp-bus", email=ACCOUNT),
        sign(jwt.decode(token, options={"verify_signature": False}), PUSH),
        sign(
            jwt.decode(token, options={"verify_signature": False}) | {"email_verified": "true"},
            PUSH,
            typ="JWT",
        ),
    ]
    for header in (None, "", token, *(f"Bearer {bad}" for bad in forged)):
        with pytest.raises(Unauthenticated):
            verify_push(header, "patient")


def test_googles_pushes_are_signed_with_rs256(push_settings: Change) -> None:
    """With Google as the issuer RS256 is required, and an ES256 token is refused."""
    issuer = "https://accounts.google.com"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    push_settings({"jwk": {**jwk, "kid": "g", "alg": "RS256", "use": "sig"}, "issuer": issuer})
    now = int(time.time())
    body = {
        "iss": issuer,
        "aud": "patient-events",
        "azp": "113",
        "sub": "113",
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    token = jwt.encode(body, private, "RS256", headers={"kid": "g"})
    verify_push(f"Bearer {token}", "patient")
    own = SigningKey("g", PUSH.pem)
    with pytest.raises(Unauthenticated):
        verify_push(f"Bearer {sign(body, own, typ='JWT')}", "patient")
    with pytest.raises(Unauthenticated):
        verify_push(f"Bearer {token}", "auth")


@pytest.fixture
def behind_cloud_run(push_settings: Change, monkeypatch: pytest.MonkeyPatch) -> str:
    """The audience of pushes where Cloud Run checks signatures and takes them away."""
    push_settings({"jwk": {}, "issuer": "https://accounts.google.com"})
    monkeypatch.setenv("DENTALHELP_ENV", "cloud")
    monkeypatch.setenv("PASSWORD_COST", "owasp")
    monkeypatch.setenv("PUSH_JWKS_URL", "platform:")
    monkeypatch.setenv("PUSH_AUDIENCE", "https://patient-events-1.europe-west1.run.app")
    config.cache_clear()
    return "https://patient-events-1.europe-west1.run.app"


def _stripped(**changes: Any) -> str:
    """A push's header as Cloud Run hands it on."""
    now = int(time.time())
    claims = {
        "iss": "https://accounts.google.com",
        "aud": "https://patient-events-1.europe-west1.run.app",
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    } | changes
    parts = ({"alg": "RS256", "kid": "g", "typ": "JWT"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts)
    return f"Bearer {b'.'.join(encoded).decode()}.SIGNATURE_REMOVED_BY_GOOGLE"


def test_behind_cloud_run_the_claims_are_checked(behind_cloud_run: str) -> None:
    """The platform has checked and removed the signature; what the claims say must still hold."""
    verify_push(_stripped(), "patient")
    others: list[dict[str, Any]] = [
        {"iss": "https://example.com"},
        {"aud": "patient-events"},
        {"aud": [behind_cloud_run, "x"]},
        {"email": "eve@example.com"},
        {"email_verified": False},
        {"exp": int(time.time()) - 60},
    ]
    for changes in others:
        with pytest.raises(Unauthenticated):
            verify_push(_stripped(**changes), "patient")


def test_nobody_else_may_leave_the_signature_to_a_platform(push_settings: Change) -> None:
    """Where nothing stands in front of the process, an unsigned token is refused with the rest."""
    push_settings({"jwk": PUSH.public_jwk(), "issuer": "https://accounts.google.com"})
    with pytest.raises(Unauthenticated):
        verify_push(_stripped(aud="patient-events"), "patient")
    with pytest.raises(MissingSettings, match="platform: only where DENTALHELP_ENV is cloud"):
        Config.read({"DENTALHELP_ENV": "embedded", "PUSH_JWKS_URL": "platform:"})
