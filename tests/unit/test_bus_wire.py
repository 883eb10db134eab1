"""Pub/Sub's push format and what else the bus decides by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.bus import Push, Subscription, parse_push, publisher, push_body
from shared.errors import BadRequest


def test_a_push_survives_the_wire() -> None:
    """Reading a written push gives the same push, to the millisecond."""
    push = Push(
        data="Ștefan\0".encode(),
        attributes={"event_type": "A"},
        message_id="17",
        publish_time=datetime(2026, 1, 15, 10, 30, 0, 123000, tzinfo=UTC),
        subscription="patient.auth",
        ordering_key="key",
        delivery_attempt=2,
    )
    assert push == parse_push(push_body(push))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"message": 1, "subscription": "s"}',
        b'{"message": {"data": "?"}, "subscription": "s"}',
        b'{"message": {"data": "aGk=", "messageId": "1"}, "subscription": "s"}',
        b'{"message": {"messageId": "1", "publishTime": "yesterday"}, "subscription": "s"}',
        b'{"message": {"messageId": "1", "publishTime": "2026-01-15T10:30:00Z", "attributes": 3},'
        b' "subscription": "s"}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_push_is_a_bad_request(body: bytes) -> None:
    """Whatever is not a push is refused without an echo of its content."""
    with pytest.raises(BadRequest):
        parse_push(body)


def test_backs_off_exponentially() -> None:
    """The pause doubles from the least to the greatest, also after very many failures."""
    subscription = Subscription("s", "t", "c", "", min_backoff=0.1, max_backoff=1.0)
    assert [0.1, 0.2, 0.4, 0.8, 1.0] == [subscription.backoff(n) for n in range(1, 6)]
    assert 1.0 == subscription.backoff(100_000)


def test_refuses_another_kind_of_bus() -> None:
    """Only the two known schemes make a publisher."""
    for url in ("kafka://somewhere", "pubsub://", ""):
        with pytest.raises(ValueError, match="BUS_URL"):
            publisher(url)
