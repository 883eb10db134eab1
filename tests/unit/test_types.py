"""The value types: what they accept, how they normalise, and how they refuse."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.national_ids import NationalId
from shared.types import (
    BirthDate,
    Email,
    Language,
    PersonName,
    Phone,
    TimeZoneName,
    fold,
    uuid7,
)

ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "national_id": TypeAdapter(NationalId),
    "email": TypeAdapter(Email),
    "name": TypeAdapter(PersonName),
    "phone": TypeAdapter(Phone),
    "language": TypeAdapter(Language),
    "zone": TypeAdapter(TimeZoneName),
    "birth_date": TypeAdapter(BirthDate),
}
BIRTHS = st.dates(date(1900, 1, 1), date(2025, 12, 31))
WEIGHTS = (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)


def refusal(kind: str, value: Any) -> str:
    """The text with which ``value`` is refused."""
    with pytest.raises(ValidationError) as caught:
        ADAPTERS[kind].validate_python(value)
    return str(caught.value.errors()[0]["msg"])


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


@given(
    st.sampled_from(sorted(ADAPTERS)),
    st.one_of(
        st.text(),
        st.text(alphabet="0123456789+-. @", max_size=20),
        st.none(),
        st.integers(),
        st.floats(),
        st.binary(),
        st.lists(st.text()),
        st.dictionaries(st.text(), st.text()),
    ),
)
@example("email", "a@\ud800.ro")
@example("zone", "../../etc/passwd")
@example("zone", "Europe")
@example("birth_date", 10**30)
@example("birth_date", datetime(2000, 1, 1, tzinfo=UTC))
@example("phone", "+" + "1" * 10_000)
def test_bad_input_gives_validation_errors_only(kind: str, value: Any) -> None:
    """Whatever comes in, a type answers with a value or a ValidationError, never a crash."""
    with suppress(ValidationError):
        ADAPTERS[kind].validate_python(value)


@pytest.mark.parametrize(
    ("given_address", "kept"),
    [
        ("Ana.Pop@Example.RO", "ana.pop@example.ro"),
        ("  ana@example.com ", "ana@example.com"),
        ("ａｎａ@example.com", "ana@example.com"),
        ("x@Bücher.example", "x@xn--bcher-kva.example"),
        ("a+b@example.com", "a+b@example.com"),
    ],
)
def test_email_has_one_normal_form(given_address: str, kept: str) -> None:
    """Case, width and international domains do not make a second account."""
    assert kept == ADAPTERS["email"].validate_python(given_address)


@pytest.mark.parametrize(
    "address",
    ["", "ana", "ana@", "@x.ro", "a b@x.ro", "аna@example.com", "a@localhost", "a" * 250 + "@x.ro"],
)
def test_email_refuses_without_echo(address: str) -> None:
    """A bad address is refused with words that do not repeat it."""
    told = refusal("email", address)
    assert "Value error, not a valid e-mail address" == told


@given(st.emails())
def test_email_normalisation_is_idempotent(address: str) -> None:
    """Normalising a normal address changes nothing."""
    try:
        once = ADAPTERS["email"].validate_python(address)
    except ValidationError:
        return
    assert once == ADAPTERS["email"].validate_python(once)
    assert once.isascii()
    assert once.lower() == once


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+40 721-234.567", "+40721234567"),
        ("0040 721 234 567", "+40721234567"),
        ("+62 (812) 3456 7890", "+6281234567890"),
    ],
)
def test_phone_is_kept_in_e164(written: str, kept: str) -> None:
    """Spaces, dashes, dots and brackets fall away and 00 becomes +."""
    assert kept == ADAPTERS["phone"].validate_python(written)


@pytest.mark.parametrize(
    "number", ["0721234567", "+0721234567", "+12345", "+1234567890123456", "+4a"]
)
def test_phone_without_country_code_is_refused(number: str) -> None:
    """A number that cannot be dialled from anywhere is refused."""
    assert "country code" in refusal("phone", number)


def test_names_are_kept_as_written() -> None:
    """A name is trimmed and composed, its letters are the bearer's own."""
    name = ADAPTERS["name"]
    assert "Ștefan  Popescu".replace("  ", " ") == name.validate_python(" S\u0326tefan  Popescu ")
    assert "O’Neil-Łukasz" == name.validate_python("O’Neil-Łukasz")
    assert "X" == name.validate_python("X")


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "a\nb", "a\u202eb", "x" * 101, "\ud800"])
def test_bad_names_are_refused(name: str) -> None:
    """Empty, overlong and disguising names are refused."""
    assert refusal("name", name)


def test_time_zones_are_the_iana_names() -> None:
    """Real zone names pass, paths and inventions do not."""
    assert "Europe/Bucharest" == ADAPTERS["zone"].validate_python("Europe/Bucharest")
    assert "Asia/Jakarta" == ADAPTERS["zone"].validate_python("Asia/Jakarta")
    for bad in ("Europe", "europe/bucharest", "/etc/passwd", "Mars/Olympus", ""):
        assert "time zone" in refusal("zone", bad)


def test_birth_dates_are_plausible() -> None:
    """A birth date lies between 1900 and today, and is written as a date."""
    born = ADAPTERS["birth_date"]
    today = datetime.now(UTC).date()
    assert today == born.validate_python(today)
    assert date(2000, 2, 29) == born.validate_json('"2000-02-29"')
    # It may be tomorrow somewhere, and midnight has passed meanwhile.
    for bad in (today + timedelta(days=3), date(1899, 12, 31), 0, "0", "2000-02-30", "2000-2-1"):
        assert refusal("birth_date", bad)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Ștefan Țăran", "stefan taran"),
        ("Şerban Ţepeş", "serban tepes"),
        ("Łukasz Đorđević", "lukasz dordevic"),
        ("STRASSE straße", "strasse strasse"),
        ("İstanbul ısı", "istanbul isi"),
        ("Ana-Maria  O’Neil", "ana maria oneil"),
        ("Ærøskøbing", "aeroskobing"),
        ("  Nur’aini ", "nuraini"),
        ("", ""),
    ],
)
def test_fold_drops_case_accents_and_punctuation(text: str, folded: str) -> None:
    """What people type without their keyboard matches what is written on the card."""
    assert folded == fold(text)


@given(st.text())
@example("\u0345\u03a9")
@example("ﬃ İ ŉ ǰ")
@example("\u1e9e")
def test_fold_is_idempotent(text: str) -> None:
    """A folded text folds to itself, whatever the script, and case never matters."""
    assert fold(text) == fold(fold(text))
    assert fold(text.casefold()) == fold(text)


def test_uuid7_layout() -> None:
    """The id carries version 7, the RFC's variant and the present in milliseconds."""
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert 7 == made.version
    assert "specified in RFC 4122" == made.variant
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_uuid7_rises_within_a_process() -> None:
    """Ids made one after the other, also by threads, are all different and rise per maker."""
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: [uuid7() for _ in range(2_000)], range(4)))
    assert 8_000 == len({one for run in runs for one in run})
    assert all(sorted(run) == run for run in runs)


def test_uuid7_survives_a_clock_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the clock is set back, ids go on rising."""
    first = uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    assert first < uuid7()
