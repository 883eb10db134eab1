"""Somebody whom all seven services know is erased: what a law holds is shown to nobody without a
reason, and everything else is gone; when the law's time is over, all of it is.

Every route that reads is asked for what it would say: one that is added tomorrow fails here until
somebody has said how to ask it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zipfile import ZipFile

import pytest

from infra.local.postgres import Cluster
from shared.config import config
from shared.db import Database
from tests.architecture.test_access_table import TABLE
from tests.erasure_stack import as_superuser, erase, follow, found_in, found_in_blobs
from tests.platform import EVERY
from tests.whole_life import WORDS, Life
from tests.whole_looks import HARMLESS, LOOKS, SEARCHES, TELLING

_STATED = {"X-Purpose-Of-Use": "HLEGAL"}
WRITTEN = {
    "auth": ("zenobiella.quillfeather@example.com",),
    "patient": (
        "Quillfeather",
        "penicillin-quillfeather",
        "quillfeather latex",
        "1995-01-01",
        "721998877",
    ),
    "appointment": ("quillfeather visit", "quillfeather wish", "windows", "reminders"),
    "dental_records": (
        "quillfeather caries",
        "quillfeather filling",
        "quillfeather resin",
        "LOT-QUILL-1",
    ),
    "xray": ("quillfeather image",),
    "treatment": (
        "quillfeather plan",
        "quillfeather phase",
        "quillfeather filling",
        "zenobiella drops",
        "quillfeather latex",
    ),
    "notification": ("TREATMENT_PLANNED", "APPOINTMENT_CONFIRMED"),
}
"""What each service was told about her."""
HOLDING = {"appointment", "dental_records", "treatment", "xray"}
HELD = (
    "/api/appointments/{appointment_id}",
    "/api/dental-records/{patient_id}/chart",
    "/api/treatments/prescriptions/{prescription_id}",
    "/api/treatments/{treatment_id}",
    "/api/xrays/{xray_id}/preview",
    "/api/auth/exports/{patient_id}",
)
"""What an ADMIN who says why still sees, among others."""
# That there was somebody, what was done with the data, and that nobody comes back by this id.
LEFT = {
    *("audit_log.actor", "audit_log.person_id", "erased_people.person_id", "revocations.subject"),
    *("erasures.person_id", "erasures.requested_by", "sagas.subject", "documents.id"),
    # Facts without their words: the key they are sealed with is gone.
    *("events.id", "events.person_id", "events.actor"),
}


@pytest.fixture
def owners(life: Life, cluster: Cluster) -> Iterator[dict[str, Database]]:
    """Every service's database, for who may see everything."""
    found = {name: as_superuser(cluster, db) for name, db in life.platform.databases.items()}
    yield found
    for db in found.values():
        db.close()


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """From when it is called, no law holds anything."""

    def change() -> None:
        kinds = json.loads(os.environ["RETENTION"])
        monkeypatch.setenv("RETENTION", json.dumps({kind: {"days": 0} for kind in kinds}))
        config.cache_clear()

    yield change
    monkeypatch.undo()
    config.cache_clear()


@pytest.fixture(scope="module")
def life(service_db: Callable[[str], str]) -> Life:
    """She lived, and everything is known."""
    made = Life(service_db)
    made.live()
    order = {"patient_id": made.patient_id}
    made.ids["export_id"] = made.done("POST", "/api/auth/exports", order, by="person")["export_id"]
    return made


def _marks(life: Life) -> set[str]:
    """What gives her away. Not her request: what reception was told of it names nobody, and what
    it leads to is gone."""
    ids = {known for name, known in life.ids.items() if name != "request_id"}
    return {*WORDS, *ids, "K02.1", "LOT-QUILL-1"}


def _seen(life: Life, path: str, body: Any, by: str | None, stated: bool) -> bool:
    """Whether this look shows anything of her: words about her, ids that nobody asked with, a
    picture."""
    method = "GET" if body is None else "POST"
    answer = life.call(method, path, body, by=by, headers=_STATED if stated else {})
    assert answer.status_code < 500, (path, answer.text)
    if answer.status_code >= 300:
        return False
    if answer.mimetype == "text/calendar":
        return "BEGIN:VEVENT" in answer.text
    if answer.mimetype == "image/png" or TELLING.search(path):
        return True
    asked = path + json.dumps(body)
    shown = answer.text.lower()
    return any(mark.lower() in shown for mark in _marks(life) if mark not in asked)


def _looks(life: Life) -> Iterator[tuple[str, Any]]:
    """Path and body of each."""
    known = {
        **life.ids,
        **life.links,
        "clinic_id": life.clinic_id,
        "dentist_id": life.dentist_id,
        "day": life.day,
    }
    for paths in LOOKS.values():
        for path in paths:
            yield path.format(**known), None
    for body in SEARCHES:
        yield "/api/patients/search", body


def _all_seen(life: Life, who: Sequence[str | None], *, stated: bool = False) -> dict[str, str]:
    """Look -> who saw something."""
    return {
        f"{path} {body or ''}": str(by)
        for path, body in _looks(life)
        for by in who
        if _seen(life, path, body, by, stated)
    }


def test_every_route_that_reads_is_asked() -> None:
    """A new one has to say here how it is asked about somebody, or that it is about nobody."""
    reading = {route for route in TABLE if route.startswith("GET ") and not HARMLESS.match(route)}
    assert reading | {"POST /api/patients/search"} == set(LOOKS)


def test_an_export_has_all_of_it(life: Life) -> None:
    """Whatever was written about her in the seven services is in it, readable, and the file."""
    everything = life.done("GET", f"/api/auth/exports/{life.patient_id}", by="person")["parts"]
    assert set(EVERY) == set(everything)
    for service, words in WRITTEN.items():
        text = json.dumps(everything[service])
        assert [] == [word for word in words if word not in text], service
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("functions.auth.service.archives.download", life.download)
        assert 1 == life.platform.services["auth"].jobs["exports"].run()
    url = life.done("GET", f"/api/auth/exports/jobs/{life.ids['export_id']}", by="person")["url"]
    with ZipFile(BytesIO(life.fetched(url))) as archive:
        manifest = json.loads(archive.read("manifest.json"))["members"]
        names = set(archive.namelist()) - {"manifest.json"}
        sums = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in names}
        assert sums == {name: member["sha256"] for name, member in manifest.items()}
        assert {f"{service}.json" for service in EVERY} < names
        assert hashlib.sha256(life.file).hexdigest() in sums.values()
        for service in EVERY:
            found = json.loads(archive.read(f"{service}.json"))
            assert {table for table, rows in found.items() if rows} >= {
                table for table, rows in everything[service].items() if rows
            }


def test_no_log_tells(life: Life, capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever looks, at whatever: no word about her, no token and no link is in a log."""
    capfd.readouterr()
    _all_seen(life, (*life.tokens, None))
    logged = "".join(capfd.readouterr()).lower()
    assert "/api/treatments" in logged
    secrets = [*life.tokens.values(), *(link.rpartition("/")[2] for link in life.links.values())]
    assert [] == [word for word in (*WORDS, *secrets) if word.lower() in logged]


def test_a_life_ends(life: Life, owners: dict[str, Database], unheld: Callable[[], None]) -> None:
    """Seen before by who may; erased, held and hidden from all but an ADMIN who says why; in the
    end not there any more."""
    platform, everybody = life.platform, (*life.tokens, None)
    seen = _all_seen(life, everybody)
    every = {f"{path} {body or ''}" for path, body in _looks(life)}
    assert set() == every - set(seen), "these looks say nothing, and prove nothing"

    erasure_id = erase(platform, life.patient_id, life.tokens["person"])
    platform.drain()
    done = follow(platform, erasure_id)
    holding = {name for name, part in done["services"].items() if part["held"]}
    assert ("HELD", HOLDING) == (done["status"], holding)
    assert {} == _all_seen(life, everybody)
    assert {} == _all_seen(life, [who for who in everybody if who != "admin"], stated=True)
    shown = _all_seen(life, ["admin"], stated=True)
    for look in HELD:
        assert f"{look.format(**life.ids)} " in shown
    assert {} == {name: found for name, db in owners.items() if (found := found_in(db))}
    assert set() == found_in_blobs()
    assert 3 == len(_objects(life))  # an image with its pictures

    unheld()
    for service in platform.services.values():
        if "release-holds" in service.jobs:
            service.jobs["release-holds"].run()
    platform.drain()
    done = follow(platform, erasure_id)
    assert "COMPLETED" == done["status"]
    assert done["final_receipt"] is not None
    assert {} == _all_seen(life, everybody) | _all_seen(life, ["admin"], stated=True)
    assert [] == _objects(life)
    named = {(n, c) for n, db in owners.items() for c in found_in(db, [life.patient_id])}
    assert [] == sorted((name, column) for name, column in named if column not in LEFT)


def _objects(life: Life) -> list[str]:
    """Whatever lies in the store about her, by path."""
    root = Path(unquote(urlsplit(os.environ["OBJECTS_URL"]).path))
    return [
        str(path) for path in root.rglob("*") if path.is_file() and life.patient_id in str(path)
    ]
