"""The words on a drawn chart, in the platform's languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from functions.dental_records.domain.chart import Procedure, Role
from shared.types import Language

__all__ = ["WORDS", "Words"]


@dataclass(frozen=True)
class Words:
    """One language's."""

    chart: str
    tooth: str
    as_of: str
    known_at: str
    version: str
    right: str
    """The patient's, in a letter or two."""
    left: str
    problem: str
    treated: str
    missing: str
    resolved: str
    in_error: str
    nothing: str
    surfaces: Mapping[str, str]
    procedures: Mapping[Procedure, str]
    roles: Mapping[Role, str]


WORDS: Mapping[Language, Words] = {
    "en": Words(
        chart="Tooth chart",
        tooth="Tooth",
        as_of="As of",
        known_at="as known on",
        version="version",
        right="R",
        left="L",
        problem="problem",
        treated="treated",
        missing="missing",
        resolved="resolved",
        in_error="entered in error",
        nothing="Nothing is recorded.",
        surfaces={
            "M": "mesial",
            "D": "distal",
            "O": "occlusal",
            "I": "incisal",
            "B": "buccal",
            "V": "vestibular",
            "P": "palatal",
            "L": "lingual",
        },
        procedures={
            "FILLING": "filling",
            "SEALANT": "sealant",
            "INLAY": "inlay",
            "VENEER": "veneer",
            "CROWN": "crown",
            "BRIDGE": "bridge",
            "SPLINT": "splint",
            "DENTURE": "denture",
            "IMPLANT": "implant",
            "ROOT_CANAL": "root canal treatment",
            "EXTRACTION": "extraction",
            "CLEANING": "cleaning",
            "ORTHODONTICS": "orthodontics",
            "OTHER": "other intervention",
        },
        roles={"ABUTMENT": "abutment", "PONTIC": "pontic"},
    ),
    "ro": Words(
        chart="Odontogramă",
        tooth="Dintele",
        as_of="La data de",
        known_at="după cele știute la",
        version="versiunea",
        right="D",
        left="S",
        problem="problemă",
        treated="tratat",
        missing="absent",
        resolved="rezolvat",
        in_error="înregistrat din greșeală",
        nothing="Nu este înregistrat nimic.",
        surfaces={
            "M": "mezial",
            "D": "distal",
            "O": "ocluzal",
            "I": "incizal",
            "B": "bucal",
            "V": "vestibular",
            "P": "palatinal",
            "L": "lingual",
        },
        procedures={
            "FILLING": "obturație",
            "SEALANT": "sigilare",
            "INLAY": "inlay",
            "VENEER": "fațetă",
            "CROWN": "coroană",
            "BRIDGE": "punte",
            "SPLINT": "imobilizare",
            "DENTURE": "proteză",
            "IMPLANT": "implant",
            "ROOT_CANAL": "tratament de canal",
            "EXTRACTION": "extracție",
            "CLEANING": "detartraj",
            "ORTHODONTICS": "ortodonție",
            "OTHER": "altă intervenție",
        },
        roles={"ABUTMENT": "dinte stâlp", "PONTIC": "corp de punte"},
    ),
    "id": Words(
        chart="Odontogram",
        tooth="Gigi",
        as_of="Per",
        known_at="menurut catatan sampai",
        version="versi",
        right="Ka",
        left="Ki",
        problem="masalah",
        treated="dirawat",
        missing="hilang",
        resolved="teratasi",
        in_error="salah catat",
        nothing="Belum ada catatan.",
        surfaces={
            "M": "mesial",
            "D": "distal",
            "O": "oklusal",
            "I": "insisal",
            "B": "bukal",
            "V": "vestibular",
            "P": "palatal",
            "L": "lingual",
        },
        procedures={
            "FILLING": "tambalan",
            "SEALANT": "penutup fisura",
            "INLAY": "inlay",
            "VENEER": "veneer",
            "CROWN": "mahkota",
            "BRIDGE": "jembatan gigi",
            "SPLINT": "splin",
            "DENTURE": "gigi tiruan",
            "IMPLANT": "implan",
            "ROOT_CANAL": "perawatan saluran akar",
            "EXTRACTION": "pencabutan",
            "CLEANING": "pembersihan karang gigi",
            "ORTHODONTICS": "ortodonti",
            "OTHER": "tindakan lain",
        },
        roles={"ABUTMENT": "gigi penyangga", "PONTIC": "pontik"},
    ),
}
