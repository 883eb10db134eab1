"""Which service calls: its token opens the doors of one other service, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.clocks import SystemClock, set_clock
from shared.config import config
from shared.errors import Unauthenticated, Unavailable
from shared.identity import ANONYMOUS, Caller, Verifier
from shared.key_sets import Jwks
from shared.service_identity import authenticate, service_token
from shared.testing import frozen
from shared.tokens import SigningKey, sign

PERSON = Caller("person", UUID(int=1))
GOOGLE = "https://accounts.google.com"


def key() -> SigningKey:
    """The key of this session's services."""
    return SigningKey.from_pem(Path(str(config().service_signing_key)).read_text("utf-8"))


def claims(**changes: Any) -> dict[str, Any]:
    """A good token's claims, of notification for auth; None leaves a claim out."""
    now = int(time.time())
    good = {
        "iss": config().service_issuer,
        "aud": "dentalhelp-auth",
        "sub": "1",
        "email": "notification@dentalhelp.local",
        "email_verified": True,
        "iat": now,
        "exp": now + 600,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def nobody(_: str) -> Caller:
    """No token is a person's."""
    raise Unauthenticated


def caller(token: str, target: str = "auth") -> Caller:
    """Who calls ``target`` with ``token``."""
    return authenticate(f"Bearer {token}", target, nobody)


def test_a_service_is_known_by_its_token() -> None:
    """The token that auth gets for patient names auth, at patient, first and remembered."""
    for _ in range(2):
        found = caller(service_token("auth", "patient"), "patient")
        assert Caller("service", service="auth") == found


def test_a_name_of_two_words_survives_the_account() -> None:
    """dental_records is known by its account, which cannot have an underscore."""
    token = service_token("dental_records", "patient")
    account = jwt.decode(token, options={"verify_signature": False})["email"]
    assert account.startswith("dental-records@")
    assert Caller("service", service="dental_records") == caller(token, "patient")


def test_a_clock_that_was_ahead_leaves_no_token_behind() -> None:
    """A token from a clock that is set back is one of the future, and is not used again."""
    with frozen(datetime.now(UTC) + timedelta(minutes=50)):
        service_token("treatment", "patient")
    found = caller(service_token("treatment", "patient"), "patient")
    assert Caller("service", service="treatment") == found


def test_a_token_opens_one_service() -> None:
    """A token for patient is of no use at auth, so patient cannot pass it on."""
    with pytest.raises(Unauthenticated):
        caller(service_token("notification", "patient"))


def test_people_and_services_are_told_apart() -> None:
    """No header is nobody, and a person's token goes to whoever verifies people."""
    assert ANONYMOUS == authenticate(None, "auth", nobody)
    for token in (sign({"sub": "1"}, key()), "not.a.token", "W10.e30.x", "", "Ä"):
        with pytest.raises(Unauthenticated):
            caller(token)
    token = sign({"sub": "1"}, key())
    assert PERSON == authenticate(f"Bearer {token}", "auth", lambda _: PERSON)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://issuer.example"},
        {"iss": None},
        {"aud": "dentalhelp"},
        {"aud": "dentalhelp-patient"},
        {"aud": ["dentalhelp-auth", "dentalhelp-patient"]},
        {"aud": None},
        {"email": "notification@elsewhere.example"},
        {"email": "a.b@dentalhelp.local"},
        {"email": "@dentalhelp.local"},
        {"email": "notification@dentalhelp.local@dentalhelp.local"},
        {"email": "{service}@dentalhelp.local"},
        {"email": 1},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"exp": 1},
        {"exp": None},
        {"iat": 4_000_000_000},
    ],
    ids=str,
)
def test_everything_a_token_says_is_checked(changes: dict[str, Any]) -> None:
    """Another issuer, audience, account or time than the right one opens nothing."""
    assert Caller("service", service="notification") == caller(sign(claims(), key(), typ="JWT"))
    with pytest.raises(Unauthenticated):
        caller(sign(claims(**changes), key(), typ="JWT"))


def test_only_the_issuers_key_signs() -> None:
    """A token that somebody else signed, or nobody, opens nothing."""
    forged = sign(claims(), SigningKey.generate(), typ="JWT")
    unsigned = jwt.encode(claims(), "", algorithm="none", headers={"kid": key().kid})
    for token in (forged, unsigned, forged[:-4]):
        with pytest.raises(Unauthenticated):
            caller(token)


def test_a_service_is_no_person() -> None:
    """Even with all claims of a person's token, a service's token is not one, nor the reverse."""
    both = claims(aud="dentalhelp", sid=str(UUID(int=2)), sub=str(UUID(int=1)), jti="1")
    keys = Jwks.of(lambda: [key().public_jwk()])
    people = Verifier(config().service_issuer, "dentalhelp", keys, lambda *_: False)
    for typ in ("JWT", "at+jwt"):
        with pytest.raises(Unauthenticated):
            authenticate(f"Bearer {sign(both | {'clinics': 1}, key(), typ=typ)}", "auth", nobody)
    with pytest.raises(Unauthenticated):
        people.verify(sign(both | {"clinics": {}}, key(), typ="JWT"))


def test_a_token_is_kept_until_shortly_before_it_expires() -> None:
    """The same token serves for most of an hour, then there is a new one."""

    class Later(SystemClock):
        def __init__(self, minutes: int) -> None:
            self._later = timedelta(minutes=minutes)

        def now(self) -> datetime:
            return datetime.now(UTC) + self._later

    first = service_token("auth", "keeping")
    old = set_clock(Later(57))
    try:
        assert first == service_token("auth", "keeping")
        set_clock(Later(59))
        assert first != service_token("auth", "keeping")
    finally:
        set_clock(old)


@pytest.fixture
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """host:port of a server that answers as Cloud Run's metadata server does, for ``patient``."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": "google-1"}
    (tmp_path / "certs.json").write_text(json.dumps({"keys": [public]}), encoding="utf-8")

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Google" == self.headers["Metadata-Flavor"]
            asked = urlsplit(self.path)
            body, media = b'{"email": "default", "aliases": [], "scopes": []}', "application/json"
            if asked.path.endswith("/identity"):
                query = parse_qs(asked.query)
                assert ["full"] == query["format"]
                email = "patient@project.iam.gserviceaccount.com"
                said = claims(iss=GOOGLE, aud=query["audience"][0], email=email)
                token = jwt.encode(said, private, algorithm="RS256", headers={"kid": "google-1"})
                body, media = token.encode(), "text/html"
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to read here."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.delenv("SERVICE_SIGNING_KEY")
    monkeypatch.setenv("SERVICE_ISSUER", GOOGLE)
    monkeypatch.setenv("SERVICE_JWKS_URL", (tmp_path / "certs.json").as_uri())
    monkeypatch.setenv("SERVICE_EMAIL", "{service}@project.iam.gserviceaccount.com")
    config.cache_clear()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    config.cache_clear()


def _issued(host: str) -> subprocess.CompletedProcess[str]:
    """What a process at ``host`` gets; Google's library reads the variable when imported."""
    return subprocess.run(
        [
            *(sys.executable, "-c"),
            "from shared.service_identity import service_token;"
            "print(service_token('patient', 'auth'))",
        ],
        env=os.environ
        | {
            "GCE_METADATA_HOST": host,
            "GCE_METADATA_IP": host,
            "GCE_METADATA_TIMEOUT": "60",
            "GCE_METADATA_DETECT_RETRIES": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_in_the_cloud_google_says_who_calls(metadata: str) -> None:
    """The metadata server's token for our audience names the service by its account."""
    found = _issued(metadata)
    assert "" == found.stderr
    assert Caller("service", service="patient") == caller(found.stdout.strip())


def test_without_google_there_is_no_token(metadata: str) -> None:
    """When the metadata server is away the call is unavailable, not anonymous."""
    found = _issued("127.0.0.1:1")
    assert Unavailable.__name__ in found.stderr
    assert "" == found.stdout
