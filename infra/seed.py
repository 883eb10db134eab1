"""``make seed-data``: fill a running platform with a group of clinics, through its public API.

Reads URL (or PORT), ADMIN_FILE and COUNT (10000 patients). Person number n is the same person in
every run, so a second run adds only what is missing. Ends when every registration has ended and
every patient was found by national id; exit code 1 with the reason otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from infra.client import Answer, Away, Client, NotThere, Person, admin, target, why
from infra.people import patient

__all__ = ["CLINICS", "Unfilled", "main"]

_WORKERS = 8
_SAGAS = 600.0  # seconds for the last sagas: on a busy machine they lag behind the requests
_AUTH = "/api/auth"

CLINICS = (
    ("București Centru", "Calea Victoriei 12, București", "Europe/Bucharest", ["ro", "en"]),
    ("Cluj-Napoca", "Strada Memorandumului 7, Cluj-Napoca", "Europe/Bucharest", ["ro", "en"]),
    ("Iași", "Bulevardul Ștefan cel Mare 21, Iași", "Europe/Bucharest", ["ro"]),
    ("Jakarta Selatan", "Jalan Kemang Raya 45, Jakarta", "Asia/Jakarta", ["id", "en"]),
    ("Denpasar", "Jalan Teuku Umar 8, Denpasar", "Asia/Makassar", ["id", "en"]),
)
# E-mail name, role, how many per clinic.
_POSTS = (("reception", "RECEPTIONIST", 2), ("dentist", "DENTIST", 3))
_NAMES = (("Ilinca", "Țîrlea"), ("Răzvan", "Șerban"), ("Dewi", "Lestari"), ("Agus", "Wijaya"))


class Unfilled(Exception):
    """The platform is not as it should be; the message says what is missing."""


class Group:
    """The clinics, their staff and their patients."""

    def __init__(self, url: str, email: str, password: str, count: int) -> None:
        """``email`` and ``password`` are an administrator's."""
        self._url, self._secret, self._count = url, password.encode(), count
        self._admin = Person(url, email, password)
        self._local = threading.local()
        self._done: Counter[str] = Counter()
        self._lock = threading.Lock()

    def staff(self) -> list[tuple[str, str]]:
        """Open the clinics and employ their staff: (role, e-mail) of each."""
        employed = []
        for number, (name, address, zone, languages) in enumerate(CLINICS, 1):
            clinic = self._clinic(name, address, zone, languages)
            for post, role, many in _POSTS:
                for place in range(1, many + 1):
                    email = f"{post}.{number}.{place}@dentalhelp.example"
                    first, last = _NAMES[(number + place) % len(_NAMES)]
                    body = {
                        "email": email,
                        "password": self.password(email),
                        "first_name": first,
                        "last_name": last,
                        "roles": [{"role": role, "clinic_id": clinic}],
                    }
                    self._made(self._admin.call("POST", f"{_AUTH}/users", body))
                    employed.append((role, email))
        return employed

    def password(self, email: str) -> str:
        """Of a staff member: nobody without the administrator's password can tell it."""
        mac = hmac.new(self._secret, f"seed:{email}".encode(), hashlib.sha256).digest()
        return base64.b32encode(mac)[:20].decode().lower()

    def invite(self) -> Counter[str]:
        """Let reception register everybody: how many are ``new`` and ``known``."""
        self._each("registered", self._invite)
        return self._done

    def wait(self) -> None:
        """Wait until no registration is under way. Raises Unfilled."""
        deadline = time.monotonic() + _SAGAS
        for status in ("RUNNING", "COMPENSATING"):
            while self._admin.call("GET", f"{_AUTH}/-/sagas?status={status}&limit=1").body["items"]:
                if time.monotonic() > deadline:
                    raise Unfilled(f"registrations are still {status} after {_SAGAS:.0f} s")
                time.sleep(0.1)
        if self._admin.call("GET", f"{_AUTH}/-/sagas?status=PARKED&limit=1").body["items"]:
            raise Unfilled("registrations are PARKED: see the log of auth")

    def verify(self) -> None:
        """Find every patient by national id. Raises Unfilled naming how many are missing."""
        self._each("found", self._find)
        if self._done["found"] != self._count:
            raise Unfilled(f"{self._count - self._done['found']} of {self._count} are missing")

    def _clinic(self, name: str, address: str, zone: str, languages: list[str]) -> str:
        body = {"name": name, "address": address, "time_zone": zone, "languages": languages}
        made = self._admin.call("POST", f"{_AUTH}/clinics", body)
        if self._made(made):
            return str(made.body["id"])
        cursor = ""
        while True:
            page = self._admin.call("GET", f"{_AUTH}/clinics?limit=100{cursor}").body
            for clinic in page["items"]:
                if clinic["name"] == name:
                    return str(clinic["id"])
            if not page["next_cursor"]:
                raise Unfilled(f"the clinic {name} is neither made nor there")
            cursor = f"&cursor={page['next_cursor']}"

    def _invite(self, number: int) -> None:
        answer = self._reception().call("POST", f"{_AUTH}/invitations", patient(number))
        self._count_one("new" if self._made(answer) else "known")

    def _find(self, number: int) -> None:
        wanted = patient(number)
        body = {"national_id": wanted["national_id"]}
        found = self._reception().call("POST", "/api/patients/search", body)
        if found.status != 200:
            raise Unfilled(f"the search fails: {why(found)}")
        names = [(item["first_name"], item["last_name"]) for item in found.body["items"]]
        self._count_one(
            "found" if names == [(wanted["first_name"], wanted["last_name"])] else "missing"
        )

    def _reception(self) -> Person:
        """This thread's receptionist."""
        person: Person | None = getattr(self._local, "person", None)
        if person is None:
            with self._lock:
                self._done["desks"] += 1
                clinic = self._done["desks"] % len(CLINICS) + 1
            email = f"reception.{clinic}.1@dentalhelp.example"
            person = self._local.person = Person(self._url, email, self.password(email))
        return person

    def _count_one(self, what: str) -> None:
        with self._lock:
            self._done[what] += 1

    def _each(self, what: str, work: Callable[[int], None]) -> None:
        """``work`` for every number, with several threads and a line of progress."""
        started, told, done = time.monotonic(), 0.0, 0
        every = 0.5 if sys.stdout.isatty() else 10.0
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                for done, _ in enumerate(pool.map(work, range(self._count)), 1):
                    now = time.monotonic()
                    if now - told > every and done < self._count:
                        told = now
                        _progress(what, done, self._count, now - started, last=False)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        _progress(what, done, self._count, time.monotonic() - started, last=True)

    @staticmethod
    def _made(answer: Answer) -> bool:
        """True for 201, False for 409: it is there already. Raises Unfilled."""
        if answer.status not in (201, 409):
            raise Unfilled(why(answer))
        return answer.status == 201


def _progress(what: str, done: int, of: int, seconds: float, *, last: bool) -> None:
    terminal = sys.stdout.isatty()
    line = f"  {what} {done:,} of {of:,} patients, {done / max(seconds, 1e-3):,.0f}/s"
    print(("\r" if terminal else "") + line, end="" if terminal and not last else "\n", flush=True)


def _number(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 20_000_000:
        return int(text)
    raise NotThere(f"COUNT must be a number from 1 to 20000000, not {text!r}.")


def main() -> int:
    """Fill the platform; the exit code."""
    url = target()
    try:
        count = _number(os.environ.get("COUNT") or "10000")
        Client(url).call("GET", "/services.json")
        who = admin()
        group = Group(url, who.email, who.password, count)
        started = time.monotonic()
        staff = group.staff()
        print(f"{len(CLINICS)} clinics with {len(staff)} people at {url}", flush=True)
        done = group.invite()
        group.wait()
        took = time.monotonic() - started
        group.verify()
    except (NotThere, Unfilled) as fault:
        print(f"\n{fault}" if isinstance(fault, Unfilled) else fault, file=sys.stderr)
        return 1
    except Away as fault:
        print(f"Nothing answers at {url} ({fault}). Start it with make run.", file=sys.stderr)
        return 1
    rate = done["new"] / took
    print(f"  {done['new']:,} new, {done['known']:,} there already, all sagas ended: {took:.1f} s")
    print(f"  {rate:,.0f} registrations/s from the first request to the last saga's end")
    for role, email in (staff[0], staff[2]):
        print(f"  {role:<13} {email}  {group.password(email)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
