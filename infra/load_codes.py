"""``make load-codes FILE=cdt.csv SYSTEM=cdt TITLE="..." VERSION=2026``: add a catalogue of codes to
dental records, or say anew what is there.

The file is CSV (RFC 4180, UTF-8) with the columns ``code``, ``title`` and, if there are any,
``withdrawn`` (true, false or empty). It goes over in portions, each of them whole or not at all; a
load that was broken off is begun again. Reads URL (or PORT) and ADMIN_FILE. Exit code 1 if a
portion was refused.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.client import Answer, Away, NotThere, Person, admin, target, why

__all__ = ["main"]

_PORTION = 500
_TRUTH = {"true": True, "false": False, "": False}


def _codes(file: str) -> list[dict[str, Any]]:
    """The codes in ``file``. Raises NotThere."""
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if not {"code", "title"} <= set(rows.fieldnames or ()):
                raise NotThere(f"{file} has no columns code and title.")
            return [_code(row) for row in rows]
    except (OSError, UnicodeError, csv.Error) as fault:
        raise NotThere(f"{file} cannot be read: {fault}") from None
    except (KeyError, AttributeError):
        raise NotThere(f"{file}: withdrawn is true, false or empty, in every line.") from None


def _code(row: Mapping[str, str]) -> dict[str, Any]:
    withdrawn = _TRUTH[(row.get("withdrawn") or "").strip().lower()]
    return {"code": row["code"].strip(), "title": row["title"].strip(), "withdrawn": withdrawn}


def _portions(codes: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(codes), _PORTION):
        yield codes[start : start + _PORTION]


def _refusal(answer: Answer, first: int) -> str:
    """Which line of the file is wrong, as far as the answer says it."""
    for error in answer.body.get("errors", ()):
        parts = str(error.get("pointer", "")).split("/")
        if parts[1:2] == ["codes"] and parts[2:3] and parts[2].isdigit():
            return f"code number {first + int(parts[2]) + 1} of the file: {error['detail']}"
        return f"{error.get('pointer', '')}: {error['detail']}"
    return why(answer)


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Load what is asked for; the exit code."""
    url = target(environ)
    try:
        system, file = environ.get("SYSTEM", ""), environ.get("FILE", "")
        if not system or not file:
            raise NotThere("Say FILE= and SYSTEM=, such as FILE=cdt.csv SYSTEM=cdt.")
        codes = _codes(file)
        who = admin(environ)
        person = Person(url, who.email, who.password, patience=10.0)
        words = {"title": environ.get("TITLE") or system, "version": environ.get("VERSION") or "1"}
        path = f"/api/dental-records/code-systems/{quote(system, safe='')}"
        loaded = 0
        for portion in _portions(codes):
            answer = person.call("PUT", path, {**words, "codes": portion})
            if answer.status != 200:
                raise NotThere(f"{loaded} loaded, then refused: {_refusal(answer, loaded)}")
            loaded += len(portion)
    except NotThere as fault:
        print(fault, file=sys.stderr)
        return 1
    except Away as fault:
        print(f"Nothing answers at {url} ({fault}). Start it with make run.", file=sys.stderr)
        return 1
    print(f"{loaded} codes of {system} loaded.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
