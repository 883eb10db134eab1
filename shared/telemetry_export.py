"""When figures and spans leave a process: at the end of a request, at most every 15 seconds.

A deployed function has no processor time between requests, so there is no thread for it; and what
the collector does not take within a second is dropped and counted, never waited for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING

from shared import log, telemetry, traces
from shared.config import config

if TYPE_CHECKING:
    from shared.telemetry_otlp import Exporter

__all__ = ["Serving", "flush"]

EVERY = 15.0  # seconds
TIMEOUT = 1.0  # seconds for metrics, and for spans

Gauged = Callable[[], Mapping[str, float]]


class Serving:
    """``with Serving("patient"):`` around a request or a push: whose figures these are, and at the
    end of it, when it is time, what was recorded goes to the collector."""

    __slots__ = ("_gauges", "_service", "_token")

    def __init__(self, service: str, gauges: Gauged | None = None) -> None:
        """``gauges`` reads the service's gauges; given by the schedule, so that one process of
        many reads them."""
        self._service, self._gauges = service, gauges
        self._token: Token[str] | None = None

    def __enter__(self) -> None:
        self._token = telemetry.serving_name.set(self._service)
        if config().otlp_endpoint is not None:
            traces.collect()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        if config().otlp_endpoint is not None:
            _state.flush_if_due(self._service, self._gauges)
        if self._token is not None:
            telemetry.serving_name.reset(self._token)


class _State:
    """This process's connection to the collector, and when it was used last."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.lock = threading.Lock()
        self.exporter: Exporter | None = None
        self.gauges: dict[str, Mapping[str, float]] = {}
        self.gauged: dict[str, float] = {}

    def flush_if_due(self, service: str, gauges: Gauged | None) -> None:
        now = time.monotonic()
        asked = gauges is not None and now - self.gauged.get(service, -EVERY) >= EVERY
        if not (asked or now - self.last >= EVERY) or not self.lock.acquire(blocking=False):
            return
        try:
            if gauges is not None and asked:
                self.gauged[service] = now
                self.gauges[service] = gauges()
            if now - self.last >= EVERY:
                self.last = now
                self.send()
        except Exception as error:  # noqa: BLE001 -- the request is answered, whatever this is
            log.warning("telemetry_failed", reason=type(error).__name__)
        finally:
            self.lock.release()

    def send(self) -> bool:
        """Whether the collector took everything."""
        if self.exporter is None:
            from shared.telemetry_otlp import Exporter

            self.exporter = Exporter(config().otlp_endpoint or "", TIMEOUT)
        spans = traces.taken()
        gauges, self.gauges = self.gauges, {}
        figures = {name: telemetry.figures(name) for name in telemetry.services()}
        figures |= {name: {} for name in gauges if name not in figures}
        took = self.exporter.send_metrics(figures, gauges)
        if not took:
            telemetry.counted("dentalhelp.telemetry.dropped", signal="metrics")
        # One that did not take the first would keep the request waiting for the second, too.
        if spans and not (took and self.exporter.send_spans(spans)):
            telemetry.counted("dentalhelp.telemetry.dropped", len(spans), signal="span")
            took = False
        return took


_state = _State()


def flush() -> bool:
    """Send everything now (tools and tests); whether the collector took it."""
    with _state.lock:
        return _state.send()


def _begin() -> None:
    global _state
    _state = _State()


# Connections and locks of the parent are not the child's.
os.register_at_fork(after_in_child=_begin)
