"""A bus that is worse than any broker may be: it delivers twice, late and in any order."""

from __future__ import annotations

import random

from shared.bus import ACKNOWLEDGED, Subscription
from shared.testing_bus import MemoryBus, Receiver

__all__ = ["UnrulyBus"]

_ENDLESS = 10_000  # deliveries


class UnrulyBus(MemoryBus):
    """Of every five messages one is delivered again later, and one only after others.

    Both also within an ordering key, where a broker keeps the order. Deterministic by ``seed``.
    """

    def __init__(self, seed: int, *, share: float = 0.2) -> None:
        super().__init__()
        self._chance, self._share = random.Random(seed), share
        self._held: list[tuple[int, Receiver, bytes]] = []
        """Deliveries still to come: how many others go first, where to, what."""
        self.repeated = self.delayed = self.refused = 0

    def subscribe(self, subscription: Subscription, receiver: Receiver) -> None:
        """Deliver to ``receiver`` unreliably."""

        def unruly(body: bytes) -> int:
            self._pass_by()
            if self._chance.random() < self._share:
                self.delayed += 1
                self._hold(receiver, body)
                return 204
            self._try(receiver, body)
            if self._chance.random() < self._share:
                self.repeated += 1
                self._hold(receiver, body)
            return 204

        super().subscribe(subscription, unruly)

    def drain(self) -> int:
        """Deliver everything, in the end also what was held back."""
        done = super().drain()
        while self._held:
            assert done < _ENDLESS, "a message is refused for ever"
            _, receiver, body = self._held.pop(self._chance.randrange(len(self._held)))
            self._try(receiver, body)
            done += 1 + super().drain()
        return done

    def _try(self, receiver: Receiver, body: bytes) -> None:
        """Deliver; what was not taken comes again."""
        try:
            taken = receiver(body) in ACKNOWLEDGED
        except Exception:  # noqa: BLE001 -- what a server would answer
            taken = False
        if not taken:
            self.refused += 1
            self._hold(receiver, body)

    def _hold(self, receiver: Receiver, body: bytes) -> None:
        self._held.append((self._chance.randint(1, 12), receiver, body))

    def _pass_by(self) -> None:
        """One more delivery has overtaken what is held; some of it is due now."""
        self._held = [(left - 1, receiver, body) for left, receiver, body in self._held]
        due = [held for held in self._held if held[0] <= 0]
        self._held = [held for held in self._held if held[0] > 0]
        for _, receiver, body in due:
            self._try(receiver, body)
