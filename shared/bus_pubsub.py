"""Google Pub/Sub's publishing side. Imported only where it is used: the client costs seconds."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from shared.bus import BusUnavailable, Publishable

__all__ = ["PubSubBus"]

_TIMEOUT = 5.0  # seconds for all attempts at one batch
_BATCH_DELAY = 0.002  # seconds the client may wait for more messages of a key


class PubSubBus:
    """Publishes to the project's topics (``PUBSUB_EMULATOR_HOST`` is honoured by the client)."""

    def __init__(self, project: str, *, timeout: float = _TIMEOUT) -> None:
        """``timeout``: seconds after which an unanswered publish counts as failed."""
        self._project = project
        self._timeout = timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self._owner = 0

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """See ``shared.bus.Publisher``; of a batch that fails, some may have been published."""
        try:
            self._publish(topic, messages)
        except BusUnavailable:
            raise
        except Exception as error:
            # No credentials, a message over 10 MB...: the request that sends is committed already.
            raise BusUnavailable(f"Pub/Sub cannot be used: {type(error).__name__}") from error

    def _publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        client = self._connected()
        path = client.topic_path(self._project, topic)
        started = []
        for message in messages:
            started.append((message.ordering_key or "", self._send(client, path, message)))
        # The client gives up by itself after the timeout; the rest is slack for its threads.
        until = time.monotonic() + self._timeout + 1.0
        failed: dict[str, BaseException] = {}
        for key, future in started:
            try:
                future.result(timeout=max(0.0, until - time.monotonic()))
            except Exception as error:  # noqa: BLE001 -- whatever it was, the batch is not out
                failed.setdefault(key, error)
        if failed:
            for key in failed:
                # A failed key is paused, so that nothing overtakes; the caller starts it over.
                with suppress(RuntimeError):
                    client.resume_publish(path, key)
            cause = next(iter(failed.values()))
            raise BusUnavailable(f"Pub/Sub did not take it: {type(cause).__name__}") from cause

    def _send(self, client: Any, path: str, message: Publishable) -> Future[str]:
        future: Future[str] = client.publish(
            path,
            message.to_json().encode(),
            ordering_key=message.ordering_key or "",
            **message.attributes(),
        )
        return future

    def _connected(self) -> Any:
        """The client of this process: gRPC channels do not survive a fork."""
        with self._lock:
            if self._client is None or self._owner != os.getpid():
                from google.api_core import exceptions, retry
                from google.cloud import pubsub_v1

                transient = retry.if_exception_type(
                    exceptions.Aborted,
                    exceptions.InternalServerError,
                    exceptions.ResourceExhausted,
                    exceptions.ServiceUnavailable,
                    exceptions.DeadlineExceeded,
                )
                self._client = pubsub_v1.PublisherClient(
                    publisher_options=pubsub_v1.types.PublisherOptions(
                        enable_message_ordering=True,
                        # Left to itself an ordered client retries for ever, and each repetition
                        # by the outbox would pile up behind it.
                        retry=retry.Retry(
                            predicate=transient, initial=0.1, maximum=1.0, timeout=self._timeout
                        ),
                        timeout=self._timeout,
                    ),
                    batch_settings=pubsub_v1.types.BatchSettings(max_latency=_BATCH_DELAY),
                )
                self._owner = os.getpid()
            return self._client
