"""What may be switched off, and when to try again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from functions.notification.domain.notices import NOTICES, Channel

__all__ = [
    "CHANNELS",
    "MANDATORY",
    "MOST_ATTEMPTS",
    "Choices",
    "Chosen",
    "Content",
    "MandatoryKind",
    "Recipient",
    "choices_of",
    "delay_after",
    "muted_by",
]

Recipient = Literal["CURRENT", "PREVIOUS"]
"""The address the person has now, or the one before."""

CHANNELS: Mapping[str, tuple[Channel, ...]] = {
    notice.kind: notice.channels for notice in NOTICES if notice.choosable
}
"""The kinds a person may choose about, and how each may reach the person."""
MANDATORY = frozenset(notice.kind for notice in NOTICES if notice.mandatory)

if TYPE_CHECKING:
    Chosen = str
else:
    Chosen = Literal[tuple(CHANNELS)]
"""The kinds of ``CHANNELS``."""
Choices = Mapping[Chosen, Mapping[Channel, bool]]
"""Kind -> channel -> whether the person wants to be told so."""

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
