"""How long records are held: read from a setting, and refused when it says nothing usable."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from shared.config import Config, MissingSettings
from shared.retention import Retention, retention_of


def test_days_and_the_reason_for_each_kind() -> None:
    """What is not held needs no reason; without a setting nothing is said of any kind."""
    text = json.dumps({"xray": {"days": 3650, "reason": " the law "}, "note": {"days": 0}})
    assert {"xray": Retention(3650, "the law"), "note": Retention(0, "")} == retention_of(text)
    assert {} == retention_of("")


@pytest.mark.parametrize(
    "said",
    [
        {"days": 10},
        {"days": 10, "reason": " "},
        {"days": 10, "reason": 5},
        {"days": -1, "reason": "law"},
        {"days": 10**6, "reason": "law"},
        {"days": "10", "reason": "law"},
        {"days": True, "reason": "law"},
        {"days": 1.5, "reason": "law"},
        {"day": 10, "reason": "law"},
        {"days": 10, "reason": "law", "years": 1},
        {},
        10,
        None,
    ],
    ids=str,
)
def test_a_rule_that_says_nothing_usable_is_refused(said: Any) -> None:
    """The message names the kind."""
    with pytest.raises(ValueError, match="xray"):
        retention_of(json.dumps({"xray": said}))


@pytest.mark.parametrize("text", ["[]", "{", "10", '"xray"'])
def test_what_is_no_object_is_refused_with_the_other_settings(text: str) -> None:
    """A service that starts says so beside everything else that it lacks."""
    with pytest.raises(MissingSettings, match=r"RETENTION must be.*missing: BUS_URL"):
        Config.read({**os.environ, "RETENTION": text, "BUS_URL": ""})
