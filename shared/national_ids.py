"""National ids of people: Romania's CNP and Indonesia's NIK, checked as far as a number can be.

What is refused says why and never repeats the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from shared.types import FIRST_BIRTH, latest_today

__all__ = ["NationalId"]

# Indonesia's 38 provinces, Ministry of Home Affairs codes; 92 to 96 are the Papuan provinces.
_PROVINCE = re.compile(r"1[1-9]|21|3[1-6]|5[1-3]|6[1-5]|7[1-6]|8[12]|9[1-6]")
_CNP_CENTURIES = {"1": 1900, "2": 1900, "3": 1800, "4": 1800, "5": 2000, "6": 2000}


@dataclass(frozen=True, slots=True)
class NationalId:
    """A valid Romanian CNP (13 digits) or Indonesian NIK (16 digits); made by ``parse``.

    ``birth_date`` is what the number says. A NIK, and the CNP of a foreign resident, carries two
    digits of the year: the latest such date that is not in the future is taken.
    """

    kind: Literal["CNP", "NIK"]
    value: str = field(repr=False)
    birth_date: date = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> NationalId:
        """Check ``text``; spaces, dots and dashes are ignored. ValueError says what is wrong."""
        digits = re.sub(r"[\s.\-]", "", text)
        if not re.fullmatch(r"[0-9]+", digits):
            raise ValueError("a national id has digits only")
        if len(digits) == 13:
            return cls("CNP", digits, _check_cnp(digits))
        if len(digits) == 16:
            return cls("NIK", digits, _check_nik(digits))
        raise ValueError("a national id has 13 digits (CNP) or 16 digits (NIK)")

    def __str__(self) -> str:
        """The kind only: the number must not slip into a log through formatting."""
        return f"{self.kind}(...)"

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, text: value if isinstance(value, cls) else cls.parse(text(value)),
            core_schema.str_schema(max_length=40),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda number: number.value, return_schema=core_schema.str_schema()
            ),
        )


def _check_cnp(digits: str) -> date:
    """The birth date in a CNP (Romanian law 105/1996; layout SYYMMDDJJNNNC)."""
    from stdnum.exceptions import ValidationError
    from stdnum.ro import cnp

    if digits[0] == "0":
        raise ValueError("CNP: the first digit must be 1 to 9")
    century = _CNP_CENTURIES.get(digits[0])
    born = _birth_date("CNP", century, digits[1:3], digits[3:5], int(digits[5:7]))
    try:
        cnp.get_county(digits)
    except ValidationError:
        raise ValueError("CNP: there is no such county") from None
    if cnp.calc_check_digit(digits[:-1]) != digits[-1]:
        raise ValueError("CNP: the checksum does not match")
    return born


def _check_nik(digits: str) -> date:
    """The birth date in a NIK (PPRRSSDDMMYYNNNN; 40 is added to the day of a woman's birth)."""
    if not _PROVINCE.fullmatch(digits[:2]):
        raise ValueError("NIK: there is no such province")
    if "00" in (digits[2:4], digits[4:6]):
        raise ValueError("NIK: there is no such regency or district")
    if digits[12:] == "0000":
        raise ValueError("NIK: the serial number must not be zero")
    day = int(digits[6:8])
    if day > 40:
        day -= 40
    return _birth_date("NIK", None, digits[10:12], digits[8:10], day)


def _birth_date(kind: str, century: int | None, year: str, month: str, day: int) -> date:
    exists = False
    for first in (2000, 1900) if century is None else (century,):
        try:
            born = date(first + int(year), int(month), day)
        except ValueError:
            continue
        exists = True
        if FIRST_BIRTH <= born <= latest_today():
            return born
    if exists:
        raise ValueError(f"{kind}: the birth date is in the future or before 1900")
    raise ValueError(f"{kind}: the birth date does not exist")
