"""The one spelling of a value, by RFC 8785."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import canonical, checksum

NAMES = st.text(st.characters(max_codepoint=127))
LEAVES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=20
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # RFC 8785, 3.2.2.2: the escapes of strings.
        ({"text": '€$\u000f\nA\'B"\\\\"/'}, '{"text":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'),
        ({"b": [True, None, 1], "a": {}, "B": "ș"}, '{"B":"ș","a":{},"b":[true,null,1]}'),
        ([], "[]"),
        (-0, "0"),
        ("\u007f\u2028", '"\u007f\u2028"'),
    ],
)
def test_there_is_one_spelling(value: Any, expected: str) -> None:
    """Names are sorted, nothing is spaced, only what must be is escaped."""
    assert expected.encode() == canonical(value)


@given(VALUES)
def test_nothing_is_lost(value: Any) -> None:
    """What was spelled is read as the same, and is spelled the same again."""
    text = canonical(value)
    assert value == json.loads(text)
    assert text == canonical(json.loads(text))


@pytest.mark.parametrize(
    "value", [1.5, 2**53, -(2**53), {"ă": 1}, {1: 1}, b"x", [{"a": [float("nan")]}], object()]
)
def test_what_has_no_single_spelling_is_refused(value: Any) -> None:
    """Fractions, great integers and names beyond ASCII differ between languages."""
    with pytest.raises(ValueError, match=r"must be|no exact|no single"):
        canonical(value)


def test_a_checksum_is_of_the_spelling() -> None:
    """The order in which members were written does not matter; the values do."""
    expected = hashlib.sha256(b'{"a":1,"b":"\xc8\x99"}').hexdigest()
    assert expected == checksum({"b": "ș", "a": 1}) == checksum({"a": 1, "b": "ș"})
    assert expected != checksum({"a": 1, "b": "s"})
