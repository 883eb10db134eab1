"""Images in a bucket (S3, as moto serves it): the same way as in a directory."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from functions.xray.store.objects import erase
from shared.blobs import objects
from shared.config import config
from tests.contract.s3 import bucket_url
from tests.xray_stack import Clinic


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OBJECTS_URL names a bucket."""
    with bucket_url() as url:
        monkeypatch.setenv("OBJECTS_URL", f"{url}/images")
        config.cache_clear()
        objects.cache_clear()
        yield
        monkeypatch.undo()
        config.cache_clear()
        objects.cache_clear()


@pytest.mark.usefixtures("bucket")
def test_an_image_goes_through_a_bucket(service_db: Callable[[str], str]) -> None:
    """Uploaded and downloaded by the bucket's own signed URLs, with its type and name; stored
    once; deleted with its patient."""
    clinic = Clinic(service_db)
    data = clinic.dicom()
    announced = clinic.announce(data)
    upload = announced["upload"]
    put = urllib.request.Request(upload["url"], data, upload["headers"], method=upload["method"])
    with urllib.request.urlopen(put) as answer:
        assert 200 == answer.status
    xray_id = announced["xray_id"]
    for _ in range(2):
        done = clinic.call("POST", f"/{xray_id}/complete")
        assert (200, "STORED") == (done.status_code, (done.json or {})["state"])
    shown = clinic.call("GET", f"/{xray_id}/preview?center=2500&width=800", token=clinic.dentist)
    assert 200 == shown.status_code
    content = clinic.call("GET", f"/{xray_id}/content", token=clinic.patient).json or {}
    with urllib.request.urlopen(content["url"]) as answer:
        assert data == answer.read()
        assert "application/dicom" == answer.headers["Content-Type"]
        assert content["filename"] in answer.headers["Content-Disposition"]
    paths = clinic.objects_of(clinic.patient_id)
    assert ["original", "preview.png", "thumbnail.png"] == [p.rpartition("/")[2] for p in paths]
    clinic.db.all("delete from xrays where patient_id = :p", p=clinic.patient_id)
    assert {"objects": 3} == erase(clinic.db, UUID(clinic.patient_id))
    assert [] == clinic.objects_of(clinic.patient_id)
