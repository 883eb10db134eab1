"""``make redrive SERVICE=patient``: let dead letters take effect, oldest first.

Reads SERVICE, TYPE (such as EMAIL_UPDATED; all types without it), URL (or PORT) and ADMIN_FILE.
Prints how many ended how, and why others failed again; exit code 1 if there are any.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from infra import manifest
from infra.client import Away, NotThere, Person, admin, target, why

__all__ = ["main"]

_PATIENCE = 10.0  # seconds for an answer that is not 503
_PAGE = 200


def _prefix(name: str) -> str:
    """The URL prefix of a service. Raises NotThere."""
    known = {service.name: service.prefix for service in manifest.load()}
    if name not in known:
        raise NotThere(f"SERVICE must be one of {', '.join(sorted(known))}.")
    return known[name]


def _letters(person: Person, path: str, event_type: str | None) -> list[str]:
    """The ids of the letters there are, oldest first. Raises NotThere, Away."""
    found: list[str] = []
    query = {"limit": str(_PAGE)} | ({"event_type": event_type} if event_type else {})
    while True:
        page = person.call("GET", f"{path}?{urlencode(query)}")
        if page.status != 200:
            raise NotThere(f"The dead letters cannot be listed: {why(page)}")
        found += [item["id"] for item in page.body["items"]]
        if page.body["next_cursor"] is None:
            return found[::-1]
        query["cursor"] = page.body["next_cursor"]


def _redrive(person: Person, path: str, letters: list[str]) -> Counter[str]:
    """Outcome -> how many letters. What fails again is printed."""
    done: Counter[str] = Counter()
    for letter in letters:
        answer = person.call("POST", f"{path}/{quote(letter, safe='')}/redrive")
        if answer.status == 200:
            done[answer.body["outcome"]] += 1
        elif answer.status == 404:
            # Somebody else was first, or our own first try, whose answer was lost.
            done["gone"] += 1
        else:
            done["failed again"] += 1
            print(f"  {letter}: {answer.body.get('reason') or why(answer)}")
    return done


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Redrive what is asked for; the exit code."""
    url = target(environ)
    try:
        path = f"{_prefix(environ.get('SERVICE', ''))}/-/dead-letters"
        who = admin(environ)
        person = Person(url, who.email, who.password, patience=_PATIENCE)
        done = _redrive(person, path, _letters(person, path, environ.get("TYPE") or None))
    except NotThere as fault:
        print(fault, file=sys.stderr)
        return 1
    except Away as fault:
        print(f"Nothing answers at {url} ({fault}). Start it with make run.", file=sys.stderr)
        return 1
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(done.items()))
    print(counts or "There are no such dead letters.")
    return 1 if done["failed again"] else 0


if __name__ == "__main__":
    sys.exit(main())
