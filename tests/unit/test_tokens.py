"""Signing keys and key sets: thumbprints, caching, rotation, and sources that fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.errors import Unavailable
from shared.key_sets import Jwks
from shared.tokens import SigningKey


class Source:
    """A key set that can be changed, counted and taken away; and the time."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.calls = 0
        self.away = False
        self.time = 0.0

    def __call__(self) -> Sequence[dict[str, Any]]:
        self.calls += 1
        if self.away:
            raise OSError("connection refused")
        return [key.public_jwk() for key in self.keys]

    def jwks(self) -> Jwks:
        return Jwks.of(self, monotonic=lambda: self.time)


def test_a_signing_key_survives_its_pem() -> None:
    """A key stored as PEM comes back with the same id, and its id is not the private part."""
    key = SigningKey.generate()
    assert key == SigningKey.from_pem(key.pem)
    assert key.pem not in repr(key)
    assert {"kty", "crv", "x", "y", "kid", "alg", "use"} == set(key.public_jwk())
    assert SigningKey.generate().kid != key.kid


def test_kid_is_the_rfc_7638_thumbprint() -> None:
    """The id is 256 bits in base64url without padding, the same for the same key."""
    key = SigningKey.generate()
    assert 43 == len(key.kid)
    assert key.kid == SigningKey.from_pem(key.pem).public_jwk()["kid"]


def test_only_p256_keys_sign() -> None:
    """A key on another curve is refused before it can sign anything."""
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="P-256"):
        SigningKey.from_pem(pem.decode())


def test_keys_are_fetched_once_per_ttl() -> None:
    """Within its time a set is fetched once; after it, again."""
    source = Source(SigningKey.generate())
    jwks, kid = source.jwks(), source.keys[0].kid
    for moment in (0, 1, 299):
        source.time = moment
        assert jwks.key(kid) is not None
    assert 1 == source.calls
    source.time = 301
    assert jwks.key(kid) is not None
    assert 2 == source.calls


def test_an_unknown_kid_refetches_at_most_every_five_seconds() -> None:
    """A new key is found soon after a rotation, yet made-up ids do not flood the source."""
    source = Source(SigningKey.generate())
    jwks = source.jwks()
    assert jwks.key(source.keys[0].kid) is not None
    new = SigningKey.generate()
    source.keys.append(new)
    for _ in range(100):
        assert jwks.key("made up") is None
    assert jwks.key(new.kid) is None
    source.time = 6
    assert jwks.key(new.kid) is not None
    assert 2 == source.calls


def test_a_withdrawn_key_goes_with_the_next_refresh() -> None:
    """A key that left the set is not served for longer than the set's time."""
    old, new = SigningKey.generate(), SigningKey.generate()
    source = Source(old, new)
    jwks = source.jwks()
    assert jwks.key(old.kid) is not None
    source.keys.remove(old)
    source.time = 301
    assert jwks.key(old.kid) is None
    assert jwks.key(new.kid) is not None


def test_the_last_set_serves_while_the_source_is_away() -> None:
    """A source that fails does not lock people out, and is asked again from time to time."""
    source = Source(SigningKey.generate())
    jwks, kid = source.jwks(), source.keys[0].kid
    assert jwks.key(kid) is not None
    source.away = True
    for moment in (301, 302, 303, 307):
        source.time = moment
        assert jwks.key(kid) is not None
    assert 3 == source.calls
    source.away = False
    source.time = 313
    assert jwks.key(kid) is not None
    source.time = 600
    assert jwks.key(kid) is not None
    assert 4 == source.calls


def test_without_any_key_it_is_unavailable() -> None:
    """When no set could be had yet the answer is "later", and recovery is quick."""
    source = Source(SigningKey.generate())
    source.away = True
    jwks = source.jwks()
    for _ in range(3):
        with pytest.raises(Unavailable):
            jwks.key("k")
    assert 1 == source.calls
    source.away = False
    source.time = 1.5
    assert jwks.key(source.keys[0].kid) is not None


def test_a_malformed_set_is_a_failed_fetch() -> None:
    """A source that answers nonsense is treated as one that does not answer."""
    answers: list[Any] = [[{}], ["x"], None]
    for answer in answers:
        jwks = Jwks.of(lambda given=answer: given)  # type: ignore[misc]
        with pytest.raises(Unavailable):
            jwks.key("k")


def test_keys_that_do_not_fit_are_passed_over() -> None:
    """Keys of another type, curve or use, and retired ones, are not in the set, good ones are."""
    good = SigningKey.generate().public_jwk()
    bad = [
        {"kty": "oct", "kid": "a", "k": "AAAA"},
        {**good, "kid": "b", "use": "enc"},
        {**good, "kid": "c", "alg": "HS256"},
        {**good, "kid": "d", "crv": "P-384"},
        {**good, "kid": "e", "x": "AAAA"},
        {**good, "kid": "f", "retired": True},
    ]
    jwks = Jwks.of(lambda: [*bad, good])
    assert [None] * 6 == [jwks.key(str(jwk["kid"])) for jwk in bad]
    assert jwks.key(good["kid"]) is not None


def test_threads_share_one_fetch() -> None:
    """Threads that need the set at once cause one fetch and all get the key."""
    source = Source(SigningKey.generate())
    jwks, kid = source.jwks(), source.keys[0].kid
    with ThreadPoolExecutor(8) as pool:
        assert all(key is not None for key in pool.map(jwks.key, [kid] * 64))
    assert 1 == source.calls


def test_sets_come_from_files_and_over_http(tmp_path: Path) -> None:
    """A set is read from a file or from a web address; other schemes are refused."""
    key = SigningKey.generate()
    body = json.dumps({"keys": [key.public_jwk()]}).encode()
    path = tmp_path / "keys.json"
    path.write_bytes(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for url in (path.as_uri(), f"http://127.0.0.1:{server.server_address[1]}/"):
            assert Jwks(url).key(key.kid) is not None
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(ValueError, match="begins with"):
        Jwks("ftp://example.com/keys.json")
