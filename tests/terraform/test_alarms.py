"""Every service level has an alarm, every alarm a runbook, and the dashboard shows them all."""

from __future__ import annotations

import json
import re
from typing import Any

from infra.manifest import ROOT, service_names
from shared.telemetry import METRICS
from shared.telemetry_names import prometheus_name
from tests.terraform.conftest import Resources

_OURS = re.compile(r"\b(?:dentalhelp_[a-z_]+|http_server_request_duration_seconds[a-z_]*)")


def _query(policy: dict[str, Any]) -> str:
    (condition,) = policy["conditions"]
    (asked,) = condition["condition_prometheus_query_language"] or [{"query": ""}]
    return str(asked["query"])


def _known() -> set[str]:
    found = set()
    for name, metric in METRICS.items():
        full = prometheus_name(name)
        ends = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
        found |= {full + end for end in ends}
    return found


def _promised() -> set[str]:
    """The figures in the table of service levels; p99(x) is of the histogram x."""
    page = (ROOT / "docs/telemetry.md").read_text("utf-8")
    table = page.partition("## Service levels")[2]
    rows = "\n".join(line for line in table.splitlines() if line.startswith("|"))
    return {name.removesuffix("_count") for name in _OURS.findall(rows)}


def test_every_figure_of_an_alarm_exists(default: Resources) -> None:
    """No alarm waits for a figure that nobody sends."""
    asked = {
        name
        for policy in default("google_monitoring_alert_policy")
        for name in _OURS.findall(_query(policy))
    }
    assert asked
    assert set() == asked - _known()


def test_every_service_level_has_an_alarm(default: Resources) -> None:
    """Each figure in docs/telemetry.md's table of service levels is looked at by an alarm."""
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", name)
        for policy in default("google_monitoring_alert_policy")
        for name in _OURS.findall(_query(policy))
    }
    assert set() == _promised() - asked


def test_the_alarms_of_the_targets_are_as_they_were_promised(default: Resources) -> None:
    """Latency, replication, sagas and dead letters wake somebody at the limits of the targets."""
    limits = {
        (policy["documentation"][0]["content"].rpartition("#")[2], policy["severity"]): float(
            _query(policy).rpartition("> ")[2]
        )
        for policy in default("google_monitoring_alert_policy")
        if _query(policy)
    }
    assert 0.5 == limits["event-latency", "WARNING"]
    assert (0.1, 5) == (limits["replication-lag", "WARNING"], limits["replication-lag", "CRITICAL"])
    assert 0.01 == limits["saga-failures", "CRITICAL"]
    assert 0 == limits["dead-letters", "CRITICAL"]
    assert ("backups", "CRITICAL") in limits


def test_alarms_know_the_size_of_the_databases(runs: dict[str, Any]) -> None:
    """Connections alarm before the last is taken, and backups when one instance has none."""
    for run, connections, instances in (
        ("default", (700, 900), 1),
        ("one_instance_per_service", (84, 108), len(service_names())),
    ):
        queries = {
            (one["values"]["documentation"][0]["content"].rpartition("#")[2], severity): query
            for one in runs[run]["resources"]
            if one["type"] == "google_monitoring_alert_policy"
            and (severity := one["values"]["severity"])
            and (query := _query(one["values"]))
        }
        limits = [queries["connections", level] for level in ("WARNING", "CRITICAL")]
        assert connections == tuple(int(query.rpartition("> ")[2]) for query in limits)
        assert f"< bool {instances - 0.5:g})" in queries["backups", "CRITICAL"]


def test_alarms_cost_what_the_page_says(default: Resources) -> None:
    """docs/deploy.md adds up as many alarms as there are."""
    page = (ROOT / "docs/deploy.md").read_text("utf-8")
    counted = {
        int(number) for number in re.findall(r"^\| alarms \| `alarm` \| (\d+) \|", page, re.M)
    }
    assert {len(default("google_monitoring_alert_policy"))} == counted


def test_silence_alarms(default: Resources) -> None:
    """When no figure arrives any more one alarm says so; the log still tells of dead letters."""
    queries = " ".join(_query(policy) for policy in default("google_monitoring_alert_policy"))
    assert "absent_over_time(dentalhelp_" in queries
    assert [] == [
        one["name"]
        for one in default("google_logging_metric")
        if f"logging_googleapis_com:user_{one['name']}[" not in queries
    ]


def test_the_dashboard_says_no_zero(default: Resources) -> None:
    """The API gives back no field that is 0: one that is said would be planned again for ever."""
    (made,) = default("google_monitoring_dashboard")
    zeros: list[str] = []

    def look(fields: dict[str, Any]) -> dict[str, Any]:
        zeros.extend(name for name, value in fields.items() if value in (0, "", [], {}))
        return fields

    json.loads(made["dashboard_json"], object_hook=look)
    assert [] == zeros


def test_every_alarm_has_a_section_of_the_runbook(default: Resources) -> None:
    """The runbook that an alarm names is there, and reaches somebody."""
    page = (ROOT / "docs/runbooks/alerts.md").read_text("utf-8")
    sections = set(re.findall(r"^## ([a-z-]+)$", page, re.M))
    named = set()
    for policy in default("google_monitoring_alert_policy"):
        link = policy["documentation"][0]["content"]
        assert link.startswith("Runbook: docs/runbooks/alerts.md#")
        named.add(link.rpartition("#")[2])
        assert policy["notification_channels"]
    assert sections == named


def test_the_dashboard_shows_every_alarm(default: Resources) -> None:
    """It is JSON that Cloud Monitoring takes: tiles that do not overlap, each with one query."""
    (made,) = default("google_monitoring_dashboard")
    board = json.loads(made["dashboard_json"])
    tiles = board["mosaicLayout"]["tiles"]
    cells = {
        (x, y)
        for tile in tiles
        for x in range(tile.get("xPos", 0), tile.get("xPos", 0) + tile["width"])
        for y in range(tile.get("yPos", 0), tile.get("yPos", 0) + tile["height"])
    }
    assert len(cells) == sum(tile["width"] * tile["height"] for tile in tiles)
    assert max(x for x, _ in cells) < board["mosaicLayout"]["columns"]
    shown = set()
    for tile in tiles:
        (data,) = tile["widget"]["xyChart"]["dataSets"]
        shown.add(data["timeSeriesQuery"]["prometheusQuery"])
        assert tile["widget"]["title"]
    asked = {
        _query(policy).rpartition(" > ")[0].removeprefix("(").removesuffix(")")
        for policy in default("google_monitoring_alert_policy")
        if _query(policy)
    }
    assert set() == asked - shown


def test_lines_that_need_a_person_are_lines_of_the_code(default: Resources) -> None:
    """The log lines that alarm are written somewhere."""
    (matched,) = [
        policy["conditions"][0]["condition_matched_log"][0]["filter"]
        for policy in default("google_monitoring_alert_policy")
        if policy["conditions"][0]["condition_matched_log"]
    ]
    lines = re.findall(r'"([a-z_]+)"', matched.partition("jsonPayload.message=")[2])
    code = "".join(
        path.read_text("utf-8")
        for folder in ("shared", "functions")
        for path in (ROOT / folder).rglob("*.py")
    )
    assert lines
    assert [] == [line for line in lines if f'"{line}"' not in code]
