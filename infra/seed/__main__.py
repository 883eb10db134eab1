"""``make seed-data``: reads URL (or PORT), DATA, ADMIN_FILE and COUNT (10000 patients; everything
else in proportion). Ends when everything is there, was counted, and the operators' tools find that
all of it agrees; exit code 1 with the reason otherwise."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra import manifest
from infra.client import Away, Client, NotThere, admin, target
from infra.local.visit import joined
from infra.seed.checking import agrees, counted
from infra.seed.desk import Coming, Desk
from infra.seed.filling import Past
from infra.seed.group import CLINICS, Group, Unfilled, told
from shared.config import config
from shared.runtime import database

_MOST = 20_000_000


def main() -> int:
    """Fill the platform; the exit code."""
    url = target()
    try:
        count = _number(os.environ.get("COUNT") or "10000")
        Client(url).call("GET", "/services.json")
        who = admin()
        directory = _platform()
        started = time.monotonic()
        group = Group(url, who.email, who.password, count)
        _people(group, url)
        desks = _desks(group)
        coming = Coming(group, desks)
        booked, asked = coming.book(), coming.ask()
        _past(group, desks, coming, directory)
    except (NotThere, Unfilled, OSError) as fault:
        print(f"\n{fault}" if isinstance(fault, Unfilled) else fault, file=sys.stderr)
        return 1
    except Away as fault:
        print(f"Nothing answers at {url} ({fault}). Start it with make run.", file=sys.stderr)
        return 1
    print(f"  {booked:,} appointments and {asked:,} requests are still to come")
    print(f"  all of it is there and agrees: {time.monotonic() - started:.0f} s")
    for post, role in (("reception", "RECEPTIONIST"), ("dentist", "DENTIST")):
        email = group.email(post, 1, 1)
        print(f"  {role:<13} {email}  {group.password(email)}")
    return 0


def _people(group: Group, url: str) -> None:
    started = time.monotonic()
    staff = group.open()
    print(f"{len(CLINICS)} clinics with {staff} people at {url}", flush=True)
    done = group.invite()
    group.wait()
    took = time.monotonic() - started
    group.verify()
    print(f"  {done['new']:,} new, {done['known']:,} there already, all sagas ended: {took:.1f} s")
    rate = done["new"] / took
    print(f"  {rate:,.0f} registrations/s from the first request to the last saga's end")


def _desks(group: Group) -> list[Desk]:
    desks = [Desk(clinic) for clinic in group.clinics]
    for desk in desks:
        desk.equip(group)
    return desks


def _past(group: Group, desks: Sequence[Desk], coming: Coming, directory: Path) -> None:
    with _embedded(directory):
        _same(desks, directory)
        past = Past(desks, coming.day, group.people)
        told("filled", "people's year", group.count, past.fill())
        started = time.monotonic()
        past.project()
        print(f"  the charts' read models are up to date: {time.monotonic() - started:.1f} s")
        for kind, many in counted(past).items():
            print(f"  {many:>9,} {kind} of the past")
    started = time.monotonic()
    agrees(directory)
    print(
        f"  validate, replay-check and audit-verify are clean: {time.monotonic() - started:.1f} s"
    )


def _same(desks: Sequence[Desk], directory: Path) -> None:
    """Raises Unfilled where the platform that answers is another one."""
    ids = [desk.clinic.clinic_id for desk in desks]
    sql = "select count(*) as n from clinics where clinic_id = any(:ids::uuid[])"
    row = database("appointment").one(sql, ids=ids) or {}
    if row.get("n") != len(ids):
        raise Unfilled(f"the platform that answers is not the one in {directory}: name it by DATA")


def _platform() -> Path:
    """The directory of the embedded platform: DATA, or where ADMIN_FILE is. Raises NotThere."""
    admin_file = os.environ.get("ADMIN_FILE")
    beside = str(Path(admin_file).absolute().parent) if admin_file else ".local"
    directory = manifest.ROOT / (os.environ.get("DATA") or beside)
    if not (directory / "secrets.json").exists():
        raise NotThere(
            "The year that is over is filled in bulk, which works on the embedded platform only,"
            f" and there is none in {directory}: name its directory by DATA."
        )
    return directory


@contextmanager
def _embedded(directory: Path) -> Iterator[None]:
    """This process as one of the platform's, until then."""
    before = dict(os.environ)
    try:
        with joined(directory, "seed-data"):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        config.cache_clear()


def _number(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= _MOST:
        return int(text)
    raise NotThere(f"COUNT must be a number from 1 to {_MOST}, not {text!r}.")


if __name__ == "__main__":
    sys.exit(main())
