"""The subset of Pub/Sub's filter language."""

from __future__ import annotations

import pytest

from shared.bus_filter import parse

MESSAGES: list[dict[str, str]] = [
    {},
    {"event_type": "A"},
    {"event_type": "B", "lang": "ro"},
    {"event_type": 'q"u\\ote', "iana.org/language_tag": "en"},
]


MATCHING = [
    ("attributes:event_type", [1, 2, 3]),
    ('attributes.event_type = "A"', [1]),
    ('attributes.event_type="A"', [1]),
    ('attributes.event_type != "A"', [0, 2, 3]),
    ('hasPrefix(attributes.event_type, "q")', [3]),
    ('hasPrefix(attributes.lang, "")', [2]),
    ("NOT attributes:lang", [0, 1, 3]),
    ("-attributes:lang", [0, 1, 3]),
    ("NOT NOT attributes:lang", [2]),
    ('attributes:event_type AND attributes.lang = "ro"', [2]),
    ('attributes.event_type = "A" OR attributes:lang OR attributes:other', [1, 2]),
    ('attributes:event_type AND (attributes.lang = "ro" OR attributes.event_type = "A")', [1, 2]),
    ('NOT (attributes:lang OR attributes.event_type = "A")', [0, 3]),
    ('attributes:"iana.org/language_tag"', [3]),
    ('attributes."iana.org/language_tag" = "en"', [3]),
    (r'attributes.event_type = "q\"u\\ote"', [3]),
]


@pytest.mark.parametrize(("text", "matching"), MATCHING)
def test_matches(text: str, matching: list[int]) -> None:
    """A filter matches exactly the messages that Pub/Sub's documentation says it does."""
    found = parse(text)
    assert matching == [n for n, message in enumerate(MESSAGES) if found.matches(message)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "event_type",
        "attributes",
        "attributes.event_type",
        "attributes.event_type = A",
        'attributes.event_type > "A"',
        "attributes:a AND attributes:b OR attributes:c",
        "attributes:a attributes:b",
        "(attributes:a",
        "attributes:a)",
        'attributes."" : "x" AND',
        "hasPrefix(attributes.a)",
        'attributes.a = "unended',
        "attributes:" + "x" * 250,
    ],
)
def test_refuses_what_pubsub_would(text: str) -> None:
    """A malformed filter, one over 256 bytes, and AND beside OR are refused at configuration."""
    with pytest.raises(ValueError):  # noqa: PT011 -- the texts differ, all are for a person
        parse(text)
