"""The message bus: publish here, receive as pushes at a service's ``events`` target.

Semantics are Pub/Sub's on every implementation: a publish is durable when it returns, delivery is
at least once, messages of one ordering key arrive in order, failed ones come again with growing
pauses and at last go to a dead-letter topic.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.errors import BadRequest

__all__ = [
    "ACKNOWLEDGED",
    "BusUnavailable",
    "Publishable",
    "Publisher",
    "Push",
    "Subscription",
    "dead_letter_attributes",
    "parse_push",
    "publisher",
    "push_body",
    "wire",
]

ACKNOWLEDGED = frozenset({102, 200, 201, 202, 204})
"""The statuses by which a push is acknowledged (cloud.google.com/pubsub/docs/push)."""

PROJECT = "dentalhelp"


class BusUnavailable(Exception):
    """The bus did not take (all of) the messages now; publish them again later."""


class Publishable(Protocol):
    """What the bus needs of a message; ``shared.messages.Envelope`` has it."""

    @property
    def ordering_key(self) -> str | None:
        """Messages with an equal key are delivered in the order of publishing."""
        ...

    def to_json(self) -> str:
        """The message's text."""
        ...

    def attributes(self) -> dict[str, str]:
        """What filters see."""
        ...


class Publisher(Protocol):
    """Puts messages on topics."""

    def publish(self, topic: str, messages: Sequence[Publishable]) -> None:
        """Publish ``messages`` in order; they are durable when this returns.

        Raises BusUnavailable within seconds when the bus is away or lacks the topic. Some of
        them may have been published then: publishing all again duplicates, and loses nothing.
        """
        ...


@dataclass(frozen=True)
class Subscription:
    """One consumer's share of one topic."""

    name: str
    topic: str
    service: str
    """Whom the pushes' token is for: its audience is ``<service>-events``."""
    endpoint: str
    """The http URL that takes the pushes."""
    filter: str | None = None
    """In the language of ``shared.bus_filter``; None: all messages."""
    dead_letter_topic: str | None = None
    """Where a message goes after ``max_attempts`` failures; None: it is tried for ever."""
    max_attempts: int = 10
    min_backoff: float = 0.1  # seconds
    max_backoff: float = 10.0  # seconds
    ack_deadline: float = 30.0  # seconds until an unanswered push counts as failed

    def backoff(self, failures: int) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (from 1)."""
        doubled: float = self.min_backoff * 2.0 ** min(failures - 1, 30)
        return min(self.max_backoff, doubled)


@dataclass(frozen=True)
class Push:
    """One delivery as a subscriber receives it."""

    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    """Equal for all deliveries of one message; a message published twice has two."""
    publish_time: datetime
    subscription: str
    """The last part of the subscription's full name."""
    ordering_key: str | None = None
    delivery_attempt: int | None = None
    """1 for the first; None where the subscription has no dead-letter topic."""


def push_body(push: Push) -> bytes:
    """``push`` in Pub/Sub's wire format."""
    return wire(
        base64.b64encode(push.data).decode(),
        attributes=push.attributes,
        message_id=push.message_id,
        publish_time=push.publish_time,
        subscription=push.subscription,
        ordering_key=push.ordering_key,
        delivery_attempt=push.delivery_attempt,
    )


def wire(
    data: str,
    *,
    attributes: Mapping[str, str],
    message_id: str,
    publish_time: datetime,
    subscription: str,
    ordering_key: str | None,
    delivery_attempt: int | None,
) -> bytes:
    """Pub/Sub's wire format, from data that is base64 already."""
    at = publish_time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message: dict[str, Any] = {
        "data": data,
        "attributes": dict(attributes),
        # Pub/Sub sends both spellings.
        "messageId": message_id,
        "message_id": message_id,
        "publishTime": at,
        "publish_time": at,
    }
    if ordering_key:
        message["orderingKey"] = ordering_key
    body: dict[str, Any] = {
        "message": message,
        "subscription": f"projects/{PROJECT}/subscriptions/{subscription}",
    }
    if delivery_attempt is not None:
        body["deliveryAttempt"] = delivery_attempt
    return json.dumps(body, separators=(",", ":")).encode()


def parse_push(body: bytes) -> Push:
    """Read Pub/Sub's wire format. Raises BadRequest (which echoes nothing) if it is malformed."""
    try:
        read = json.loads(body)
        message = read["message"]
        attempt = read.get("deliveryAttempt")
        return Push(
            data=base64.b64decode(message.get("data", ""), validate=True),
            attributes={str(k): str(v) for k, v in message.get("attributes", {}).items()},
            message_id=str(message["messageId"]),
            publish_time=datetime.fromisoformat(message["publishTime"]),
            subscription=str(read["subscription"]).rpartition("/")[2],
            ordering_key=message.get("orderingKey") or None,
            delivery_attempt=None if attempt is None else int(attempt),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, binascii.Error):
        raise BadRequest("The body is not a Pub/Sub push.") from None


def dead_letter_attributes(
    subscription: Subscription, attempts: int, publish_time: datetime
) -> dict[str, str]:
    """What Pub/Sub adds to a message's attributes when it moves to the dead-letter topic."""
    return {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(attempts),
        "CloudPubSubDeadLetterSourceSubscription": subscription.name,
        "CloudPubSubDeadLetterSourceSubscriptionProject": PROJECT,
        "CloudPubSubDeadLetterSourceTopicPublishTime": publish_time.astimezone(UTC).isoformat(),
    }


def publisher(url: str, *, poke_socket: str | None = None) -> Publisher:
    """The publisher for ``url``: ``postgresql://`` (embedded) or ``pubsub://project-id``.

    ``poke_socket`` is the path at which the embedded dispatcher wants to hear of new messages;
    without it they wait for its next look. Raises ValueError for any other URL.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "postgresql":
        from shared.bus_embedded import EmbeddedBus

        return EmbeddedBus(url, poke_socket=poke_socket)
    if scheme == "pubsub" and rest:
        from shared.bus_pubsub import PubSubBus

        return PubSubBus(rest)
    raise ValueError("BUS_URL must be postgresql://... or pubsub://project-id")
