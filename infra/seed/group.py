"""The group of clinics, its staff and its patients, made through the public API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from infra.client import Answer, Person, why
from infra.people import patient

__all__ = ["CLINICS", "COHORT", "DENTISTS", "Clinic", "Group", "Unfilled", "told"]

T = TypeVar("T")

_WORKERS = 8
# Seconds for the last sagas, and for each: on a busy machine they lag far behind the requests.
_SAGAS, _SAGA = 600.0, 0.2
_AUTH = "/api/auth"
_DOMAIN = "dentalhelp.example"

CLINICS = (
    ("București Centru", "Calea Victoriei 12, București", "Europe/Bucharest", ["ro", "en"]),
    ("Cluj-Napoca", "Strada Memorandumului 7, Cluj-Napoca", "Europe/Bucharest", ["ro", "en"]),
    ("Iași", "Bulevardul Ștefan cel Mare 21, Iași", "Europe/Bucharest", ["ro"]),
    ("Jakarta Selatan", "Jalan Kemang Raya 45, Jakarta", "Asia/Jakarta", ["id", "en"]),
    ("Denpasar", "Jalan Teuku Umar 8, Denpasar", "Asia/Makassar", ["id", "en"]),
)
COHORT = 10_000
"""How many people share one set of dentists."""
RECEPTIONISTS, DENTISTS = 2, 3
"""Of each clinic; dentists for each cohort."""
_NAMES = (("Ilinca", "Țîrlea"), ("Răzvan", "Șerban"), ("Dewi", "Lestari"), ("Agus", "Wijaya"))


class Unfilled(Exception):
    """The platform is not as it should be; the message says what is missing."""


@dataclass
class Clinic:
    """One clinic and who works there, by their accounts' ids."""

    clinic_id: UUID
    name: str
    zone: str
    language: str
    receptionists: list[UUID] = field(default_factory=list)
    dentists: list[UUID] = field(default_factory=list)

    @property
    def currency(self) -> str:
        """In which it is paid."""
        return "RON" if self.language == "ro" else "IDR"

    def price(self, lei: int) -> int:
        """In the currency's minor units; what is 1 leu there is 3,500 rupiah here."""
        return lei * 100 * (1 if self.language == "ro" else 3_500)


class _Receptionist(Person):
    """Somebody who logs in when nobody else does: many log-ins of one account at a time look like
    an attack."""

    def __init__(self, url: str, email: str, password: str, alone: threading.Lock) -> None:
        super().__init__(url, email, password)
        self._alone = alone

    def _login(self) -> None:
        with self._alone:
            super()._login()


class Group:
    """The clinics, their staff and their patients."""

    def __init__(self, url: str, email: str, password: str, count: int) -> None:
        """``email`` and ``password`` are an administrator's."""
        self._url, self._secret, self.count = url, password.encode(), count
        self.admin = Person(url, email, password)
        self._local = threading.local()
        self._done: Counter[str] = Counter()
        self._lock, self._logging_in = threading.Lock(), threading.Lock()
        # The same threads all along: each of them is logged in.
        self._pool = ThreadPoolExecutor(_WORKERS)
        self.clinics: list[Clinic] = []
        self.people: dict[int, UUID] = {}
        """Person number -> the patient's id, once they were found."""

    def open(self) -> int:
        """Open the clinics and employ their staff; how many people work there."""
        cohorts = -(-self.count // COHORT)
        for number, (name, address, zone, languages) in enumerate(CLINICS, 1):
            clinic = self._clinic(name, address, zone, languages)
            self.clinics.append(Clinic(UUID(clinic), name, zone, languages[0]))
            for post, role, many in (
                ("reception", "RECEPTIONIST", RECEPTIONISTS),
                ("dentist", "DENTIST", DENTISTS * cohorts),
            ):
                for place in range(1, many + 1):
                    self._employ(number, place, post, role)
        hired = self._hired()
        for number, clinic_of in enumerate(self.clinics, 1):
            for post, staff in (
                ("reception", clinic_of.receptionists),
                ("dentist", clinic_of.dentists),
            ):
                many = RECEPTIONISTS if post == "reception" else DENTISTS * cohorts
                staff += [hired[self.email(post, number, place)] for place in range(1, many + 1)]
        return len(self.clinics) * (RECEPTIONISTS + DENTISTS * cohorts)

    @staticmethod
    def email(post: str, clinic: int, place: int) -> str:
        """The log-in of a staff member; clinics and places count from 1."""
        return f"{post}.{clinic}.{place}@{_DOMAIN}"

    def password(self, email: str) -> str:
        """Of a staff member: nobody without the administrator's password can tell it."""
        mac = hmac.new(self._secret, f"seed:{email}".encode(), hashlib.sha256).digest()
        return base64.b32encode(mac)[:20].decode().lower()

    def invite(self) -> Counter[str]:
        """Let reception register everybody: how many are ``new`` and ``known``."""
        self.each("registered", "patients", range(self.count), self._invite)
        return self._done

    def wait(self) -> None:
        """Wait until no registration is under way. Raises Unfilled."""
        patience = _SAGAS + _SAGA * self.count
        deadline = time.monotonic() + patience
        for status in ("RUNNING", "COMPENSATING"):
            while self.admin.call("GET", f"{_AUTH}/-/sagas?status={status}&limit=1").body["items"]:
                if time.monotonic() > deadline:
                    raise Unfilled(f"registrations are still {status} after {patience:.0f} s")
                time.sleep(0.1)
        if self.admin.call("GET", f"{_AUTH}/-/sagas?status=PARKED&limit=1").body["items"]:
            raise Unfilled("registrations are PARKED: see the log of auth")

    def verify(self) -> None:
        """Find every patient by national id. Raises Unfilled naming how many are missing."""
        self.each("found", "patients", range(self.count), self._find)
        if self._done["missing"]:
            raise Unfilled(f"{self._done['missing']} of {self.count} are missing")

    def _clinic(self, name: str, address: str, zone: str, languages: list[str]) -> str:
        body = {"name": name, "address": address, "time_zone": zone, "languages": languages}
        made = self.admin.call("POST", f"{_AUTH}/clinics", body)
        if self.made(made):
            return str(made.body["id"])
        for clinic in self.all(f"{_AUTH}/clinics"):
            if clinic["name"] == name:
                return str(clinic["id"])
        raise Unfilled(f"the clinic {name} is neither made nor there")

    def _employ(self, number: int, place: int, post: str, role: str) -> None:
        email = self.email(post, number, place)
        first, last = _NAMES[(number + place) % len(_NAMES)]
        body = {
            "email": email,
            "password": self.password(email),
            "first_name": first,
            "last_name": last,
            "roles": [{"role": role, "clinic_id": str(self.clinics[number - 1].clinic_id)}],
        }
        self.made(self.admin.call("POST", f"{_AUTH}/users", body))

    def _hired(self) -> dict[str, UUID]:
        return {one["email"]: UUID(one["id"]) for one in self.all(f"{_AUTH}/users")}

    def all(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list, as the administrator sees it. Raises Unfilled."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.admin.call("GET", f"{path}?limit=100{cursor}")
            if page.status != 200:
                raise Unfilled(f"{path}: {why(page)}")
            found += page.body["items"]
            if not page.body["next_cursor"]:
                return found
            cursor = f"&cursor={page.body['next_cursor']}"

    def _invite(self, number: int) -> None:
        answer = self.anybody().call("POST", f"{_AUTH}/invitations", patient(number))
        self._count_one("new" if self.made(answer) else "known")

    def _find(self, number: int) -> None:
        wanted = patient(number)
        body = {"national_id": wanted["national_id"]}
        found = self.anybody().call("POST", "/api/patients/search", body)
        if found.status != 200:
            raise Unfilled(f"the search fails: {why(found)}")
        names = [(item["first_name"], item["last_name"]) for item in found.body["items"]]
        if names != [(wanted["first_name"], wanted["last_name"])]:
            self._count_one("missing")
            return
        with self._lock:
            self.people[number] = UUID(found.body["items"][0]["patient_id"])

    def reception(self, clinic: int) -> Person:
        """A receptionist of a clinic (its place in CLINICS), for this thread."""
        desks: dict[int, Person] = self._local.__dict__.setdefault("desks", {})
        if clinic not in desks:
            email = self.email("reception", clinic + 1, 1)
            desks[clinic] = _Receptionist(self._url, email, self.password(email), self._logging_in)
        return desks[clinic]

    def anybody(self) -> Person:
        """This thread's receptionist, where it does not matter at which clinic."""
        if not hasattr(self._local, "clinic"):
            with self._lock:
                self._done["threads"] += 1
                self._local.clinic = self._done["threads"] % len(CLINICS)
        return self.reception(self._local.clinic)

    def _count_one(self, what: str) -> None:
        with self._lock:
            self._done[what] += 1

    def each(self, what: str, whom: str, over: Sequence[T], work: Callable[[T], None]) -> None:
        """``work`` for everything in ``over``, with several threads and a line of progress."""
        try:
            told(what, whom, len(over), (1 for _ in self._pool.map(work, over)))
        except BaseException:
            self._pool.shutdown(cancel_futures=True)
            raise

    @staticmethod
    def made(answer: Answer) -> bool:
        """True for 201, False for 409: it is there already. Raises Unfilled."""
        if answer.status not in (201, 409):
            raise Unfilled(why(answer))
        return answer.status == 201


def told(what: str, whom: str, of: int, steps: Iterable[int]) -> float:
    """Go through ``steps``, each of which does so many of ``of``, with a line of progress now and
    then; how many seconds it took."""
    started = shown = time.monotonic()
    done = 0
    terminal = sys.stdout.isatty()
    for step in steps:
        done += step
        now = time.monotonic()
        if now - shown > (0.5 if terminal else 10.0) and done < of:
            shown = now
            _progress(what, whom, done, of, now - started, last=False)
    _progress(what, whom, done, of, time.monotonic() - started, last=True)
    return time.monotonic() - started


def _progress(what: str, whom: str, done: int, of: int, seconds: float, *, last: bool) -> None:
    terminal = sys.stdout.isatty()
    line = f"  {what} {done:,} of {of:,} {whom}, {done / max(seconds, 1e-3):,.0f}/s"
    print(("\r" if terminal else "") + line, end="" if terminal and not last else "\n", flush=True)
