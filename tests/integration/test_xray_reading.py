"""Who sees which image, and what staff decides about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import numpy
import pytest
from PIL import Image

from infra.images import dicom, raster
from shared.testing import frozen
from tests.service_stack import world_fixture
from tests.xray_stack import Clinic

PNG = "image/png"
WHY = {"reason": "the name was misspelt at the device"}

clinic = world_fixture(Clinic)


@pytest.fixture(scope="module")
def stored(clinic: Clinic) -> dict[str, Any]:
    """An image in Ana's record."""
    return clinic.completed(clinic.dicom())


def _picture(data: bytes) -> Any:
    return numpy.asarray(Image.open(BytesIO(data)))


def _audited(clinic: Clinic, what: str) -> int:
    row = clinic.db.one(
        "select count(*) as n from audit_log where what = :what and person_id = :person",
        what=what,
        person=clinic.patient_id,
    )
    return int((row or {})["n"])


def test_pictures_are_shown(clinic: Clinic, stored: dict[str, Any]) -> None:
    """Thumbnail and preview are PNGs; a window changes the preview; each look is on record."""
    path = f"/{stored['xray_id']}"
    answer = clinic.call("GET", f"{path}/thumbnail", token=clinic.patient)
    assert (200, PNG) == (answer.status_code, answer.headers["Content-Type"])
    preview = _picture(clinic.call("GET", f"{path}/preview", token=clinic.patient).data)
    assert ((120, 160), numpy.uint8) == (preview.shape, preview.dtype)
    before = _audited(clinic, "xray preview")
    through = clinic.call("GET", f"{path}/preview?center=2500&width=800", token=clinic.dentist)
    shown = _picture(through.data)
    assert (preview != shown).any()
    assert {0, 255} <= set(shown.flatten().tolist())
    assert before + 1 == _audited(clinic, "xray preview")


@pytest.mark.parametrize(
    "query",
    [
        *("center=1", "width=5", "center=1&width=0", "center=nan&width=5", "frame=-1", "frame=1"),
        *("center=1&width=inf", "center=x&width=1", "size=3"),
    ],
)
def test_a_malformed_window_is_refused(clinic: Clinic, stored: dict[str, Any], query: str) -> None:
    """Half a window, one without a width, a frame that is not there: 422."""
    path = f"/{stored['xray_id']}/preview?{query}"
    assert 422 == clinic.call("GET", path, token=clinic.dentist).status_code


def test_nobody_else_sees_it(clinic: Clinic, stored: dict[str, Any]) -> None:
    """To another patient, to the desk and to an ADMIN who says nothing of why, the image is not
    there, and no look is on record."""
    looks = {what: _audited(clinic, what) for what in ("xray", "xray image", "xray preview")}
    for token in (clinic.other, clinic.desk, clinic.admin):
        for end in ("", "/content", "/preview", "/thumbnail"):
            answer = clinic.call("GET", f"/{stored['xray_id']}{end}", token=token)
            assert 404 == answer.status_code
    assert looks == {what: _audited(clinic, what) for what in looks}
    listed = f"?patient_id={clinic.patient_id}"
    assert 403 == clinic.call("GET", listed, token=clinic.other).status_code
    assert 403 == clinic.call("GET", listed, token=clinic.desk).status_code
    assert 403 == clinic.call("GET", listed, token=clinic.admin).status_code
    stated = {"X-Purpose-Of-Use": "HOPERAT"}
    for end in (listed, f"/{stored['xray_id']}"):
        answer = clinic.call("GET", end, token=clinic.admin, headers=stated)
        assert 200 == answer.status_code
    for token in (clinic.patient, clinic.dentist):
        answer = clinic.call("GET", f"/{stored['xray_id']}", token=token)
        assert (200, "STORED") == (answer.status_code, (answer.json or {})["state"])


def test_a_download_ends(clinic: Clinic, stored: dict[str, Any]) -> None:
    """The URL of a download is good for two minutes and for nothing else."""
    path = f"/{stored['xray_id']}/content"
    url = (clinic.call("GET", path, token=clinic.dentist).json or {})["url"]
    assert 200 == clinic.fetch(url).status_code
    with frozen(datetime.now(UTC) + timedelta(minutes=2, seconds=1)):
        assert 403 == clinic.fetch(url).status_code
    other = url.replace("/original", "/preview.png")
    assert 403 == clinic.fetch(other).status_code


def test_a_record_is_paged(clinic: Clinic) -> None:
    """Newest first, each once; the patient sees what is stored, staff also what is not."""
    patient_id, token = clinic.registered("pages@example.com")
    made = [
        clinic.completed(raster("PNG"), PNG, patient_id=patient_id)["xray_id"] for _ in range(3)
    ]
    pending = clinic.announce(raster("PNG"), PNG, patient_id=patient_id)["xray_id"]
    found, cursor = [], ""
    while True:
        query = f"?patient_id={patient_id}&limit=2{cursor}"
        page = clinic.call("GET", query, token=token).json or {}
        found += [item["xray_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert made[::-1] == found
    seen = clinic.call("GET", f"?patient_id={patient_id}", token=clinic.dentist).json or {}
    assert [pending, *made[::-1]] == [item["xray_id"] for item in seen["items"]]
    assert (
        400
        == clinic.call(
            "GET", f"?patient_id={patient_id}&cursor=abc", token=clinic.dentist
        ).status_code
    )


def test_an_image_that_may_be_anothers_is_held(clinic: Clinic) -> None:
    """It is not in the record and nobody is told, until staff, who sees what the file says,
    approves it."""
    data = clinic.dicom(patient_name="Popa^Ana", patient_id="4711")
    image = clinic.completed(data)
    assert ("HELD", ["NAME"]) == (image["state"], image["held"]["doubts"])
    assert ("Popa^Ana", "4711", "1995-01-01") == tuple(
        image["held"][name] for name in ("name", "patient_id", "birth_date")
    )
    path = f"/{image['xray_id']}"
    assert 404 == clinic.call("GET", path, token=clinic.patient).status_code
    assert 200 == clinic.call("GET", f"{path}/preview", token=clinic.dentist).status_code
    waiting = clinic.call("GET", "/held").json or {}
    assert image["xray_id"] in [item["xray_id"] for item in waiting["items"]]
    clinic.platform.drain()
    assert [] == [e for e in clinic.told if e.payload["xray_id"] == image["xray_id"]]
    assert 412 == clinic.call("POST", f"{path}/approve", WHY, match=1).status_code
    assert 428 == clinic.call("POST", f"{path}/approve", WHY).status_code
    approved = clinic.call("POST", f"{path}/approve", WHY, match=2).json or {}
    assert ("STORED", None, WHY["reason"]) == tuple(
        approved[name] for name in ("state", "held", "reason")
    )
    assert 409 == clinic.call("POST", f"{path}/approve", WHY, match=3).status_code
    shown = clinic.call("GET", path, token=clinic.patient).json or {}
    assert ("STORED", None) == (shown["state"], shown["reason"])
    clinic.platform.drain()
    assert 1 == len([e for e in clinic.told if e.payload["xray_id"] == image["xray_id"]])


def test_an_image_that_is_anothers_is_rejected(clinic: Clinic) -> None:
    """Its objects are deleted, at once or by the sweep; that there was one stays."""
    image = clinic.completed(dicom(patient_name="Ionescu^Ion", birth_date="19600229"))
    assert ["NAME", "BIRTH_DATE"] == image["held"]["doubts"]
    path = f"/{image['xray_id']}"
    rejected = clinic.call("POST", f"{path}/reject", WHY, match=2).json or {}
    assert ("REJECTED", None) == (rejected["state"], rejected["held"])
    assert [] == clinic.objects_of(clinic.patient_id, image["xray_id"])
    for end in ("content", "preview", "thumbnail"):
        assert 409 == clinic.call("GET", f"{path}/{end}", token=clinic.dentist).status_code


def test_an_anonymous_file_is_held(clinic: Clinic) -> None:
    """A DICOM file that names nobody identifies nobody."""
    assert ["UNIDENTIFIED"] == clinic.completed(dicom())["held"]["doubts"]


def test_a_file_with_the_patients_id_is_stored(clinic: Clinic) -> None:
    """Our own id in PatientID identifies alone."""
    assert "STORED" == clinic.completed(dicom(patient_id=clinic.patient_id))["state"]


def test_nothing_is_stored_while_patient_does_not_answer(clinic: Clinic) -> None:
    """Whose it is must be known, so completing is 503, to be repeated."""
    xray_id = clinic.uploaded(clinic.dicom())
    clinic.platform.away.add("patient")
    try:
        answer = clinic.call("POST", f"/{xray_id}/complete")
        assert (503, True) == (answer.status_code, "Retry-After" in answer.headers)
    finally:
        clinic.platform.away.clear()
    shown = clinic.call("GET", f"/{xray_id}", token=clinic.dentist).json or {}
    assert "PENDING" == shown["state"]


def test_an_error_stays_visible_as_such(clinic: Clinic) -> None:
    """A dentist marks an image as entered in error: it leaves the patient's view, and stays in
    staff's with the reason."""
    image = clinic.completed(raster("JPEG"), "image/jpeg")
    path = f"/{image['xray_id']}"
    mark = f"{path}/entered-in-error"
    assert 403 == clinic.call("POST", mark, WHY, match=2).status_code
    marked = clinic.call("POST", mark, WHY, match=2, token=clinic.dentist).json or {}
    assert ("ENTERED_IN_ERROR", WHY["reason"]) == (marked["state"], marked["reason"])
    assert 404 == clinic.call("GET", path, token=clinic.patient).status_code
    assert 200 == clinic.call("GET", f"{path}/preview", token=clinic.dentist).status_code
    again = clinic.call("POST", mark, WHY, match=3, token=clinic.dentist)
    assert 409 == again.status_code


def test_what_cannot_be_shown_is_kept(clinic: Clinic) -> None:
    """A coding that we do not decode is stored and downloaded; its pictures are 409."""
    from pydicom.encaps import encapsulate

    data = dicom(
        patient_id=clinic.patient_id,
        data=encapsulate([bytes(200)]),
        syntax="1.2.840.10008.1.2.4.70",
    )
    image = clinic.completed(data)
    assert ("STORED", False) == (image["state"], image["has_preview"])
    path = f"/{image['xray_id']}"
    for end in ("preview", "thumbnail"):
        answer = clinic.call("GET", f"{path}/{end}", token=clinic.dentist)
        assert (409, True) == (answer.status_code, "no-preview" in (answer.json or {})["type"])
    url = (clinic.call("GET", f"{path}/content", token=clinic.dentist).json or {})["url"]
    assert data == clinic.fetch(url).data


def test_health_data_rest_sealed(clinic: Clinic, stored: dict[str, Any]) -> None:
    """Notes, teeth and what a held file says are not readable in the database."""
    image = clinic.completed(
        dicom(patient_name="Secretescu^Ion", birth_date="19600229"), note="fistula at 46"
    )
    row = clinic.db.one("select * from xrays where xray_id = :x", x=image["xray_id"]) or {}
    clear = {name: value for name, value in row.items() if isinstance(value, str)}
    sealed = b"".join(value for value in row.values() if isinstance(value, bytes))
    assert sealed
    for word in ("fistula", "Secretescu", '"region":"JAW"', '"teeth":["36"]'):
        assert word not in str(clear)
        assert word.encode() not in sealed
    assert not {"JAW", "36"} & set(clear.values())
    assert stored["xray_id"] != image["xray_id"]


def test_no_log_says_whose_image_it_is(clinic: Clinic, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither a held file nor a damaged one writes its patient's name anywhere."""
    clinic.completed(dicom(patient_name="Secretescu^Ion", birth_date="1960022x"))
    data = dicom(patient_name="Secretescu^Ion", tags={"Rows": 7})
    clinic.refused(data)
    written = capfd.readouterr()
    assert "Secretescu" not in written.out + written.err
