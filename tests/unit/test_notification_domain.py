"""What may be switched off, when to try again, and which language somebody reads."""

from __future__ import annotations

import pytest

from functions.notification.domain.choices import (
    CHANNELS,
    MANDATORY,
    MandatoryKind,
    choices_of,
    delay_after,
    muted_by,
)
from shared.languages import preferred_language


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("ro", "ro"),
        ("ro-RO", "ro"),
        ("RO-md;q=0.3", "ro"),
        ("in", "id"),
        ("id-ID,id;q=0.9,en;q=0.8", "id"),
        ("de,fr;q=0.9", None),
        ("de,ro;q=0.2,en;q=0.7", "en"),
        ("en;q=0.5,ro;q=0.5", "en"),
        ("en;q=0", None),
        ("en;q=0, ro;q=0.001", "ro"),
        ("*", None),
        ("ro;q=2, en;q=0.1", "en"),
        ("ro;q=abc", None),
        (" id ; q=0.4 , en ; q=0.3 ", "id"),
        ("romanian", None),
        (";;,,=", None),
    ],
)
def test_accept_language(header: str, expected: str | None) -> None:
    """The heaviest range that is a language of ours; of equals the first; nonsense is no wish."""
    assert expected == preferred_language(header)


def test_a_huge_header_is_cheap() -> None:
    """Only the beginning of a header is read."""
    assert preferred_language("x," * 100_000 + "ro") is None


def test_the_delay_doubles_up_to_ten_minutes() -> None:
    """1 s, 2 s, 4 s ... 600 s, and at most by half earlier."""
    assert [1, 2, 4, 8, 16, 32, 64] == [delay_after(n, 0) for n in range(1, 8)]
    assert [600, 600, 600] == [delay_after(n, 0) for n in (11, 12, 5000)]
    assert 4.5 == delay_after(4, 0.875)
    assert 300 == delay_after(50, 1)


def test_choices_and_what_is_muted_are_the_same_thing() -> None:
    """What is switched off comes back as switched off, everything else as on."""
    assert all(on for channels in choices_of([]).values() for on in channels.values())
    assert set(CHANNELS) == set(choices_of([]))
    choices = choices_of(["WELCOME.EMAIL"])
    assert {"IN_APP": True, "EMAIL": False} == choices["WELCOME"]
    assert ["WELCOME.EMAIL"] == muted_by(choices)
    assert [] == muted_by({})
    # A kind that is gone leaves no trace.
    assert [] == muted_by(choices_of(["OLD_KIND.EMAIL"]))


@pytest.mark.parametrize("kind", sorted(MANDATORY))
def test_warnings_stay_on(kind: str) -> None:
    """What tells an account's owner of a stranger in it cannot be switched off."""
    choices = choices_of([f"{kind}.EMAIL"])
    with pytest.raises(MandatoryKind) as refused:
        muted_by(choices)
    assert (kind, "EMAIL") == (refused.value.kind, refused.value.channel)
