"""What is counted and timed in a process: each figure whole, declared, bounded, and written."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared import telemetry
from shared.telemetry import METRICS, counted, figures, timed
from shared.telemetry_routes import rendered
from tests.metrics_stack import anew_fixture, parsed, value_of

anew = anew_fixture()


def test_the_text_is_escaped_and_complete() -> None:
    """Label values with quotes, backslashes and line breaks survive; buckets are cumulative."""
    counted("dentalhelp.mail.sent", 2, outcome='a "b" \\ c\nd')
    for seconds in (0.001, 0.002, 0.0021, 0.3, 1e6, -5.0):
        timed("dentalhelp.message.latency", seconds, event_type="A", outcome="handled")
    text = rendered("x", figures("unknown"), {"dentalhelp.outbox.age": 0.25})
    families = parsed(text)
    assert ("gauge", [("dentalhelp_outbox_age_seconds", {}, 0.25)]) == families[
        "dentalhelp_outbox_age_seconds"
    ]
    ((_, labels, value),) = families["dentalhelp_mail_sent_total"][1]
    assert ({"outcome": r"a \"b\" \\ c\nd"}, 2) == (labels, value)
    latency = "dentalhelp_message_latency_seconds"
    below = {
        bound: value_of(text, f"{latency}_bucket", le=bound)
        for bound in ("0.002", "0.005", "0.2", "0.5", "600.0", "+Inf")
    }
    # One that equals a bound is in its bucket, one that is negative counts as none at all.
    expected = {"0.002": 3, "0.005": 4, "0.2": 4, "0.5": 5, "600.0": 5, "+Inf": 6}
    assert expected == below
    assert value_of(text, f"{latency}_sum") == pytest.approx(1_000_000.3051)


def test_only_what_is_declared_is_kept() -> None:
    """An unknown name, and one of the other kind, change nothing and break nothing."""
    counted("dentalhelp.unheard.of")
    counted("dentalhelp.saga.duration")
    timed("dentalhelp.mail.sent", 1.0)
    assert {} == figures("unknown")


def test_what_grows_without_bound_ends_in_one_series() -> None:
    """After a thousand series of a metric, all further ones are counted together."""
    for number in range(1_500):
        counted("dentalhelp.mail.sent", outcome=str(number))
    series = figures("unknown")["dentalhelp.mail.sent"]
    assert 1_001 == len(series)
    assert 500 == series[(("otel_metric_overflow", "true"),)]


def test_counts_of_threads_add_up() -> None:
    """No count is lost between threads."""

    def work(_: int) -> None:
        for _ in range(2_000):
            counted("dentalhelp.mail.sent", outcome="sent")
            timed("dentalhelp.saga.duration", 0.5, saga="x", status="COMPLETED")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    found = figures("unknown")
    assert 16_000 == found["dentalhelp.mail.sent"][(("outcome", "sent"),)]
    durations = found["dentalhelp.saga.duration"][(("saga", "x"), ("status", "COMPLETED"))]
    assert isinstance(durations, telemetry.Distribution)
    assert (16_000, 8_000.0) == (sum(durations.counts), durations.total)


def test_every_name_is_declared() -> None:
    """A figure that the code counts, or a gauge it reads, is in METRICS, and vice versa."""
    root = Path(__file__).resolve().parents[2]
    used = {
        name
        for folder in ("shared", "functions")
        for file in (root / folder).rglob("*.py")
        if file.name != "telemetry.py"
        for name in re.findall(r'"(dentalhelp(?:\.[a-z_]+)+)"', file.read_text(encoding="utf-8"))
    }
    ours = (root / "shared/telemetry.py").read_text(encoding="utf-8")
    used |= set(re.findall(r'timed\("(dentalhelp[a-z_.]+)"', ours))
    assert {name for name in METRICS if name.startswith("dentalhelp.")} == used
