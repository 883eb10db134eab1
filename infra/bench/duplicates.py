"""How fast a consumer handles messages when a fifth of what arrives has arrived before."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from infra.bench.harness import Checks, Figure, Target, interleave
from infra.bench.load import Exchange, drive, request
from infra.bench.place import SYNTHETIC, Place
from infra.bench.services import Ticked
from infra.local.push import push_signer
from shared.bus import Push, push_body
from shared.db import Database
from shared.messages import envelope
from shared.tokens import SigningKey
from shared.types import uuid7

__all__ = ["run"]

_MESSAGES = 1_200  # different ones, per side and round
_SHARE = 0.20  # of all deliveries
_ROUNDS = 7


def run(place: Place) -> list[Figure]:
    """Pushes straight to the consumer's events target: two workers, sixteen connections."""
    port = place.serve("services", SYNTHETIC)
    keys = place.settings.keys
    signer = push_signer(
        SigningKey.from_pem(keys.push_signing_key),
        issuer="dentalhelp-bus",
        email="bus@dentalhelp.local",
    )
    side = _Consumer(port, signer("beta"), place.admin("beta_db"))
    doubled, plain = interleave(
        lambda number: side.round(number, _SHARE),
        lambda number: side.round(number, 0.0),
        rounds=_ROUNDS,
    )
    side.beta.close()
    place.end("services")
    return [
        Figure(
            f"consumer with {_SHARE:.0%} duplicates among its deliveries: different messages"
            " handled",
            "the same without duplicates",
            "messages/s",
            doubled,
            plain,
            Target("ratio", "at least", 0.75),
            side.checks,
            ["If a duplicate cost as much as a message, this would be 0.80."],
        )
    ]


class _Consumer:
    def __init__(self, port: int, token: str, beta: Database) -> None:
        self.port, self.token, self.beta = port, token, beta
        self.checks = Checks()

    def round(self, number: int, share: float) -> float:
        """Different messages per second; half the duplicates follow at once, half come later."""
        chance = random.Random(number)  # nosec B311
        pushes = [self._push(n) for n in range(_MESSAGES)]
        again = chance.sample(range(_MESSAGES), int(_MESSAGES * share / (1 - share)))
        at = {n: n if i % 2 else chance.randrange(n, _MESSAGES) for i, n in enumerate(again)}
        order = [(n, 0) for n in range(_MESSAGES)] + [(place, 1 + n) for n, place in at.items()]
        order.sort()
        sent = [pushes[second - 1 if second else n] for n, second in order]
        self.beta.all("truncate effects, inbox")
        load = drive(self.port, iter(sent))
        rows = self.beta.all("select thing from effects")
        different = len({row["thing"] for row in rows})
        self.checks.operations += len(sent)
        self.checks.missed += load.wrong + _MESSAGES - different
        self.checks.duplicated += len(rows) - different
        return _MESSAGES / load.seconds

    def _push(self, n: int) -> Exchange:
        message = envelope(Ticked(thing=uuid7()), source="alpha")
        body = push_body(
            Push(
                data=message.to_json().encode(),
                attributes=message.attributes(),
                message_id=str(n),
                publish_time=datetime.now(UTC),
                subscription="beta.alpha",
                ordering_key=message.ordering_key,
            )
        )
        sent = request("POST", "/_events/beta/", token=self.token, body=body)
        return Exchange(sent, b"204", b"")
