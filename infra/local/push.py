"""Pushing one message over HTTP as Pub/Sub does it: signed, on a kept connection, to a deadline."""

from __future__ import annotations

import http.client
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

from infra.local.dispatch_queue import Delivery, Outcome
from shared.bus import ACKNOWLEDGED, wire
from shared.identity import SigningKey, push_token

__all__ = ["Pusher", "Signer", "push_signer"]

Signer = Callable[[str], str]
"""Service -> the token that proves to it who pushes."""

_RENEW_AFTER = 300.0  # seconds; a token lives for an hour


def push_signer(key: SigningKey, *, issuer: str, email: str) -> Signer:
    """A signer for pushes; tokens are cached, because a signature costs more than a push."""
    lock = threading.Lock()
    cached: dict[str, tuple[float, str]] = {}

    def token(service: str) -> str:
        with lock:
            made, text = cached.get(service, (0.0, ""))
            if not text or time.monotonic() - made > _RENEW_AFTER:
                text = push_token(key, service, issuer=issuer, email=email)
                cached[service] = time.monotonic(), text
            return text

    return token


class Pusher:
    """Pushes over a pool of kept connections; safe to share between threads."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        # The one used last goes first, so that few stay open when little is to be done.
        self._idle: defaultdict[str, deque[http.client.HTTPConnection]] = defaultdict(deque)

    def push(self, delivery: Delivery) -> tuple[Outcome, str]:
        """Deliver once: the outcome, and what happened in words without personal data."""
        subscription = delivery.subscription
        body = wire(
            delivery.data,
            attributes=delivery.attributes,
            message_id=delivery.message_id,
            publish_time=delivery.published_at,
            subscription=subscription.name,
            ordering_key=delivery.key,
            # As in Pub/Sub, attempts are told only where they have a limit.
            delivery_attempt=delivery.attempts + 1 if subscription.dead_letter_topic else None,
        )
        return self.post(
            subscription.endpoint, body, subscription.service, subscription.ack_deadline
        )

    def post(self, url: str, body: bytes, service: str, deadline: float) -> tuple[Outcome, str]:
        """POST ``body`` to ``url`` with ``service``'s token; ``deadline`` in seconds."""
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "Authorization": f"Bearer {self._signer(service)}",
            "Content-Type": "application/json",
            "User-Agent": "dentalhelp-bus",
        }
        try:
            connection, kept = self._idle[parts.netloc].pop(), True
        except IndexError:
            connection, kept = http.client.HTTPConnection(parts.netloc, timeout=deadline), False
            try:
                connection.connect()
            except OSError as error:
                return Outcome.UNREACHABLE, type(error).__name__
        try:
            connection.sock.settimeout(deadline)
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            status = response.status
            response.read()
        except TimeoutError:
            connection.close()
            return Outcome.SILENT, f"no answer within {deadline:g} s"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept:
                # The service may have closed the idle connection meanwhile: that is no answer.
                return self.post(url, body, service, deadline)
            return Outcome.FAILED, type(error).__name__
        if response.will_close:
            connection.close()
        else:
            self._idle[parts.netloc].append(connection)
        if status in ACKNOWLEDGED:
            return Outcome.ACKNOWLEDGED, str(status)
        return (Outcome.BUSY if status == 503 else Outcome.FAILED), str(status)

    def close(self) -> None:
        """Close the connections that are not in use."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
