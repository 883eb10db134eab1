"""Calls from one service to another, for what must be asked and cannot wait for a message.

    client("notification").get("auth", f"/-/contacts/{person_id}")

A call knows when to stop: it has one deadline, repeats only what may be repeated, and leaves a
service alone that has failed again and again. Few calls go out at once: on one machine all services
share their threads, and if calls held them all, nobody would be left to answer. An answer is
believed only as far as its status and its JSON; nothing of it is quoted in an error.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from functools import cache
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared import errors, log
from shared.client_http import NoAnswer, Transport, http
from shared.config import MissingSettings, config
from shared.errors import Problem, Unavailable
from shared.service_identity import service_token

if TYPE_CHECKING:
    from pybreaker import CircuitBreaker

__all__ = ["Client", "client", "install_transport"]

_ATTEMPTS = 4
_FAILURES = 5  # calls in a row, each in spite of its repetitions
_LEFT_ALONE_S = 10.0
_AT_ONCE = 4  # of a process, half of whose threads stay free to answer
_PATIENCE_S = 0.1
_FIRST_WAIT_S = 0.05
_LEAST_S = 0.02  # an attempt with less time than this is not worth beginning
_AGAIN = frozenset({502, 503, 504})
_PROBLEMS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        *(errors.BadRequest, errors.NotFound, errors.Conflict, errors.StaleVersion),
        *(errors.Invalid, errors.TooManyRequests),
    )
}

_transport: Transport = http
_breakers: dict[str, CircuitBreaker] = {}
_slots = BoundedSemaphore(_AT_ONCE)


def install_transport(transport: Transport | None) -> None:
    """Send every call through ``transport`` from now on; None: over HTTP again (tests)."""
    global _transport
    _transport = transport or http
    _breakers.clear()


class Client:
    """What ``service`` asks others."""

    def __init__(self, service: str) -> None:
        self.service = service

    def get(
        self,
        target: str,
        path: str,
        *,
        timeout: float = 2.0,
        on_behalf_of: UUID | None = None,
        purpose: str | None = None,
    ) -> Any:
        """The JSON at ``path`` below ``target``'s prefix, within ``timeout`` seconds.

        ``on_behalf_of`` is whom the target's audit names as the one who asked for this, and
        ``purpose`` (of audit.PURPOSES) what that one stated. Raises Unavailable with the member
        ``service`` when the target gives no usable answer, and the problem that it answers:
        BadRequest, NotFound, Conflict, StaleVersion, Invalid, TooManyRequests.
        """
        deadline = time.monotonic() + timeout
        settings = config()
        if target not in settings.services:
            raise MissingSettings(f"SERVICES does not name {target}")
        url = f"{settings.services_url}{settings.services[target]}{path}"
        headers = self._headers(target, on_behalf_of, purpose)
        status, body = _guarded(target, lambda: _repeated(url, headers, deadline))
        if status == 200:
            return _parsed(target, body)
        if status in _PROBLEMS:
            raise _PROBLEMS[status]
        # It refuses us, redirects us or does not know what we speak: our own mistake.
        log.error("call_refused", service=self.service, target=target, status=status)
        raise _away(target)

    def _headers(
        self, target: str, on_behalf_of: UUID | None, purpose: str | None
    ) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {service_token(self.service, target)}",
            "X-Correlation-Id": log.correlation_id.get(),
            "traceparent": log.traceparent.get(),
            "X-On-Behalf-Of": None if on_behalf_of is None else str(on_behalf_of),
            "X-Purpose-Of-Use": purpose,
        }
        return {name: value for name, value in headers.items() if value is not None}


@cache
def client(service: str) -> Client:
    """The client of ``service``, which is the calling one."""
    return Client(service)


def _away(target: str) -> Unavailable:
    return Unavailable(f"{target} does not answer.", service=target)


def _guarded(target: str, call: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
    """``call`` unless ``target`` failed too often of late or others crowd. Raises Unavailable."""
    from pybreaker import CircuitBreaker, CircuitBreakerError

    breaker = _breakers.get(target)
    if breaker is None:
        made = CircuitBreaker(_FAILURES, _LEFT_ALONE_S, throw_new_error_on_trip=False)
        breaker = _breakers.setdefault(target, made)
    if not _slots.acquire(timeout=_PATIENCE_S):
        log.warning("call_crowded_out", target=target)
        raise Unavailable("Too many calls of other services at once.", service=target)
    try:
        # Not breaker.call, which lets one thread at a time through.
        with breaker.calling():
            return call()
    except CircuitBreakerError:
        log.info("call_left_out", target=target)
        raise _away(target) from None
    except NoAnswer as failure:
        log.warning("call_failed", target=target, reason=failure.reason)
        raise _away(target) from None
    finally:
        _slots.release()


def _repeated(url: str, headers: Mapping[str, str], deadline: float) -> tuple[int, bytes]:
    """The status, below 500, and the body. Raises NoAnswer."""
    tries = 0

    def wait(error: Exception) -> bool | float:
        nonlocal tries
        tries += 1
        if not isinstance(error, NoAnswer) or error.again_after is None:
            return False
        pause = random.uniform(0.5, 1.0) * _FIRST_WAIT_S * 2**tries  # nosec B311
        pause = max(pause, error.again_after)
        return pause if time.monotonic() + pause + _LEAST_S < deadline else False

    for attempt in _retries()(on=wait, attempts=_ATTEMPTS, timeout=None):
        with attempt:
            left = deadline - time.monotonic()
            if left < _LEAST_S:
                raise NoAnswer("no time left")
            status, answered, body = _transport("GET", url, headers, None, left)
            if status in _AGAIN:
                raise NoAnswer(f"status {status}", again_after=_retry_after(answered))
            if status >= 500:
                raise NoAnswer(f"status {status}")
            return status, body
    raise AssertionError("unreachable")


@cache
def _retries() -> Callable[..., Any]:
    """Stamina's loop without its log lines, which would bypass ours and show the error's text."""
    from stamina import retry_context
    from stamina.instrumentation import set_on_retry_hooks

    set_on_retry_hooks(())
    return retry_context


def _retry_after(headers: Mapping[str, str]) -> float:
    """In seconds (RFC 9110, 10.2.3); a date, which none of our services sends, counts as 0."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "0")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _parsed(target: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        log.error("call_misunderstood", target=target)
        raise _away(target) from None
