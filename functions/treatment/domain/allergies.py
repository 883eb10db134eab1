"""Does a drug meet something its patient is allergic to? Pure, and rather once too often: a dentist
may override it with a reason.

Four rules, the first that applies is named:

- **code**: one ATC code begins with the other. J01C on the list stops J01CA04, and the reverse.
- **name**: all words of the one name stand in the other, case and accents aside.
- **group**: both are of one group whose members are known to cross-react, or are one substance
  under several codes. A group is known by ATC codes (WHO Collaborating Centre for Drug Statistics
  Methodology, ATC index) and by the stems of international nonproprietary names (WHO, "The use of
  stems in the selection of INN", 2018), also as Romanian and Indonesian spell them. Which groups
  there are follows NICE CG183, "Drug allergy: diagnosis and management" (beta-lactams, NSAIDs with
  COX-2 inhibitors, local anaesthetics), and the usual classes of antibiotics.
- **not comparable**: one has only a name, the other only a code, and no group tells.

What is refuted or entered in error stops nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from shared.types import fold

__all__ = ["Allergy", "Basis", "Conflicting", "Drug", "Listed", "Status", "conflicts"]

Status = Literal["UNKNOWN", "NONE_KNOWN", "LISTED"]
Basis = Literal["code", "name", "group", "not comparable"]


@dataclass(frozen=True, slots=True)
class Drug:
    """What is prescribed: its (generic) name, and its ATC code if it is given."""

    name: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Allergy:
    """One line of a patient's list: an ATC code of a substance or group, a name, or both."""

    allergy_id: UUID
    code: str | None
    name: str | None
    criticality: str
    verification: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A patient's list; empty unless the status is LISTED."""

    status: Status
    allergies: tuple[Allergy, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflicting:
    """An allergy that the drug meets, and by which rule."""

    allergy: Allergy
    basis: Basis
    group: str | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    codes: tuple[str, ...]
    words: re.Pattern[str]

    def has(self, code: str | None, words: Iterable[str]) -> bool:
        if code is not None and any(_one_begins_with_the_other(code, c) for c in self.codes):
            return True
        return any(self.words.search(word) for word in words)


def _group(name: str, codes: str, words: str) -> _Group:
    return _Group(name, tuple(codes.split()), re.compile(words))


_GROUPS = (
    _group(
        "beta-lactams",
        "J01C J01D",
        r"cill?in|silin|^[cs]ef|^ceph|penem|^la[ck]tam|[ck]lavulan",
    ),
    _group(
        "NSAIDs and salicylates",
        "M01A M02AA N02BA B01AC06 C01EB16 G02CC01 R02AX01 R02AX02 S01BC",
        r"profen|fena[ck]|[ck]o[xk]s?ib|o[xk]s?i[ck]am|sali[cs][yi]l|^aspirin|^nsaid|^ains$|^oains$"
        r"|napro[xk]s?en|ketorola[ck]|nimesulid",
    ),
    _group(
        "amide local anaesthetics",
        "N01BB C01BB01 C05AD01 C05AD02 D04AB01 R02AD02 S01HA07 S02DA01",
        r"^lido[ck]a|^lignoca|^arti[ck]a|^mepiva[ck]a|^prilo[ck]a|^bupiva[ck]a|^levobupi|^ropiva[ck]a",
    ),
    _group(
        "ester local anaesthetics",
        "N01BA C05AD03 C05AD05 D04AB04 D04AB06 R02AD01 S01HA03",
        r"^pro[ck]a[iy]|^chloropro|^[ck]loropro|^benzo[ck]a[iy]|^tetra[ck]a[iy]|^ameto",
    ),
    _group("macrolides", "J01FA D10AF02 S01AA17", r"thromy[cs]in|tromi[cs]in|^ma[ck]rolid"),
    _group("lincosamides", "J01FF D10AF01 G01AA10", r"^[ck]lindam|^lin[ck]om|^lin[ck]osamid"),
    _group(
        "tetracyclines",
        "J01AA A01AB13 A01AB22 A01AB23 D06AA S01AA09",
        r"cy[ck]lin|ci[ck]lin|siklin",
    ),
    _group("quinolones", "J01M S01AE", r"oxacin|oksasin|(qu|ch|ku|k)inolon"),
    _group("nitroimidazoles", "J01XD P01AB A01AB17 D06BX01 G01AF01 G01AF02", r"nidazol"),
    _group(
        "sulfonamide antibiotics",
        "J01E D06BA S01AB",
        r"^sul[fp]h?a(met|di|gu|thi|ti|ce|se|pyr|pir)|trimo[xk]s?a[zs]ol|sul[fp]h?onamid",
    ),
    _group(
        "chlorhexidine",
        "A01AB03 B05CA02 D08AC02 D08AC52 D09AA12 R02AA05 S01AX09 S02AA09 S03AA04",
        r"^[ck]h?lorhe[xk]s?idin",
    ),
    _group("iodine antiseptics", "D08AG D09AA09 R02AA15 S01AX18", r"povidon|^betadin"),
)


def conflicts(drug: Drug, listed: Iterable[Allergy]) -> list[Conflicting]:
    """What of the list stops this drug, in the list's order."""
    found = (_conflict(drug, allergy) for allergy in listed)
    return [one for one in found if one is not None]


def _conflict(drug: Drug, allergy: Allergy) -> Conflicting | None:
    if allergy.verification in ("refuted", "entered-in-error"):
        return None
    by_code = drug.code is not None and allergy.code is not None
    if by_code and _one_begins_with_the_other(drug.code or "", allergy.code or ""):
        return Conflicting(allergy, "code")
    words, feared = _words(drug.name), _words(allergy.name or "")
    if words and feared and (words <= feared or feared <= words):
        return Conflicting(allergy, "name")
    for group in _GROUPS:
        if group.has(drug.code, words) and group.has(allergy.code, feared):
            return Conflicting(allergy, "group", group.name)
    by_name = bool(words and feared)
    return None if by_code or by_name else Conflicting(allergy, "not comparable")


def _one_begins_with_the_other(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _words(name: str) -> frozenset[str]:
    """The words of ``name``; strengths and punctuation say nothing of a substance."""
    return frozenset(re.findall(r"[^\W\d_]{2,}", fold(name)))
