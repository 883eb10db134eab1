"""What medicines are called, and which of them stand or fall together. Pure.

A group is known by ATC codes (WHO Collaborating Centre for Drug Statistics Methodology, ATC index)
and by the stems of international nonproprietary names (WHO, "The use of stems in the selection of
INN", 2018), as English, Romanian and Indonesian spell them; besides, by the trade names that
patients give most often. Which groups there are follows NICE CG183, "Drug allergy: diagnosis and
management" (beta-lactams as a whole, NSAIDs with COX-2 inhibitors, local anaesthetics), the EAACI's
position on hypersensitivity to NSAIDs (Allergy 2013;68:1219, which has the pyrazolones among them),
and the usual classes of antibiotics. A group may be one substance that has several codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shared.types import fold

__all__ = ["GROUPS", "Group", "begins", "telling", "words"]


@dataclass(frozen=True, slots=True)
class Group:
    """Substances of which one stands for all."""

    name: str
    codes: tuple[str, ...]
    stems: re.Pattern[str]
    """Of words as ``words`` spells them."""

    def has(self, code: str | None, named: Iterable[str]) -> bool:
        """Is what has this code, or these words in its name, of this group?"""
        if code is not None and any(begins(code, known) for known in self.codes):
            return True
        return any(self.stems.search(word) for word in named)


def begins(one: str, other: str) -> bool:
    """Is one ATC code a part of the other, or the other of it?"""
    return one.startswith(other) or other.startswith(one)


# How the three languages write one sound, brought to one spelling.
_SPELLINGS = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        ("ph", "f"),
        ("th", "t"),
        ("ks", "x"),
        ("ch|qu|ku(?=i)", "k"),
        ("y", "i"),
        ("c(?=[ei])|z", "s"),
        ("[cq]", "k"),
        (r"(.)\1+", r"\1"),
        ("(?<=...)[aeiou]+$", ""),
    )
)


def words(name: str) -> frozenset[str]:
    """The words of ``name`` in one spelling: ``Amoxicilină`` and ``Amoksisilin`` have the same.
    Strengths and punctuation say nothing of a substance."""
    return frozenset(_spelt(word) for word in re.findall(r"[^\W\d_]{2,}", fold(name)))


def _spelt(word: str) -> str:
    for pattern, spelling in _SPELLINGS:
        word = pattern.sub(spelling, word)
    return word


_SALTS_AND_FORMS = words(
    "acid asam sodium natrium sodic potassium kalium potasic calcium kalsium magnesium"
    " magneziu hydrochloride clorhidrat hidroklorida chloride clorura klorida sulfate sulfat"
    " phosphate fosfat acetate acetat asetat trihydrate trihidrat with without dengan tanpa"
    " pentru combination combinations combinatii kombinasi tablet tablets comprimate capsule"
    " kapsul solution solutie larutan injection injectie injeksi local topical medicine"
    " medicament obat allergy alergie"
)


def telling(named: frozenset[str]) -> frozenset[str]:
    """Those of ``words`` that tell a substance: neither short, nor a salt, nor a form."""
    return frozenset(word for word in named if len(word) > 3) - _SALTS_AND_FORMS


def _group(name: str, codes: str, stems: str) -> Group:
    return Group(name, tuple(codes.split()), re.compile(stems))


# J01RA is of several antibacterials at once, which do not follow from its first letters.
GROUPS = (
    _group(
        "beta-lactams",
        "J01C J01D J01RA",
        "silin|^sef|penem|laktam|baktam|klavulan|^amoxi|augmentin|^ospamox",
    ),
    _group(
        "NSAIDs, salicylates and pyrazolones",
        "M01A M01B M02AA N02BA N02BB N02AJ02 N02AJ03 N02AJ07 N02AJ08 N02AJ09 N02AJ14 N02AJ15"
        " N02AJ16 N02AJ18 N02AJ19 A01AD05 B01AC06 B01AC30 B01AC56 C01EB16 D11AX18 G02CC R02AX01"
        " R02AX02 S01BC",
        "profen|fenak|koxib|oxikam|salisil|^aspirin|^nsaid|^ains$|^oains$|n[eo]n?steroid|naproxen"
        "|ketorolak|nimesulid|indometasin|etodolak|sulindak|fenamik|fenamat|metamisol|metampiron"
        "|fenason|pirasolon|^nurofen|^brufen|^voltaren|^kataflam|^ponstan|^aspenter|^algokalmin"
        "|^novalgin|^antalgin",
    ),
    _group(
        "amide local anaesthetics",
        "N01BB C01BB01 C05AD01 C05AD04 D04AB01 D04AB02 R02AD02 S01HA06 S01HA07 S02DA01",
        "^lidoka|^lignoka|^artika|mepivaka|^priloka|bupivaka|^ropivaka|^etidoka|^sinkoka|^xiloka"
        "|^xilin$|^ultrakain|^septanest|^ubistesin|^skandonest|ana?este[st]",
    ),
    _group(
        "ester local anaesthetics",
        "N01BA C05AD02 C05AD03 C05AD05 D04AB03 D04AB04 D04AB06 R02AD01 S01HA02 S01HA03 S01HA05",
        "prokain|^bensoka|^tetraka|^ametoka|^novoka|ana?este[st]",
    ),
    # Epinephrine in a cartridge is kept by a sulfite, which its SmPC (4.3, 4.4) warns of.
    _group(
        "vasoconstrictors and their sulfites",
        "A01AD01 C01CA24 N01BA52 N01BB51 N01BB52 N01BB53 N01BB54 N01BB57 N01BB58 N01BB59",
        "epinefrin|adrenalin|sulfit",
    ),
    _group(
        "macrolides",
        "J01FA J01RA D10AF02 S01AA17",
        "tromisin|spiramisin|josamisin|^makrolid|^sumamed|^klasid|^rodogil",
    ),
    _group(
        "lincosamides",
        "J01FF J01RA D10AF01 G01AA10",
        "^klindam|^linkom|^linkosamid|^dalasin",
    ),
    _group(
        "tetracyclines",
        "J01AA J01RA A01AB13 A01AB22 A01AB23 D06AA S01AA09",
        "siklin",
    ),
    _group("quinolones", "J01M J01RA S01AE", "oxasin|kinolon"),
    _group(
        "nitroimidazoles",
        "J01XD J01RA P01AB A01AB17 D06BX01 G01AF01 G01AF02",
        "nidasol|^flagil|^rodogil",
    ),
    _group(
        "sulfonamide antibiotics",
        "J01E J01RA D06BA S01AB",
        "^sulfa(met|di|gu|ti|se|pir)|^sulf$|^sulfamid|^sulfonamid|trimoxasol|^biseptol|^baktrim",
    ),
    _group(
        "chlorhexidine",
        "A01AB03 B05CA02 D08AC02 D08AC52 D09AA12 R02AA05 S01AX09 S02AA09 S03AA04",
        "^klorhexidin|^korsodil|^eludril",
    ),
    _group("iodine antiseptics", "D08AG D09AA09 R02AA15 S01AX18", "^povidon|^betadin|^iod"),
    _group(
        "paracetamol",
        "N02BE01 N02BE51 N02BE71 N02AJ01 N02AJ06 N02AJ13 N02AJ17",
        "parasetamol|asetaminof|^panadol",
    ),
    _group(
        "codeine",
        "R05DA04 N02AJ06 N02AJ07 N02AJ08 N02AJ09 N02AA59 N02AA79",
        "kodein",
    ),
    _group("tramadol", "N02AX02 N02AJ13 N02AJ14 N02AJ15 N02AJ16", "tramadol"),
)
