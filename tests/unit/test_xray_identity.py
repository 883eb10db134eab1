"""Whose image a file says it is, and what identifies or contradicts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest

from functions.xray.domain import dicom_file, teeth
from functions.xray.domain.description import Claim, Description, describe
from functions.xray.domain.identity import Identity, doubts
from infra.images import dicom

ANA = UUID("0199aaaa-0000-7000-8000-000000000001")
CNP, OTHER = "2950101123451", "1960229123457"
BORN = date(1995, 1, 1)
PATIENT = Identity(ANA, "Ana-Maria", "Popescu", BORN, CNP)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (Claim(str(ANA)), []),
        (Claim(str(ANA).upper()), []),
        (Claim(ANA.hex), []),
        (Claim(CNP), []),
        (Claim("", "Popescu^Ana Maria", BORN), []),
        (Claim("4711", "POPESCU^ANA", BORN), []),
        (Claim("", "Ana^Popescu", BORN), []),
        (Claim("", "Popéscu^Ana^^Dr.", BORN), []),
        (Claim("", "姓^名=Popescu^Ana", BORN), []),
        (Claim(str(ANA), "Popescu^Ana", BORN), []),
        (Claim(), ["UNIDENTIFIED"]),
        (Claim("4711"), ["UNIDENTIFIED"]),
        (Claim("", "Popescu^Ana"), ["UNIDENTIFIED"]),
        (Claim("", "", BORN), ["UNIDENTIFIED"]),
        (Claim(str(UUID(int=7))), ["PATIENT_ID"]),
        (Claim(str(ANA), "Ionescu^Ana", BORN), ["NAME"]),
        (Claim(str(ANA), "Popescu^Ana", date(1995, 1, 2)), ["BIRTH_DATE"]),
        (Claim("", "Popescu", BORN), ["NAME"]),
        (Claim("", "Popescu^Ion", BORN), ["NAME"]),
        (
            Claim(str(UUID(int=7)), "Ionescu^Ion", date(1960, 2, 29)),
            ["PATIENT_ID", "NAME", "BIRTH_DATE"],
        ),
    ],
)
def test_two_identifiers_decide(claim: Claim, expected: list[str]) -> None:
    """An id alone, or name and birth date together; whatever contradicts is named."""
    assert expected == doubts(claim, PATIENT)


def test_a_profile_without_a_birth_date_is_found_by_id_only() -> None:
    """What the profile does not say neither identifies nor contradicts."""
    bare = Identity(ANA, "Ana", "Popescu", None, None)
    assert ["UNIDENTIFIED"] == doubts(Claim(CNP, "Popescu^Ana", BORN), bare)
    assert [] == doubts(Claim(str(ANA), "Popescu^Ana", BORN), bare)


def test_somebody_elses_national_id_contradicts() -> None:
    """A valid national id that is not the patient's is another person's."""
    other = Identity(ANA, "Ana", "Popescu", BORN, "5010101123457")
    assert ["PATIENT_ID"] == doubts(Claim(CNP, "Popescu^Ana", BORN), other)


def _described(zone: str | None = None, **more: Any) -> Description:
    data = dicom(**more)
    return describe(dicom_file.read(BytesIO(data), len(data)), zone)


def test_teeth_are_read_from_codes() -> None:
    """SNOMED CT's codes (CID 4018, 4019) and ISO 3950's; what is neither names no tooth."""
    assert ["36", "37", "16"] == _described(teeth=["36", "37", "16", "99"]).teeth
    coded = teeth.teeth_of([("SCT", "61868007"), ("SCT", "0"), ("FDI", "11"), ("SCT", "61868007")])
    assert ["85", "11"] == coded
    every = {tooth for q, codes in teeth._SNOMED.items() for tooth in codes.split() if q}
    assert 52 == len(every)


@pytest.mark.parametrize(
    ("tags", "zone", "expected"),
    [
        ({"AcquisitionDateTime": "20260301093000+0200"}, None, "2026-03-01T07:30:00"),
        ({"AcquisitionDateTime": "20260301093000.5-0500"}, "Asia/Jakarta", "2026-03-01T14:30:00"),
        ({"AcquisitionDateTime": "20260301093000"}, "Asia/Jakarta", "2026-03-01T02:30:00"),
        (
            {"AcquisitionDate": "20260301", "AcquisitionTime": "0930"},
            "Europe/Bucharest",
            "2026-03-01T07:30:00",
        ),
        (
            {"StudyDate": "20260301", "StudyTime": "093000", "TimezoneOffsetFromUTC": "+0700"},
            None,
            "2026-03-01T02:30:00",
        ),
        ({"AcquisitionDateTime": "20260301093000"}, None, None),
        ({"StudyDate": "20260301"}, "Asia/Jakarta", None),
        ({"AcquisitionDateTime": "20261399999999"}, "Asia/Jakarta", None),
        ({"AcquisitionDateTime": "20260301093000+9999"}, None, None),
        ({"AcquisitionDateTime": "00010101000000+1400"}, None, None),
    ],
)
def test_when_it_was_taken(tags: dict[str, str], zone: str | None, expected: str | None) -> None:
    """By the file's offset, else by the zone given, else not at all; nonsense is no time."""
    found = _described(zone, tags=tags).taken_at
    assert (None if expected is None else datetime.fromisoformat(f"{expected}+00:00")) == (
        None if found is None else (found - timedelta(microseconds=found.microsecond))
    )
    assert found is None or found.astimezone(UTC) == found


def test_strange_texts_are_tamed() -> None:
    """Control characters go, long texts end, a modality is a code."""
    found = _described(
        tags={"Manufacturer": "A" * 60 + "\x07" * 3, "Modality": "I<", "BodyPartExamined": None}
    )
    assert ("A" * 60, None, None) == (found.device, found.modality, found.region)
