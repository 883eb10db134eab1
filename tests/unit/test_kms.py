"""The KMS: a key in the environment, and Google Cloud's over REST."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials

from shared.errors import Unavailable
from shared.kms import GcpKms, LocalKms, Unreadable, crc32c, kms

KEY_NAME = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize("url", ["", "aws:x", "local:AAAA", "local:not base64"])
def test_a_malformed_kms_key_is_refused(url: str) -> None:
    """A KMS key that cannot be right fails at once."""
    with pytest.raises(ValueError, match=r"KMS|32 bytes|base64|Non-base64|data"):
        kms(url)


def test_crc32c_check_value() -> None:
    """The checksum is Castagnoli's: the published check value of "123456789"."""
    assert 0xE3069283 == crc32c(b"123456789")


class FakeCloudKms(ThreadingHTTPServer):
    """Google's documented encrypt and decrypt over an own local key; remembers the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answer: tuple[int, dict[str, Any]] | None = None
        self.key = LocalKms(b"\7" * 32)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reply(self, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.seen.append((path, body))
        if self.answer:
            return self.answer
        sent = {k: base64.b64decode(v) for k, v in body.items() if not k.endswith("Crc32c")}
        for name, value in sent.items():
            if body[name + "Crc32c"] != str(crc32c(value)):
                return 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}
        aad = sent["additionalAuthenticatedData"]
        if path.endswith(":encrypt"):
            wrapped = self.key.wrap(sent["plaintext"], aad)
            return 200, {
                "name": KEY_NAME + "/cryptoKeyVersions/1",
                "ciphertext": base64.b64encode(wrapped).decode(),
                "ciphertextCrc32c": str(crc32c(wrapped)),
                "verifiedPlaintextCrc32c": True,
                "verifiedAdditionalAuthenticatedDataCrc32c": True,
                "protectionLevel": "SOFTWARE",
            }
        try:
            secret = self.key.unwrap(sent["ciphertext"], aad)
        except Unreadable:
            return 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}
        text = base64.b64encode(secret).decode()
        return 200, {"plaintext": text, "plaintextCrc32c": str(crc32c(secret)), "usedPrimary": True}


class FakeHandler(BaseHTTPRequestHandler):
    """Answers POST from the server's ``reply``."""

    def do_POST(self) -> None:
        assert isinstance(self.server, FakeCloudKms)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = self.server.reply(self.path, body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def cloud() -> Iterator[FakeCloudKms]:
    """A Cloud KMS on this machine."""
    server = FakeCloudKms()
    yield server
    server.shutdown()
    server.server_close()


def anonymous() -> Any:
    """Credentials that add no token."""
    return AnonymousCredentials()  # type: ignore[no-untyped-call]


def test_cloud_kms_speaks_the_documented_rest(cloud: FakeCloudKms) -> None:
    """Encrypt and decrypt go to the key's URL with base64 values and their checksums."""
    key = GcpKms(KEY_NAME, base=cloud.base, credentials=anonymous())
    wrapped = key.wrap(b"secret", b"aad")
    assert b"secret" == key.unwrap(wrapped, b"aad")
    assert [
        (
            f"/v1/{KEY_NAME}:encrypt",
            {
                "plaintext": base64.b64encode(b"secret").decode(),
                "plaintextCrc32c": str(crc32c(b"secret")),
                "additionalAuthenticatedData": base64.b64encode(b"aad").decode(),
                "additionalAuthenticatedDataCrc32c": str(crc32c(b"aad")),
            },
        ),
        (
            f"/v1/{KEY_NAME}:decrypt",
            {
                "ciphertext": base64.b64encode(wrapped).decode(),
                "ciphertextCrc32c": str(crc32c(wrapped)),
                "additionalAuthenticatedData": base64.b64encode(b"aad").decode(),
                "additionalAuthenticatedDataCrc32c": str(crc32c(b"aad")),
            },
        ),
    ] == cloud.seen
    with pytest.raises(Unreadable):
        key.unwrap(wrapped, b"other")


def test_cloud_kms_away_is_unavailable(cloud: FakeCloudKms) -> None:
    """A KMS that refuses, corrupts or does not answer makes the service unavailable, not wrong."""
    key = GcpKms(KEY_NAME, base=cloud.base, credentials=anonymous())
    wrapped = key.wrap(b"secret", b"aad")
    encrypted = {"ciphertext": "AAAA", "ciphertextCrc32c": "1", "verifiedPlaintextCrc32c": True}
    for answer in ((503, {}), (403, {}), (200, encrypted)):
        cloud.answer = answer
        with pytest.raises(Unavailable):
            key.wrap(b"secret", b"aad")
    cloud.answer = (200, {"plaintext": "AAAA", "plaintextCrc32c": "1"})
    with pytest.raises(Unavailable):
        key.unwrap(wrapped, b"aad")
    gone = GcpKms(KEY_NAME, base="http://127.0.0.1:9", credentials=anonymous())
    with pytest.raises(Unavailable):
        gone.wrap(b"secret", b"aad")
