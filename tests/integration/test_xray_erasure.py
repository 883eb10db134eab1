"""A patient's images are erased, held and exported with everything else."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions.xray.main import service
from infra.images import dicom, raster
from shared import faults
from shared.blobs import objects
from shared.config import config
from shared.contracts.gdpr import GdprDataDeletion
from shared.contracts.patient import PatientRegistered
from shared.db import Tx
from shared.messages import envelope
from shared.runtime import vault
from shared.testing import frozen
from tests.service_stack import world_fixture
from tests.xray_stack import Clinic

PNG = "image/png"

clinic = world_fixture(Clinic)


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No law holds images."""
    kept = json.loads(os.environ["RETENTION"])
    kept["xray"] = {"days": 0, "reason": ""}
    monkeypatch.setenv("RETENTION", json.dumps(kept))
    config.cache_clear()
    yield
    monkeypatch.undo()
    config.cache_clear()


def _erase(clinic: Clinic, patient_id: str) -> tuple[dict[str, int], list[str]]:
    """Let the deletion arrive; what xray answers."""
    event = GdprDataDeletion(
        erasure_id=uuid4(),
        patient_id=UUID(patient_id),
        reason="USER_REQUEST_ARTICLE_17",
        requested_at=datetime.now(UTC),
    )

    def work(tx: Tx) -> None:
        service.privacy.answer("xray", tx, event)

    clinic.db.transaction(work, isolation="READ COMMITTED")
    row = clinic.db.one("select erased, held from erased_people where person_id = :p", p=patient_id)
    assert row is not None
    return row["erased"], [item["what"] for item in row["held"]]


@pytest.mark.usefixtures("unheld")
def test_an_erasure_deletes_the_objects_and_counts_them(clinic: Clinic) -> None:
    """Stored, held, pending, entered in error: nothing is left, and the answer says how much."""
    patient_id, _ = clinic.registered("gone@example.com")
    for data, kind in ((raster("PNG"), PNG), (dicom(patient_id=patient_id), "application/dicom")):
        clinic.completed(data, kind, patient_id=patient_id)
    clinic.completed(dicom(), patient_id=patient_id)
    clinic.uploaded(raster("PNG"), PNG, patient_id=patient_id)
    kept = clinic.completed(raster("PNG"), PNG)
    before = len(clinic.objects_of(patient_id))
    assert 10 == before
    erased, held = _erase(clinic, patient_id)
    assert [] == clinic.objects_of(patient_id)
    assert ([], 10, 4, 9) == (held, erased["objects"], erased["xrays"], erased["xray_files"])
    assert {} == service.privacy.remains(clinic.db, UUID(patient_id))
    assert 3 == len(clinic.objects_of(clinic.patient_id, kept["xray_id"]))


def test_what_the_law_holds_stays_until_then(clinic: Clinic) -> None:
    """Images of the record stay, others go; nobody but an ADMIN who says why sees them; when their
    time is over they go, too."""
    patient_id, token = clinic.registered("held@example.com")
    image = clinic.completed(raster("PNG"), PNG, patient_id=patient_id)
    clinic.completed(dicom(), patient_id=patient_id)
    clinic.uploaded(raster("PNG"), PNG, patient_id=patient_id)
    erased, held = _erase(clinic, patient_id)
    assert ({"xrays", "xray_files"}, 4) == (set(held), erased["objects"])
    assert 3 == len(clinic.objects_of(patient_id))
    path = f"/{image['xray_id']}"
    for who in (clinic.dentist, token, clinic.admin):
        assert 404 == clinic.call("GET", path, token=who).status_code
    assert 404 == clinic.call("POST", f"{path}/complete").status_code
    stated = {"X-Purpose-Of-Use": "HLEGAL"}
    assert 404 == clinic.call("GET", path, token=clinic.dentist, headers=stated).status_code
    for end in ("", "/preview", "/content"):
        answer = clinic.call("GET", path + end, token=clinic.admin, headers=stated)
        assert 200 == answer.status_code
    mark = clinic.call(
        "POST", f"{path}/entered-in-error", {"reason": "x"}, match=2, token=clinic.dentist
    )
    assert 409 == mark.status_code
    clinic.db.all(
        "update xrays set recorded_at = now() - interval '20 years' where patient_id = :p",
        p=patient_id,
    )
    clinic.db.all(
        "update xray_files set recorded_at = now() - interval '20 years' where patient_id = :p",
        p=patient_id,
    )
    clinic.db.all(
        "update erased_people set held_until = now() - interval '1 day' where person_id = :p",
        p=patient_id,
    )
    service.privacy.release("xray", clinic.db)
    assert [] == clinic.objects_of(patient_id)
    row = clinic.db.one("select erased, held from erased_people where person_id = :p", p=patient_id)
    assert (7, []) == ((row or {})["erased"]["objects"], (row or {})["held"])


@pytest.mark.usefixtures("unheld")
def test_an_upload_of_somebody_erased_is_nobodys(clinic: Clinic) -> None:
    """No new one, none completed; what a late URL still brings is swept."""
    patient_id, _ = clinic.registered("late@example.com")
    announced = clinic.announce(raster("PNG"), PNG, patient_id=patient_id)
    clinic.send(announced, raster("PNG"))
    _erase(clinic, patient_id)
    body = {"patient_id": patient_id, "content_type": PNG, "size": 1, "sha256": "0" * 64}
    assert 409 == clinic.call("POST", "", body).status_code
    assert 200 == clinic.send(announced, raster("PNG"))
    assert 404 == clinic.call("POST", f"/{announced['xray_id']}/complete").status_code
    clinic.platform.services["xray"].jobs["sweep-uploads"].run()
    assert [] == clinic.objects_of(patient_id)


@pytest.mark.usefixtures("unheld")
def test_a_completion_that_meets_an_erasure_leaves_nothing(clinic: Clinic, tmp_path: Path) -> None:
    """Erased between the copy and the row: what was copied is taken back; and if the process ends
    there, the sweep does it."""
    patient_id, _ = clinic.registered("meets@example.com")
    xray_id = clinic.uploaded(raster("PNG"), PNG, patient_id=patient_id)
    (tmp_path / "xray.copied").write_text("error")
    with faults.installed(tmp_path):
        assert 500 == clinic.call("POST", f"/{xray_id}/complete").status_code
    assert 4 == len(clinic.objects_of(patient_id))
    _erase(clinic, patient_id)
    assert [] == clinic.objects_of(patient_id)
    # As when the copy ends after the erasure, in a process that ends then.
    with objects().write(f"xrays/{patient_id}/{xray_id}/original") as made:
        made.write(b"late")
    clinic.platform.services["xray"].jobs["sweep-uploads"].run()
    assert [] == clinic.objects_of(patient_id)


@pytest.mark.usefixtures("unheld")
def test_erasures_and_completions_race(clinic: Clinic) -> None:
    """Whoever is first: no row and no object of the erased is left."""
    statuses: list[int] = []
    for turn in range(4):
        patient_id, _ = clinic.registered(f"race{turn}@example.com")
        xray_id = clinic.uploaded(raster("PNG"), PNG, patient_id=patient_id)
        start = threading.Barrier(2)

        def complete(xray_id: str = xray_id, start: threading.Barrier = start) -> None:
            start.wait()
            statuses.append(clinic.call("POST", f"/{xray_id}/complete").status_code)

        thread = threading.Thread(target=complete)
        thread.start()
        start.wait()
        _erase(clinic, patient_id)
        thread.join()
        assert statuses[-1] in (200, 404, 409)
        assert [] == clinic.objects_of(patient_id)
        assert {} == service.privacy.remains(clinic.db, UUID(patient_id))


def test_an_export_has_the_original_files(clinic: Clinic) -> None:
    """The files as they were uploaded, with checksum and size, and the rows without what a held
    file says of somebody else."""
    patient_id, _ = clinic.registered("export@example.com")
    data = dicom(patient_id=patient_id)
    image = clinic.completed(data, patient_id=patient_id, note="for the export")
    clinic.completed(dicom(patient_name="Ionescu^Ion"), patient_id=patient_id)
    (file,) = service.privacy.originals(clinic.db, UUID(patient_id))
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)
    assert f"xray-{image['xray_id']}.dcm" == file.name
    assert data == clinic.fetch(file.url).data
    with frozen(datetime.now(UTC) + timedelta(hours=1, seconds=1)):
        assert 403 == clinic.fetch(file.url).status_code
    shown = service.privacy.export(clinic.db, vault("xray"), UUID(patient_id))
    assert "for the export" in json.dumps(shown)
    assert "Ionescu" not in json.dumps(shown)


def test_messages_from_before_an_erasure_change_nothing(clinic: Clinic) -> None:
    """A registration that is heard of after the erasure makes no row."""
    patient_id = str(uuid4())
    _erase(clinic, patient_id)
    late = PatientRegistered(patient_id=UUID(patient_id))
    clinic.platform.bus.publish("patient", [envelope(late, source="patient", version=1)])
    clinic.platform.drain()
    known = clinic.db.one("select from known_people where person_id = :p", p=patient_id)
    assert known is None
