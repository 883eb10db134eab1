"""The rules of telling people: kinds and channels, what may be switched off, when to try again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from shared.languages import preferred_language

__all__ = [
    "CHANNELS",
    "MANDATORY",
    "MOST_ATTEMPTS",
    "Channel",
    "Choices",
    "Chosen",
    "Content",
    "Kind",
    "MandatoryKind",
    "Recipient",
    "choices_of",
    "delay_after",
    "muted_by",
    "preferred_language",
]

Channel = Literal["IN_APP", "EMAIL"]
Kind = Literal["WELCOME", "INVITATION", "PASSWORD_CHANGED", "EMAIL_UPDATED"]
Recipient = Literal["CURRENT", "PREVIOUS"]
"""The address the person has now, or the one before."""
Chosen = Literal["WELCOME", "PASSWORD_CHANGED", "EMAIL_UPDATED"]
"""The kinds a person may choose about. An invitation is none: who gets one has no account yet."""
Choices = Mapping[Chosen, Mapping[Channel, bool]]
"""Kind -> channel -> whether the person wants to be told so."""

CHANNELS: Mapping[Chosen, tuple[Channel, ...]] = {
    "WELCOME": ("IN_APP", "EMAIL"),
    "PASSWORD_CHANGED": ("IN_APP", "EMAIL"),
    "EMAIL_UPDATED": ("IN_APP", "EMAIL"),
}
"""How each may reach the person."""

MANDATORY: frozenset[Chosen] = frozenset({"PASSWORD_CHANGED", "EMAIL_UPDATED"})
"""They warn the owner of an account that somebody else has got into."""

MOST_ATTEMPTS = 8
_LONGEST_DELAY = 600.0


@dataclass(frozen=True, slots=True)
class Content:
    """An e-mail in one language."""

    subject: str
    text: str
    html: str


class MandatoryKind(ValueError):
    """What warns an account's owner cannot be switched off."""

    def __init__(self, kind: str, channel: str) -> None:
        self.kind, self.channel = kind, channel
        super().__init__(kind)


def choices_of(muted: Iterable[str]) -> dict[Chosen, dict[Channel, bool]]:
    """Every choice there is, given what is switched off."""
    off = set(muted)
    return {
        kind: {channel: f"{kind}.{channel}" not in off for channel in channels}
        for kind, channels in CHANNELS.items()
    }


def muted_by(choices: Choices) -> list[str]:
    """What ``choices`` switch off, sorted. Raises MandatoryKind."""
    muted = []
    for kind, channels in choices.items():
        for channel, wanted in channels.items():
            if not wanted:
                if kind in MANDATORY:
                    raise MandatoryKind(kind, channel)
                muted.append(f"{kind}.{channel}")
    return sorted(muted)


def delay_after(attempts: int, chance: float) -> float:
    """Seconds until the next try after ``attempts`` failed ones: 1, 2, 4 ... up to ten minutes,
    less up to a half by ``chance`` (0 to 1), so that not all come back at once."""
    longest = min(_LONGEST_DELAY, 2.0 ** min(attempts - 1, 10))
    return longest * (1 - chance / 2)
