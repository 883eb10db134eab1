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
from pydantic import ValidationError

from shared.types import fold, uuid7
from tests.value_types import ADAPTERS, refusal


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
