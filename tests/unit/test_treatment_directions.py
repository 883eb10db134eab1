"""A prescription's directions in words: nobody may take ten times too much."""

from __future__ import annotations

from decimal import Decimal

import pytest

from functions.treatment.domain.allergies import Drug
from functions.treatment.domain.prescriptions import Content, Dose, Duration, Timing, directions
from shared.types import Language


def _content(dose: str, unit: str, timing: Timing, duration: Duration) -> Content:
    return Content(
        Drug("Ibuprofen"), "suspension", "100 mg/5 ml", Dose(Decimal(dose), unit), "oral",
        timing, duration,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "7.5 ml, once every 8 hours, as needed, for 20 days"),
        ("ro", "7,5 ml, o dată la fiecare 8 ore, la nevoie, timp de 20 de zile"),
        ("id", "7,5 ml, 1 kali setiap 8 jam, bila perlu, selama 20 hari"),
    ],
)
def test_directions_are_in_words_of_the_language(language: Language, said: str) -> None:
    """Numbers, too: a comma before the tenths where the language has one (CLDR)."""
    content = _content("7.500", "ml", Timing(1, 8, "h", as_needed=True), Duration(20, "d"))
    assert said == directions(content, language)


@pytest.mark.parametrize(
    ("dose", "said"), [("0.25", "0.25"), ("100", "100"), ("1000.0", "1000"), ("1E+2", "100")]
)
def test_a_dose_is_a_plain_number(dose: str, said: str) -> None:
    """Neither an exponent nor a trailing zero can be misread (ISMP's error-prone list)."""
    content = _content(dose, "mg", Timing(2, 1, "d"), Duration(1, "wk"))
    assert f"{said} mg, 2 times every day, for 1 week" == directions(content, "en")
