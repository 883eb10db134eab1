"""Signed URLs of a bucket in the cloud, where no key is kept in any file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import obstore
import pytest
from obstore.store import GCSStore

_ACCOUNT = "svc-xray@p.iam.gserviceaccount.com"
_TOKEN = '{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}'


@contextmanager
def _proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers for the metadata server and writes down who else is asked."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = (_ACCOUNT if "/default/email" in self.path else _TOKEN).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            """Nothing: the test looks at ``asked``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_function_signs_with_its_own_account_and_no_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where there is no key file the client asks IAM to sign in the name of the account that the
    metadata server tells: terraform/modules/service lets an account do that for itself."""
    monkeypatch.setenv("HOME", str(tmp_path))  # where gcloud keeps a developer's own credentials
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with _proxy() as (url, asked):
        store = GCSStore(
            "bucket",
            client_options={"proxy_url": url, "timeout": "60s", "allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(minutes=1)},
        )
        with pytest.raises(Exception, match=f"serviceAccounts/{_ACCOUNT}:signBlob"):
            obstore.sign(store, "PUT", "incoming/x", timedelta(minutes=5))
    assert "iamcredentials.googleapis.com:443" == asked[-1]
    assert any("/service-accounts/default/token" in path for path in asked)
