"""pgbench with the statements that our own code sends: caught on the wire, written as a script.

The script's literals are text in which pgbench puts its variables, so that the server computes
nothing that it would not for us; what travelled together travels together.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

from shared.wire import Answer, Statement, Wire
from shared.wire_codec import compiled

__all__ = ["Caught", "caught", "run", "script", "until_commit"]

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


@dataclass
class Caught:
    """What was sent, in the order of flushes: the statements of each with their parameters' text
    (None: NULL) in the order of ``$n``."""

    flushes: list[list[tuple[str, list[str | None]]]] = field(default_factory=list)


@contextmanager
def caught() -> Iterator[Caught]:
    """Everything that this process sends to PostgreSQL inside the block."""
    found, plain = Caught(), Wire.exchange

    def exchange(wire: Wire, *statements: Statement, **more: object) -> list[Answer]:
        found.flushes.append([_text(wire, one) for one in statements])
        return plain(wire, *statements, **more)  # type: ignore[arg-type]

    with mock.patch.object(Wire, "exchange", exchange):
        yield found


def until_commit(found: Caught) -> list[list[tuple[str, list[str | None]]]]:
    """The flushes up to the one that commits."""
    for at, flush in enumerate(found.flushes, 1):
        if flush[-1][0] == "COMMIT":
            return found.flushes[:at]
    raise ValueError("nothing was committed")


def script(
    flushes: Sequence[Sequence[tuple[str, list[str | None]]]], variables: Mapping[str, str]
) -> str:
    """The SQL of a pgbench script; ``variables``: what stands for a text wherever it occurs."""
    lines = []
    for flush in flushes:
        parts = [part for sql, values in flush for part in _literal(sql, values, variables)]
        lines.append(" \\;\n".join(parts) + ";\n")
    return "".join(lines)


def run(
    directory: Path,
    url: str,
    path: Path,
    *,
    clients: int,
    transactions: int,
    defined: Mapping[str, int],
) -> float:
    """Transactions per second of ``path``, ``transactions`` by each of ``clients``.

    ``directory`` holds pgbench, ``url`` is of the database, ``defined`` are variables. Raises
    RuntimeError where pgbench fails.
    """
    parts = urlsplit(url)
    command = [
        str(directory / "pgbench"),
        *("--no-vacuum", "--protocol=simple", f"--file={path}"),
        *(f"--client={clients}", "--jobs=2", f"--transactions={transactions}"),
        *(f"--define={name}={value}" for name, value in defined.items()),
        f"--username={parts.username}",
        f"--host={parse_qs(parts.query)['host'][0]}",
        parts.path.removeprefix("/"),
    ]
    environment = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pgbench failed: {done.stderr[-2000:]}")
    return float(_TPS.findall(done.stdout)[-1])


def _text(wire: Wire, statement: Statement) -> tuple[str, list[str | None]]:
    if not statement.params:
        return statement.sql, []
    from pg8000.converters import make_params

    parse, names = compiled(statement.sql)
    sql = parse[6 : parse.index(b"\0", 6)].decode()
    return sql, list(make_params(wire._types, [statement.params[name] for name in names]))


def _literal(sql: str, values: Sequence[str | None], variables: Mapping[str, str]) -> Iterator[str]:
    if not values:
        yield from filter(None, (part.strip() for part in sql.split(";")))
        return

    def literal(match: re.Match[str]) -> str:
        value = values[int(match[1]) - 1]
        if value is None:
            return "null"
        for text, variable in variables.items():
            value = value.replace(text, variable)
        return "'" + value.replace("'", "''") + "'"

    yield _PARAMETER.sub(literal, sql).strip()
