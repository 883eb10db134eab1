"""National ids, the Romanian CNP and the Indonesian NIK: taken, refused in words, never shown."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from shared.national_ids import NationalId
from tests.value_types import refusal

BIRTHS = st.dates(date(1900, 1, 1), date(2025, 12, 31))
WEIGHTS = (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)


def cnp(born: date, sex: int = 0, county: str = "12", serial: int = 345) -> str:
    """A CNP for a citizen born on that day, with its right checksum."""
    first = (1 if born.year < 2000 else 5) + sex
    body = f"{first}{born:%y%m%d}{county}{serial:03d}"
    check = sum(w * int(n) for w, n in zip(WEIGHTS, body, strict=True)) % 11
    return body + ("1" if check == 10 else str(check))


def nik(born: date, *, woman: bool = False, region: str = "317101", serial: int = 1) -> str:
    """A NIK for a person born on that day."""
    return f"{region}{born.day + 40 * woman:02d}{born:%m%y}{serial:04d}"


@given(BIRTHS, st.integers(0, 1), st.integers(1, 999))
def test_every_wellformed_cnp_is_accepted(born: date, sex: int, serial: int) -> None:
    """A CNP with a right checksum is taken and tells the birth date."""
    number = NationalId.parse(cnp(born, sex, serial=serial))
    assert ("CNP", born) == (number.kind, number.birth_date)


@given(BIRTHS, st.integers(0, 12), st.integers(1, 9))
def test_a_mistyped_cnp_digit_never_passes_unseen(born: date, place: int, by: int) -> None:
    """One wrong digit gives either a refusal or, for the checksum's own blind spot, no crash."""
    right = cnp(born)
    wrong = right[:place] + str((int(right[place]) + by) % 10) + right[place + 1 :]
    sums = [sum(w * int(n) for w, n in zip(WEIGHTS, t, strict=False)) % 11 for t in (right, wrong)]
    blind = {"1" if s == 10 else str(s) for s in sums} == {right[12]} and place < 12
    if not blind:
        with pytest.raises(ValueError, match="CNP: "):
            NationalId.parse(wrong)


@given(BIRTHS, st.booleans(), st.integers(1, 9999))
def test_every_wellformed_nik_is_accepted(born: date, woman: bool, serial: int) -> None:
    """A NIK is taken for men and women and tells day, month and two digits of the year."""
    number = NationalId.parse(nik(born, woman=woman, serial=serial))
    told = number.birth_date
    assert ("NIK", born.day, born.month) == (number.kind, told.day, told.month)
    assert born.year % 100 == told.year % 100
    assert told <= datetime.now(UTC).date() + timedelta(days=1)


@pytest.mark.parametrize("province", ["11", "21", "36", "65", "76", "91", "92", "93", "94", "96"])
def test_all_provinces_are_known(province: str) -> None:
    """The Papuan provinces 92 to 96 are as good as any other."""
    assert "NIK" == NationalId.parse(nik(date(1990, 1, 1), region=province + "0101")).kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2950101123456", "CNP: the checksum does not match"),
        ("0950101123456", "CNP: the first digit must be 1 to 9"),
        ("2950230123456", "CNP: the birth date does not exist"),
        ("5990101123456", "CNP: the birth date is in the future or before 1900"),
        ("3990101123456", "CNP: the birth date is in the future or before 1900"),
        ("2950101993456", "CNP: there is no such county"),
        ("9771011708450001", "NIK: there is no such province"),
        ("3100011708450001", "NIK: there is no such regency or district"),
        ("3171001708450001", "NIK: there is no such regency or district"),
        ("3171018101450001", "NIK: the birth date does not exist"),
        ("3171010001450001", "NIK: the birth date does not exist"),
        ("3171014001450001", "NIK: the birth date does not exist"),
        ("3171013202450001", "NIK: the birth date does not exist"),
        ("3171017102450001", "NIK: the birth date does not exist"),
        ("3171011713450001", "NIK: the birth date does not exist"),
        ("3171011708450000", "NIK: the serial number must not be zero"),
        ("31710117084500", "a national id has 13 digits (CNP) or 16 digits (NIK)"),
        ("29501o1123456", "a national id has digits only"),
        ("٢٩٥٠١٠١١٢٣٤٥٦", "a national id has digits only"),
        ("", "a national id has digits only"),
    ],
)
def test_a_bad_national_id_is_told_what_is_wrong(text: str, reason: str) -> None:
    """Each fault has its own words and the number itself is not among them."""
    told = refusal("national_id", text)
    assert f"Value error, {reason}" == told


def test_a_national_id_may_be_grouped() -> None:
    """Spaces, dots and dashes between the digits are ignored."""
    assert "3171015708450001" == NationalId.parse(" 3171 0157-0845.0001 ").value


def test_foreign_residents_born_on_a_leap_day_of_2000() -> None:
    """The CNP of a foreign resident has no century, so 29 February 2000 must be found."""
    body = "700022912345"
    check = sum(w * int(n) for w, n in zip(WEIGHTS, body, strict=True)) % 11
    assert date(2000, 2, 29) == NationalId.parse(body + str(check % 10)).birth_date


def test_a_national_id_does_not_show_itself() -> None:
    """Neither str nor repr of a national id gives the number or the birth date away."""
    number = NationalId.parse(cnp(date(1995, 1, 1)))
    shown = f"{number} {number!r} {[number]}"
    assert number.value not in shown
    assert "1995" not in shown


class Form(BaseModel):
    """A body with one optional id."""

    national_id: NationalId | None = None


def test_a_national_id_in_a_model_round_trips() -> None:
    """In JSON a national id is a string, in both directions, and an instance is kept as it is."""
    number = NationalId.parse(cnp(date(1995, 1, 1)))
    text = Form(national_id=number).model_dump_json()
    assert f'{{"national_id":"{number.value}"}}' == text
    assert number == Form.model_validate_json(text).national_id
    assert "string" == TypeAdapter(NationalId).json_schema()["type"]
