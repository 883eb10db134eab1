"""How an image comes into a record, and what is kept out of it."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from infra.images import dicom, raster
from shared import faults
from shared.blobs import objects
from shared.testing import frozen
from tests.service_stack import world_fixture
from tests.xray_stack import DICOM, Clinic

PNG = "image/png"

clinic = world_fixture(Clinic)


def test_an_image_goes_into_the_record(clinic: Clinic) -> None:
    """Announced, uploaded, completed: it stands there with what its file says, everybody is told
    once, and the file comes back as it was."""
    taken = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    data = clinic.dicom(taken_at=taken, teeth=["36", "37"])
    image = clinic.completed(data, note="before the crown")
    assert "STORED" == image["state"]
    assert (["36", "37"], "IO", "JAW") == (image["teeth"], image["modality"], image["region"])
    assert taken == datetime.fromisoformat(image["taken_at"])
    assert (160, 120, 1) == (image["width"], image["height"], image["frames"])
    assert ("before the crown", "Example Imaging") == (image["note"], image["device"])
    assert image["held"] is None
    clinic.platform.drain()
    told = [env for env in clinic.told if env.payload["xray_id"] == image["xray_id"]]
    assert [("XRAY_STORED", ["36", "37"])] == [(e.event_type, e.payload["teeth"]) for e in told]
    content = clinic.call("GET", f"/{image['xray_id']}/content", token=clinic.patient).json or {}
    answer = clinic.fetch(content["url"])
    assert data == answer.data
    assert DICOM == answer.headers["Content-Type"]
    assert content["filename"] in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/png", raster("PNG")),
        ("image/png", raster("PNG", bits=16)),
        ("image/jpeg", raster("JPEG")),
        ("image/jpeg", raster("JPEG", progressive=True)),
        ("image/tiff", raster("TIFF")),
        ("image/tiff", raster("TIFF", bits=16, compression="tiff_lzw")),
    ],
)
def test_other_formats_are_taken(clinic: Clinic, kind: str, data: bytes) -> None:
    """PNG, JPEG and TIFF name nobody: who uploads them says whose they are."""
    image = clinic.completed(data, kind, teeth=["11", "11", "21"], region="JAW")
    assert ("STORED", ["11", "21"], "JAW") == (image["state"], image["teeth"], image["region"])
    assert image["has_preview"]
    paths = clinic.objects_of(clinic.patient_id, image["xray_id"])
    assert ["original", "preview.png", "thumbnail.png"] == [p.rpartition("/")[2] for p in paths]


def test_who_is_no_patient_gets_no_image(clinic: Clinic) -> None:
    """An id that is no patient's is 404, and nothing is made."""
    body = {"patient_id": str(uuid4()), "content_type": PNG, "size": 1, "sha256": "0" * 64}
    assert 404 == clinic.call("POST", "", body).status_code


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": (200 << 20) + 1},
        {"content_type": "image/gif"},
        {"sha256": "0" * 63},
        {"sha256": "G" * 64},
        {"teeth": ["19"]},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"note": ""},
        {"taken_at": "2026-01-01T00:00:00"},
    ],
)
def test_a_malformed_announcement_is_refused(clinic: Clinic, wrong: dict[str, object]) -> None:
    """Sizes, types, checksums, teeth and times are checked before anything is made."""
    good = {"content_type": PNG, "size": 1, "sha256": "0" * 64, "patient_id": clinic.patient_id}
    assert 422 == clinic.call("POST", "", good | wrong).status_code


def test_nothing_is_completed_before_it_is_uploaded(clinic: Clinic) -> None:
    """Completing too early is 409, and can be repeated when the file is there."""
    data = raster("PNG")
    announced = clinic.announce(data, PNG)
    path = f"/{announced['xray_id']}/complete"
    assert 409 == clinic.call("POST", path).status_code
    assert 200 == clinic.send(announced, data)
    assert 200 == clinic.call("POST", path).status_code
    assert 404 == clinic.call("POST", f"/{uuid4()}/complete").status_code


def test_another_file_than_announced_is_refused(clinic: Clinic) -> None:
    """The checksum decides, not the size alone; the refusal is final and nothing is left."""
    data = raster("PNG")
    sha256 = hashlib.sha256(b"another").hexdigest()
    assert "CHECKSUM" == clinic.refused(data, PNG, sha256=sha256)
    announced = clinic.announce(data, PNG)
    path = f"incoming/{clinic.patient_id}/{announced['xray_id']}"
    with objects().write(path) as made:
        made.write(data + b"more")
    answer = clinic.call("POST", f"/{announced['xray_id']}/complete")
    assert (422, "SIZE") == (answer.status_code, (answer.json or {})["reason"])
    shown = clinic.call("GET", f"/{announced['xray_id']}", token=clinic.dentist).json or {}
    assert ("REFUSED", "SIZE") == (shown["state"], shown["refusal"])


def test_completing_again_changes_nothing(clinic: Clinic) -> None:
    """The answer is the same, and nobody is told twice, although the upload's URL was used again
    with another file."""
    data = raster("PNG")
    announced = clinic.announce(data, PNG)
    clinic.send(announced, data)
    first = clinic.call("POST", f"/{announced['xray_id']}/complete")
    assert 200 == clinic.send(announced, bytes(len(data)))
    again = clinic.call("POST", f"/{announced['xray_id']}/complete")
    assert (200, first.json) == (again.status_code, again.json)
    clinic.platform.drain()
    told = [e for e in clinic.told if e.payload["xray_id"] == announced["xray_id"]]
    assert 1 == len(told)
    assert data == objects().get(f"xrays/{clinic.patient_id}/{announced['xray_id']}/original")


def test_reception_does_not_look_by_completing_again(clinic: Clinic) -> None:
    """What the image is about is health data: when no client can still be waiting for its answer,
    reception gets none, however it learned of the image; a dentist does."""
    image = clinic.completed(raster("PNG"), PNG, note="before the crown")
    path = f"/{image['xray_id']}/complete"
    clinic.db.all(
        "update xrays set expires_at = now() - interval '1 second' where xray_id = :id",
        id=image["xray_id"],
    )
    assert 404 == clinic.call("POST", path).status_code
    again = clinic.call("POST", path, token=clinic.dentist)
    assert (200, "before the crown") == (again.status_code, (again.json or {})["note"])


def test_a_completion_does_not_meet_the_sweep(clinic: Clinic) -> None:
    """When the sweep may begin at any time, nothing is completed any more: it would delete what
    is just being stored. Shortly after the URL's end it still is."""
    data = clinic.dicom()
    late = "update xrays set expires_at = now() - :ago::interval where xray_id = :id"
    for ago, status, left in (("50 minutes", 409, 204), ("5 minutes", 200, 412)):
        xray_id = clinic.uploaded(data)
        clinic.db.all(late, ago=ago, id=xray_id)
        assert status == clinic.call("POST", f"/{xray_id}/complete").status_code
        assert left == clinic.call("DELETE", f"/{xray_id}", match=1).status_code


def test_completions_at_once_have_one_effect(clinic: Clinic) -> None:
    """Several clients complete the same upload: each gets an answer, one image is stored."""
    xray_id = clinic.uploaded(clinic.dicom())
    answers: list[int] = []
    start = threading.Barrier(6)

    def work() -> None:
        start.wait()
        answers.append(clinic.call("POST", f"/{xray_id}/complete").status_code)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200] * 6 == answers
    clinic.platform.drain()
    assert 1 == len([e for e in clinic.told if e.payload["xray_id"] == xray_id])
    assert 3 == len(clinic.objects_of(clinic.patient_id, xray_id))


@pytest.mark.parametrize("point", ["xray.copied", "xray.stored"])
def test_a_completion_that_fails_in_the_middle_is_repeated(
    clinic: Clinic, point: str, tmp_path: Path
) -> None:
    """Wherever it ends, the next one goes on: one image, one message, no upload left."""
    xray_id = clinic.uploaded(clinic.dicom())
    (tmp_path / point).write_text("error")
    with faults.installed(tmp_path):
        assert clinic.call("POST", f"/{xray_id}/complete").status_code >= 500
    answer = clinic.call("POST", f"/{xray_id}/complete")
    assert (200, "STORED") == (answer.status_code, (answer.json or {})["state"])
    clinic.platform.drain()
    assert 1 == len([e for e in clinic.told if e.payload["xray_id"] == xray_id])
    assert 3 == len(clinic.objects_of(clinic.patient_id, xray_id))


def test_a_repeated_announcement_is_one(clinic: Clinic) -> None:
    """With an Idempotency-Key both announcing and completing take effect once."""
    data = raster("PNG")
    body = {
        "patient_id": clinic.patient_id,
        "content_type": PNG,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (clinic.call("POST", "", body, headers=key) for _ in range(2))
    assert (201, first.json) == (again.status_code, again.json)
    clinic.send(first.json or {}, data)
    path = f"/{(first.json or {})['xray_id']}/complete"
    key = {"Idempotency-Key": str(uuid4())}
    first, again = (clinic.call("POST", path, headers=key) for _ in range(2))
    assert (200, first.json) == (again.status_code, again.json)


def test_a_refusal_stands_although_the_request_is_repeatable(clinic: Clinic) -> None:
    """With an Idempotency-Key, too, a refused file is deleted and stays refused."""
    xray_id = clinic.uploaded(raster("PNG")[:-1], PNG)
    key = {"Idempotency-Key": str(uuid4())}
    answers = [clinic.call("POST", f"/{xray_id}/complete", headers=key) for _ in range(2)]
    assert [422, 422] == [answer.status_code for answer in answers]
    assert [] == clinic.objects_of(clinic.patient_id, xray_id)
    shown = clinic.call("GET", f"/{xray_id}", token=clinic.dentist).json or {}
    assert "REFUSED" == shown["state"]


def test_an_upload_is_given_up(clinic: Clinic) -> None:
    """Staff deletes an upload that came to nothing, and nothing else."""
    xray_id = clinic.uploaded(raster("PNG"), PNG)
    assert 412 == clinic.call("DELETE", f"/{xray_id}", match=2).status_code
    assert 204 == clinic.call("DELETE", f"/{xray_id}", match=1).status_code
    assert [] == clinic.objects_of(clinic.patient_id, xray_id)
    assert 404 == clinic.call("POST", f"/{xray_id}/complete").status_code
    image = clinic.completed(raster("PNG"), PNG)
    assert 409 == clinic.call("DELETE", f"/{image['xray_id']}", match=2).status_code


def test_what_is_never_completed_is_swept(clinic: Clinic) -> None:
    """Two hours after the announcement row and object are gone; what may still come stays, and so
    does what is stored. A file that a late URL brought goes, too."""
    sweep = clinic.platform.services["xray"].jobs["sweep-uploads"].run
    stored = clinic.completed(raster("PNG"), PNG)
    announced = clinic.announce(raster("PNG"), PNG)
    clinic.send(announced, raster("PNG"))
    again = clinic.announce(raster("PNG"), PNG)
    clinic.send(again, raster("PNG"))
    clinic.call("POST", f"/{again['xray_id']}/complete")
    clinic.send(again, raster("PNG"))
    sweep()
    assert [f"incoming/{clinic.patient_id}/{announced['xray_id']}"] == [
        path for path in clinic.objects_of(clinic.patient_id) if path.startswith("incoming")
    ]
    with frozen(datetime.now(UTC) + timedelta(hours=2, minutes=1)):
        sweep()
    assert [] == clinic.objects_of(clinic.patient_id, announced["xray_id"])
    assert clinic.db.one("select from xrays where xray_id = :x", x=announced["xray_id"]) is None
    assert 3 == len(clinic.objects_of(clinic.patient_id, stored["xray_id"]))


def test_times_without_a_zone_are_the_clinics(clinic: Clinic) -> None:
    """A DICOM time without an offset is in the zone that the upload names, across daylight saving;
    without one it is not guessed."""
    tags = {"AcquisitionDate": "20260701", "AcquisitionTime": "101500"}
    data = dicom(patient_id=clinic.patient_id, tags=tags)
    image = clinic.completed(data, time_zone="Europe/Bucharest")
    assert datetime(2026, 7, 1, 7, 15, tzinfo=UTC) == datetime.fromisoformat(image["taken_at"])
    assert clinic.completed(data)["taken_at"] is None
