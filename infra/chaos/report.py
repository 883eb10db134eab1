"""The report of a run as one page that needs nothing else: no network, no script, no fonts."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.chaos import plot
from infra.chaos.matrix import REACHED, Result, unreachable
from infra.chaos.torture import Report

__all__ = ["summary", "write"]

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --soft: #595959; --line: #d4d4d4;
  --card: #f6f6f4; --kill: #d55e00; --stop: #0072b2; --cut: #8a5a9e; --random: #00785a;
  --bad: #b00020; }
@media (prefers-color-scheme: dark) { :root { --ground: #161616; --ink: #f0f0f0; --soft: #b0b0b0;
  --line: #444; --card: #222; --kill: #ff9248; --stop: #6cb8f0; --cut: #d3a4e6;
  --random: #4fd1ab; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { max-width: 46rem; } .soft, figcaption { color: var(--soft); }
.tiles { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
.tile b { display: block; font-size: 1.5rem; line-height: 1.3; } .tile.bad b { color: var(--bad); }
figure { margin: 0; } figcaption { font-size: .9rem; margin: .25rem 0 .75rem; }
svg { display: block; width: 100%; height: auto; max-width: 44rem; }
svg text { fill: var(--ink); font: 14px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .kill { fill: var(--kill); } svg .stop { fill: var(--stop); }
svg .cut { fill: var(--cut); } svg .random { fill: var(--random); }
svg rect.soft { fill: var(--soft); } svg rect.bad { fill: var(--bad); stroke: none; }
svg .bad { fill: none; stroke: var(--bad); stroke-width: 2.5; }
@media (max-width: 36rem) { svg text { font-size: 20px; } }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .6rem; border-top: 1px solid var(--line);
  vertical-align: top; }
thead th { border-top: 0; color: var(--soft); } .n { text-align: right;
  font-variant-numeric: tabular-nums; }
.bad td, li.bad { color: var(--bad); font-weight: 600; } code { font-size: .95em; }
"""
_COLUMNS = (
    ("scenario", "scenario", ""),
    ("point", "fault point", ""),
    ("process", "process", ""),
    ("action", "action", ""),
    ("hit", "hit", ""),
    ("operations", "requests", "n"),
    ("seconds", "s to converge", "n"),
    ("lost", "lost", "n"),
    ("doubled", "doubled", "n"),
    ("twice", "mailed twice", "n"),
    ("seed", "seed", ""),
)


def summary(results: Sequence[Result], tortured: Report) -> str:
    """The whole run in one line."""
    anomalies = sum(len(result.anomalies) for result in results) + len(tortured.faults)
    return (
        f"{len(results)} faults and rounds, {sum(r.operations for r in results):,} requests: "
        f"{sum(r.lost for r in results)} lost, {sum(r.doubled for r in results)} doubled, "
        f"{anomalies} anomalies; "
        f"{sum(r.twice for r in results)} mails handed over twice under one Message-ID; "
        f"{tortured.events:,} events of a tortured store: {tortured.lost} lost,"
        f" {sum(seen.missed for seen in tortured.readers)} missed,"
        f" {sum(seen.doubled for seen in tortured.readers)} doubled"
    )


def write(
    results: Sequence[Result], tortured: Report, file: Path, *, seed: int, seconds: float
) -> None:
    """Write the page. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_page(results, tortured, seed, seconds), encoding="utf-8")


def _page(results: Sequence[Result], tortured: Report, seed: int, seconds: float) -> str:
    cells = [result for result in results if result.action != "random"]
    rounds = [result for result in results if result.action == "random"]
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Chaos: seed {seed}</title><style>{_STYLE}</style><body>",
        "<h1>What happens once, happened once</h1>",
        f"<p class='soft'>{when}, seed {seed}, {seconds / 60:.1f} minutes. The same seed breaks"
        " the same things in the same order; what runs beside it is up to the machine.</p>",
        _tiles(results, tortured),
        _anomalies(results, tortured),
        _figure("What was broken, and what went on", _COUNTS, plot.counts(_counted(results))),
    ]
    if cells:
        parts.append(_figure("Until nothing was under way, by cell", _CELLS, plot.dots(cells)))
    if rounds:
        parts.append(_figure("Random rounds", _ROUNDS, plot.bars(rounds)))
    parts.append(_figure("The event store under torture", _TORTURE, plot.counts(_events(tortured))))
    parts += ["<h2>Every cell</h2>", _table(results), _NOTES, _unreachable(), "</body></html>"]
    return "\n".join(parts)


_CELLS = (
    "Seconds from the fault on, on a logarithmic axis; a stop itself takes three. Circles: ended"
    " with kill -9; squares: frozen, then continued; triangles: connection cut behind COMMIT."
    " A ring marks an anomaly."
)
_ROUNDS = (
    "Each bar is a round in which all scenarios run while any process is ended or frozen,"
    " PostgreSQL included: seconds from the last fault until nothing was under way."
)
_COUNTS = (
    "Faults by what they did, and what people got answered meanwhile, on a logarithmic axis. Lost,"
    " doubled and anomalies have no bar while there is none."
)
_TORTURE = (
    "Eight processes append to the same streams, dawdle, roll back and are ended with -9; four"
    " readers follow by the store's cursor and must miss nothing, one by positions: what it misses"
    " shows that the torture was one. Logarithmic axis; lost, missed, doubled and the like have no"
    " bar while there is none."
)
_NOTES = """<h2>How to read it</h2>
<p>A cell arms one fault point in one process, lets people use the platform, waits until nothing is
under way and counts every effect in the tables, the audit log, the ledger of erasures and the
mailboxes. <b>Lost</b>: promised, and not there. <b>Doubled</b>: there more often than asked for.
<b>Mailed twice</b>: SMTP has no transactions, so a sender that dies between the provider's yes and
its own note of it sends again, under the same Message-ID; no other cause is accepted. Points that a
scenario cannot pass were armed all the while, and a passage would be an anomaly.</p>"""


def _counted(results: Sequence[Result]) -> list[plot.Count]:
    done = Counter(result.action for result in results)
    lost, doubled = sum(r.lost for r in results), sum(r.doubled for r in results)
    return [
        *(plot.Count(f"{action}", done[action], action) for action in sorted(done)),
        plot.Count("requests answered", sum(r.operations for r in results), "soft"),
        plot.Count("lost", lost, "bad"),
        plot.Count("doubled", doubled, "bad"),
        plot.Count("anomalies", sum(len(r.anomalies) for r in results), "bad"),
    ]


def _events(tortured: Report) -> list[plot.Count]:
    readers = tortured.readers
    return [
        plot.Count("events appended", tortured.events, "soft"),
        plot.Count("rolled back", tortured.rolled_back, "soft"),
        plot.Count("appenders killed", tortured.kills, "kill"),
        plot.Count("outcome unknown", tortured.unknown, "soft"),
        plot.Count("naive reader missed", tortured.naive.missed, "soft"),
        plot.Count("lost", tortured.lost, "bad"),
        plot.Count("rolled back, there", tortured.ghosts, "bad"),
        plot.Count("streams with gaps", tortured.gaps, "bad"),
        plot.Count("missed", sum(seen.missed for seen in readers), "bad"),
        plot.Count("doubled", sum(seen.doubled for seen in readers), "bad"),
        plot.Count("out of order", sum(seen.streams_out_of_order for seen in readers), "bad"),
    ]


def _tiles(results: Sequence[Result], tortured: Report) -> str:
    figures = (
        ("faults and rounds", len(results), False),
        ("requests answered", sum(r.operations for r in results), False),
        ("events tortured", tortured.events, False),
        ("lost", sum(r.lost for r in results) + tortured.lost, True),
        ("doubled", sum(r.doubled for r in results), True),
        ("anomalies", sum(len(r.anomalies) for r in results) + len(tortured.faults), True),
        ("mailed twice", sum(r.twice for r in results), False),
        ("seconds at most", round(max((r.seconds for r in results), default=0), 1), False),
    )
    tiles = (
        f"<div class='tile{' bad' if wrong and value else ''}'><b>{value:,}</b>{name}</div>"
        for name, value, wrong in figures
    )
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _anomalies(results: Sequence[Result], tortured: Report) -> str:
    found = [
        f"<li class='bad'>{html.escape(f'{r.scenario}, {r.point}, {r.action}, seed {r.seed}: {a}')}"
        for r in results
        for a in r.anomalies
    ]
    found += [
        f"<li class='bad'>{html.escape(f'event store: {fault}')}" for fault in tortured.faults
    ]
    return f"<h2>Anomalies</h2><ul>{''.join(found)}</ul>" if found else "<p>No anomalies.</p>"


def _unreachable() -> str:
    lines = (f"<li>{scenario}: {', '.join(unreachable(scenario))}</li>" for scenario in REACHED)
    return f"<p>Armed, and not to be passed:</p><ul>{''.join(lines)}</ul>"


def _figure(title: str, caption: str, picture: str) -> str:
    return f"<h2>{title}</h2><figure><figcaption>{caption}</figcaption>{picture}</figure>"


def _table(results: Sequence[Result]) -> str:
    head = "".join(f"<th class='{kind}'>{title}</th>" for _, title, kind in _COLUMNS)
    rows = "".join(_row(result) for result in results)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead>{rows}</table></div>"


def _row(result: Result) -> str:
    values = (_text(getattr(result, name)) for name, _, _ in _COLUMNS)
    cells = "".join(
        f"<td class='{kind}'>{html.escape(value)}</td>"
        for value, (_, _, kind) in zip(values, _COLUMNS, strict=True)
    )
    return f"<tr{' class=bad' if result.anomalies else ''}>{cells}</tr>"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
