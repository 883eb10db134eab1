"""The generated part of each service's README: what it owns, publishes, consumes and promises.

``python -m infra.readmes`` rewrites what stands between the two markers, ``--check`` compares.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from infra.manifest import ROOT, load
from shared.messages import Command, Event, Message

if TYPE_CHECKING:
    from shared.runtime import Service

__all__ = ["main", "section"]

_START, _END = "<!-- generated: make docs -->", "<!-- /generated -->"
_TABLE = re.compile(r"^\s*create table (?:if not exists )?(\w+)", re.IGNORECASE | re.MULTILINE)


def section(service: Service) -> str:
    """The Markdown between the markers."""
    parts = [
        ("Owns", _owns(service)),
        ("Publishes", _publishes(service)),
        ("Consumes", _consumes(service)),
        ("Consistency", _consistency(service)),
        ("Personal data in messages", _personal(service)),
    ]
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in parts)


def main(arguments: Sequence[str]) -> int:
    """Write the sections, or with ``--check`` name the README files that are not current."""
    stale = []
    for service in load():
        path = ROOT / "functions" / service.name / "README.md"
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        before, start, rest = old.partition(_START)
        if not start or _END not in rest:
            print(f"{path.relative_to(ROOT)} lacks {_START} and {_END}", file=sys.stderr)
            return 1
        new = f"{before}{_START}\n\n{section(service)}\n\n{_END}{rest.partition(_END)[2]}"
        if new != old:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run: make docs", file=sys.stderr)
        return 1
    return 0


def _owns(service: Service) -> list[str]:
    folder = ROOT / "functions" / service.name / "migrations"
    files = sorted(folder.glob("*.sql"))
    tables = sorted({t for f in files for t in _TABLE.findall(f.read_text(encoding="utf-8"))})
    lines = [f"Database `{service.name}_db`" + _listed(" with ", tables) + "; routes:", ""]
    lines += ["| route | who | what |", "|---|---|---|"]
    for route in service.api.routes:
        what = route.summary.replace("|", "\\|")
        who = route.access.describe().replace("|", "\\|")
        lines.append(f"| `{route.method} {route.path}` | {who} | {what} |")
    return lines


def _publishes(service: Service) -> list[str]:
    messages = _contract(service)
    lines = [f"On topic `{service.name}`:", ""]
    lines += [_message(m) for m in messages if issubclass(m, Event)] or ["- nothing of its own"]
    commands = [m for m in messages if issubclass(m, Command)]
    if commands:
        lines += ["", "Commands it accepts from sagas:", "", *map(_message, commands)]
    return lines


def _consumes(service: Service) -> list[str]:
    found = [
        f"- `{name}` from {', '.join(f'`{t}`' for t in sorted(handler.topics - {service.name}))}"
        for name, handler in sorted(service.on.handlers.items())
        if handler.topics - {service.name}
    ]
    return found or ["Nothing."]


def _consistency(service: Service) -> list[str]:
    lines = ["- Its own tables: strong. A request is one transaction, its messages included."]
    if service.topics:
        lines.append(
            "- What it learns from others: eventual, each message once, in order per aggregate"
            " (a parked message leaves a gap)."
        )
    for saga in service.sagas:
        steps = " → ".join(_step(step) for step in saga.steps)
        lines.append(f"- Saga *{saga.name}*: {steps}.")
    return lines


def _step(step: object) -> str:
    marks = [mark for mark in ("pivot", "optional") if getattr(step, mark, False)]
    return getattr(step, "name", "") + _listed(" (", marks, ")", code=False)


def _personal(service: Service) -> list[str]:
    found = [
        f"- `{m.type_name()}`" + _listed(": ", sorted(m.personal_fields()))
        for m in _contract(service)
        if m.personal_fields()
    ]
    return found or ["None."]


def _contract(service: Service) -> list[type[Message]]:
    try:
        module = importlib.import_module(f"shared.contracts.{service.name}")
    except ModuleNotFoundError:
        return []
    named = [getattr(module, name) for name in sorted(module.__all__)]
    return [m for m in named if isinstance(m, type) and issubclass(m, Message)]


def _message(message: type[Message]) -> str:
    doc = " ".join((message.__doc__ or "").split("\n\n")[0].split())
    return f"- `{message.type_name()}`: {doc}"


def _listed(before: str, items: Iterable[str], after: str = "", *, code: bool = True) -> str:
    texts = [f"`{item}`" if code else item for item in items]
    return before + ", ".join(texts) + after if texts else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
