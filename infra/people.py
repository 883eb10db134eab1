"""Believable people for the demo and the sample data: the same number is always the same person.

Nobody real: names are combined from the most common ones, numbers are only formally valid.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from shared.types import fold

__all__ = ["cnp", "nik", "patient"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_RO_FIRST = _words(
    "Ștefan Ioana Andrei Mădălina Cătălin Ștefania Răzvan Anca Mihăiță Raluca Ionuț Bianca"
    " Dănuț Crina Gheorghiță Măriuca Vlăduț Ilinca Călin Sânziana Tudor Lăcrămioara Pătru Zoe"
    " Nicușor Georgiana Sebastian-Ștefan Ana-Măria Liviu Corina"
)
_RO_LAST = _words(
    "Popescu Țăranu Ionescu Bărbulescu Șerban Dumitrașcu Stănescu Munteanu Pădureanu Cîrstea"
    " Nițu Gârleanu Crăciun Făgărășanu Rusu Țîrlea Drăgan Lăzărescu Moldoveanu Ciobănașu Vâlcu"
    " Sârbu Mărginean Brâncoveanu Chiriță Hațegan Neagoe Ștefănescu Zăvoianu Oprișan"
)
_ID_FIRST = _words(
    "Budi Siti Agus Dewi Putri Wayan Ketut Nyoman Rizky Fitri Joko Ayu Bambang Ratna Eko"
    " Lestari Hendra Indah Yusuf Nur Aditya Kartika Surya Mégawati Andréas Noor Zoë Fransiskus"
    " Maria Galih"
)
_ID_LAST = _words(
    "Santoso Wijaya Lestari Siregar Nasution Hidayat Kusuma Pratama Setiawan Simanjuntak"
    " Susanto Wibowo Suryadi Halim Gunawan Hutapea Rahman Saputra Utami Sitorus Purnomo"
    " Handoko Manurung Ginting Dharmawan Nugroho Maharani Tanjung Panjaitan Kurniawan"
)
_ALLERGIES = ("penicilină", "latex", "lidocaine", "aspirin", "ibuprofen", "iod", "")
_CONDITIONS = ("hipertensiune", "diabetes mellitus tipe 2", "astm bronșic", "hemophilia A", "")
_MEDICATIONS = ("metformin 500 mg", "warfarin 5 mg", "amlodipină 10 mg", "insulin glargine", "")
_NOTES = ("Teamă de ac.", "Hamil, trimester kedua.", "Prefers mornings.", "Bruxism nocturn.", "")

_CNP_KEY = (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)
_COUNTIES = (*range(1, 47), 51, 52)
_FIRST_BIRTH = date(1940, 1, 1)
_DAYS = 25_000  # births until 2008
_SERIALS = 999
# No common factor with _DAYS * _SERIALS: every number has a day and a serial of its own.
_STRIDE = 15_485_863


def patient(number: int) -> dict[str, Any]:
    """The invitation's body for person ``number`` (0 to 24,974,999)."""
    chance = random.Random(number)  # nosec B311
    indonesian = chance.random() < 0.4
    woman = chance.random() < 0.5
    first = chance.choice(_ID_FIRST if indonesian else _RO_FIRST)
    last = chance.choice(_ID_LAST if indonesian else _RO_LAST)
    if indonesian and chance.random() < 0.2:
        first += f" {chance.choice(_ID_FIRST)}"
    elif not indonesian and chance.random() < 0.1:
        last += f"-{chance.choice(_RO_LAST)}"
    day, serial = divmod(number * _STRIDE % (_DAYS * _SERIALS), _SERIALS)
    born = _FIRST_BIRTH + timedelta(days=day)
    body: dict[str, Any] = {
        "first_name": first,
        "last_name": last,
        "national_id": (nik if indonesian else cnp)(born, serial + 1, woman=woman, chance=chance),
        "phone": f"+62812{chance.randrange(10**8):08}"
        if indonesian
        else f"+407{chance.randrange(10**8):08}",
        "birth_date": born.isoformat(),
        "language": "id" if indonesian else "ro",
    }
    if chance.random() < 0.85:
        name = ".".join(fold(f"{first} {last}").split())
        body["email"] = f"{name}.{number}@patients.example.com"
    if chance.random() < 0.3:
        body["anamnesis"] = {
            "allergies": chance.choice(_ALLERGIES),
            "chronic_conditions": chance.choice(_CONDITIONS),
            "medications": chance.choice(_MEDICATIONS),
            "notes": chance.choice(_NOTES),
        }
    return body


def cnp(born: date, serial: int, *, woman: bool, chance: random.Random) -> str:
    """A valid CNP; ``serial`` 1 to 999 of the day."""
    sex = (2 if woman else 1) + (0 if born.year < 2000 else 4)
    digits = f"{sex}{born:%y%m%d}{chance.choice(_COUNTIES):02}{serial:03}"
    rest = sum(int(digit) * key for digit, key in zip(digits, _CNP_KEY, strict=True)) % 11
    return f"{digits}{1 if rest == 10 else rest}"


def nik(born: date, serial: int, *, woman: bool, chance: random.Random) -> str:
    """A valid NIK; ``serial`` 1 to 9999 of the day."""
    province = chance.choice((31, 32, 33, 34, 35, 36, 51, 12, 73))
    place = f"{province}{chance.randrange(1, 30):02}{chance.randrange(1, 20):02}"
    return f"{place}{born.day + (40 if woman else 0):02}{born:%m%y}{serial:04}"
