"""What is found in mouths and done about it: codes, materials, drugs, words. All of it made up of
what is common; nothing here is about anybody."""

from __future__ import annotations

from typing import NamedTuple

from functions.dental_records.domain.chart import Procedure

__all__ = [
    "CANCELLED",
    "DECLINED",
    "DISEASES",
    "DRUGS",
    "KINDS",
    "LOTS",
    "MATERIALS",
    "NOTES",
    "PROCEDURES",
    "REQUEST_NOTES",
    "TITLES",
    "Disease",
    "Kind",
    "Medicine",
]


class Kind(NamedTuple):
    """A type of appointment; ``price`` in whole lei."""

    ro: str
    id: str
    minutes: int
    price: int
    often: int


class Disease(NamedTuple):
    """An ICD-10 code; what is usually done about it, each as likely; ``often`` as others."""

    code: str
    often: int
    cures: tuple[Procedure, ...]
    surfaces: int = 0
    """How many surfaces it has at most; 0: the tooth as a whole."""
    teeth: str = "12345678"
    """The places in a quadrant where it is found."""


class Medicine(NamedTuple):
    """A drug as dentists prescribe it: ATC code, form, strength, dose, how often, for how long."""

    name: str
    code: str
    form: str
    strength: str
    unit: str
    times: int
    days: int
    route: str
    penicillin: bool = False


KINDS = (
    Kind("Consultație", "Konsultasi", 30, 150, 3),
    Kind("Detartraj", "Pembersihan karang gigi", 45, 300, 3),
    Kind("Obturație", "Tambalan", 45, 350, 4),
    Kind("Control", "Kontrol", 15, 100, 2),
)

DISEASES = (
    Disease("K02.1", 34, ("FILLING", "FILLING", "INLAY"), surfaces=3),
    Disease("K02.0", 12, ("SEALANT", "FILLING"), surfaces=1, teeth="45678"),
    Disease("K02.5", 6, ("ROOT_CANAL",), surfaces=2),
    Disease("K03.1", 5, ("FILLING", "VENEER"), surfaces=1),
    Disease("K03.6", 8, ("CLEANING",)),
    Disease("K04.0", 8, ("ROOT_CANAL",)),
    Disease("K04.5", 4, ("ROOT_CANAL", "EXTRACTION")),
    Disease("K05.1", 9, ("CLEANING",)),
    Disease("K05.3", 6, ("CLEANING",)),
    Disease("K01.1", 4, ("EXTRACTION",), teeth="8"),
    Disease("K08.1", 4, ("IMPLANT", "CROWN"), teeth="3456"),
)

MATERIALS: dict[Procedure, tuple[str, str]] = {
    "FILLING": ("Composite resin A2", "Example Dental"),
    "SEALANT": ("Fissure sealant", "Example Dental"),
    "INLAY": ("Lithium disilicate", "Sample Ceramics"),
    "VENEER": ("Lithium disilicate", "Sample Ceramics"),
    "CROWN": ("Zirconia", "Sample Ceramics"),
    "IMPLANT": ("Titanium implant 4.1 x 10 mm", "Sample Implants"),
    "ROOT_CANAL": ("Gutta-percha", "Example Dental"),
}
"""Procedure -> what stays in the mouth, and who makes it."""
LOTS = 240
"""How many lots are in use in a year."""

PROCEDURES: dict[Procedure, int] = {
    "FILLING": 350,
    "SEALANT": 120,
    "INLAY": 900,
    "VENEER": 1400,
    "CROWN": 1600,
    "IMPLANT": 3800,
    "ROOT_CANAL": 800,
    "EXTRACTION": 300,
    "CLEANING": 300,
}
"""Procedure -> what it costs, in whole lei."""

DRUGS = (
    Medicine("Ibuprofen", "M01AE01", "film-coated tablet", "400 mg", "tablet", 3, 3, "oral"),
    Medicine("Paracetamol", "N02BE01", "tablet", "500 mg", "tablet", 4, 3, "oral"),
    Medicine("Amoxicillin", "J01CA04", "capsule", "500 mg", "capsule", 3, 7, "oral", True),
    Medicine("Metronidazole", "J01XD01", "tablet", "250 mg", "tablet", 3, 7, "oral"),
    Medicine("Chlorhexidine", "A01AB03", "mouthwash", "0.12 %", "ml", 2, 10, "oromucosal"),
)
TITLES = {"ro": "Plan de tratament", "id": "Rencana perawatan"}
NOTES = {
    "ro": ("Sensibil la rece.", "Dureri la masticație.", "De urmărit la control."),
    "id": ("Ngilu saat minum dingin.", "Sakit saat mengunyah.", "Pantau saat kontrol."),
}
REQUEST_NOTES = {
    "ro": ("Aș putea doar după ora 16.", "Mă doare o măsea.", "Prefer dimineața."),
    "id": ("Hanya bisa sore hari.", "Gigi geraham saya sakit.", "Lebih suka pagi hari."),
}
DECLINED = {"ro": "Nu mai sunt locuri libere.", "id": "Jadwal sudah penuh."}
CANCELLED = {"ro": "Nu pot ajunge.", "id": "Saya berhalangan."}
