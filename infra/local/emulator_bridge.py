"""Signs the Pub/Sub emulator's pushes: a loopback listener between it and the services.

The real Pub/Sub proves with a token who pushes; the emulator does not, and the services rightly
refuse it. The bridge adds the embedded bus's token and passes the raw body on.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.local.dispatch_queue import Outcome
from infra.local.push import Pusher, Signer
from shared.bus import Subscription

__all__ = ["Bridge"]

_ANSWERS = {Outcome.ACKNOWLEDGED: 204, Outcome.FAILED: 500}
_LARGEST = 16 << 20  # bytes; Pub/Sub's messages have at most 10 MB, in base64 a third more


class Bridge:
    """Listens on a free loopback port from its creation until ``close``."""

    def __init__(self, signer: Signer) -> None:
        self._subscriptions: dict[str, Subscription] = {}
        self._pusher = Pusher(signer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="bridge", daemon=True).start()

    def endpoint(self, subscription: Subscription) -> str:
        """The URL to push ``subscription`` to, which forwards to the subscription's own."""
        path = f"/{subscription.name}"
        self._subscriptions[path] = subscription
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._pusher.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        subscriptions, pusher = self._subscriptions, self._pusher

        class Handler(BaseHTTPRequestHandler):
            """One kept connection of the emulator."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                subscription = subscriptions.get(self.path)
                if subscription is None or length > _LARGEST:
                    self.close_connection = True
                    self._answer(404)
                    return
                outcome, _ = pusher.post(
                    subscription.endpoint,
                    self.rfile.read(length),
                    subscription.service,
                    subscription.ack_deadline,
                )
                self._answer(_ANSWERS.get(outcome, 503))

            def _answer(self, status: int) -> None:
                self.send_response(status)
                # A 204 has no body and no length (RFC 9110, 8.6).
                if status != 204:
                    self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
