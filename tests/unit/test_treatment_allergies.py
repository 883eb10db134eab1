"""Which drug meets which allergy."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.treatment.domain.allergies import Allergy, Basis, Drug, conflicts
from shared.types import fold

_LEVELS = (3, 4, 5, 7)
_CODE = st.from_regex(r"[ABCDGHJLMNPRSV][0-9]{2}[A-Z]{2}[0-9]{2}", fullmatch=True)
_PART = st.builds(lambda code, length: code[:length], _CODE, st.sampled_from(_LEVELS))
_NAME = st.text("abcdefghijklmnop ", min_size=1, max_size=30).filter(
    lambda text: any(len(word) > 1 for word in text.split())
)


def _allergy(
    code: str | None = None, name: str | None = None, verification: str = "confirmed"
) -> Allergy:
    return Allergy(uuid4(), code, name, "high", verification)


def _basis(drug: Drug, allergy: Allergy) -> Basis | None:
    found = conflicts(drug, [allergy])
    return found[0].basis if found else None


@given(_CODE, st.sampled_from(_LEVELS), st.sampled_from(_LEVELS))
def test_a_code_meets_its_groups_both_ways(code: str, listed: int, prescribed: int) -> None:
    """Whatever level of one substance's code is listed, whatever level is prescribed: they meet."""
    drug = Drug("zz", code[:prescribed])
    assert "code" == _basis(drug, _allergy(code[:listed]))


@given(_NAME, st.lists(_NAME, max_size=3))
def test_a_name_meets_itself_among_other_words(name: str, others: list[str]) -> None:
    """Words match as a set: order, case, accents and further ingredients make no difference."""
    longer = " ".join([*others, name.upper(), "125 mg"])
    assert "name" == _basis(Drug(longer), _allergy(name=name))
    assert "name" == _basis(Drug(name), _allergy(name=longer.replace("a", "ă")))


@given(_NAME, _PART, _PART)
def test_what_meets_meets_whoever_is_listed(name: str, one: str, two: str) -> None:
    """Where both have codes, what is listed and what is prescribed may change places."""
    here = conflicts(Drug(name, one), [_allergy(two, "amoxicillin")])
    there = conflicts(Drug("amoxicillin", two), [_allergy(one, name)])
    assert [one.basis for one in here] == [one.basis for one in there]


@given(_NAME, st.none() | _PART, st.sampled_from(["refuted", "entered-in-error"]))
def test_what_was_refuted_stops_nothing(name: str, code: str | None, verification: str) -> None:
    """An allergy that was ruled out, or written down by mistake, is not in the way."""
    assert _basis(Drug(name, code), _allergy(code, name, verification)) is None


@pytest.mark.parametrize(
    ("prescribed", "code", "listed", "listed_code"),
    [
        ("Augmentin", "J01CR02", "Penicillin", None),
        ("Amoxicillin", None, None, "J01C"),
        ("Amoxicilină", None, "penicilină", None),
        ("Amoksisilin", None, "Penisilin", None),
        ("Cefalexin", "J01DB01", None, "J01CA04"),
        ("Sefadroksil", None, "amoxicillin", None),
        ("Ibuprofen", "M01AE01", "Aspirin", None),
        ("Ketorolac", None, None, "N02BA01"),
        ("Celecoxib", "M01AH01", "diclofenac", None),
        ("Asam asetilsalisilat", None, "Naproxen", "M01AE02"),
        ("Articaine with epinephrine", "N01BB58", "Lidocaină", None),
        ("Benzocaine", "N01BA05", "procaine", None),
        ("Azitromicină", None, "erythromycin", None),
        ("Clindamycin", "J01FF01", "lincomycin", None),
        ("Doksisiklin", None, "tetraciclină", None),
        ("Siprofloksasin", None, None, "J01MA12"),
        ("Metronidazole", "A01AB17", None, "J01XD01"),
        ("Trimethoprim/sulfamethoxazole", None, "Sulfonamides", None),
        ("Clorhexidină", None, None, "D08AC02"),
        ("Povidone-iodine", "D08AG02", "betadine", None),
        ("Co-amoxiclav", None, "Penicilină", None),
        ("Amoxicillin", "J01CA04", "Augmentin", None),
        ("Cefuroxim", "J01DC02", "antibiotice betalactamice", None),
        ("Piperacillin/tazobactam", None, None, "J01CR02"),
        ("Asam mefenamat", "M01AG01", "Nurofen", None),
        ("Indometacin", None, "Aspirin", None),
        ("Ibuprofen", "M01AE01", "antiinflamatoare nesteroidiene", None),
        ("Ibuprofen and codeine", "N02AJ08", None, "N02BA01"),
        ("Ibuprofen", "M01AE01", "Algocalmin", None),
        ("Metamizol", "N02BB02", None, "M01A"),
        ("Lidocaină", "N01BB02", "anestezice locale", None),
        ("Articaine", "N01BB58", "Xilină", None),
        ("Tetracaine", "C05AD02", "Novocaină", None),
        ("Articaine with epinephrine", "N01BB58", "Sulfiți", None),
        ("Ultracain", "N01BB58", "adrenalină", None),
        ("Artikain dengan epinefrin", None, None, "C01CA24"),
        ("Spiramicină", None, "Eritromisin", None),
        ("Metronidazole", "J01XD01", "Rodogyl", None),
        ("Spiramycin and metronidazole", "J01RA04", None, "J01XD01"),
        ("Cotrimoxazol", "J01EE01", "sulfamide", None),
        ("Kotrimoksazol", "J01EE01", "sulfa", None),
        ("Povidone-iodine", "D08AG02", "iod", None),
        ("Paracetamol/codeine", "N02AJ06", None, "R05DA04"),
        ("Paracetamol and tramadol", "N02AJ13", None, "N02BE01"),
        ("Parasetamol", None, "Panadol", None),
    ],
)
def test_groups_that_cross_react(
    prescribed: str, code: str | None, listed: str | None, listed_code: str | None
) -> None:
    """A drug meets an allergy to one of its group, by code or name, in each language."""
    found = _basis(Drug(prescribed, code), _allergy(listed_code, listed))
    assert found in ("group", "name", "code")


@pytest.mark.parametrize(
    ("prescribed", "code", "listed", "listed_code"),
    [
        ("Amoxicillin", "J01CA04", "Ibuprofen", "M01AE01"),
        ("Paracetamol", "N02BE01", "Aspirin", "N02BA01"),
        ("Clindamycin", "J01FF01", "Penicillin", "J01C"),
        ("Lidocaine", "N01BB02", "benzocaine", "N01BA05"),
        ("Clavulanic acid", None, "Acetylsalicylic acid", None),
        ("Ibuprofen", None, "Latex", None),
        ("Amoxicillin", "J01CA04", "Peanuts", None),
        ("Metronidazole", "J01XD01", "Miconazole", "A01AB09"),
        ("Paracetamol", None, "Penicillin", None),
        ("Paracetamol", "N02BE01", "Codeine phosphate", "R05DA04"),
        ("Tetracycline", "J01AA07", "Tetracaine", "N01BA03"),
        ("Mepivacaine 3 %", "N01BB03", "Sulfites", None),
        ("Mometason", "R01AD09", "Augmentin", None),
        ("Diclofenac sodium", "M01AB05", "Sodium lauryl sulfate", None),
    ],
)
def test_what_has_nothing_to_do_with_each_other(
    prescribed: str, code: str | None, listed: str | None, listed_code: str | None
) -> None:
    """Nobody is kept from what another group's allergy says nothing about."""
    assert _basis(Drug(prescribed, code), _allergy(listed_code, listed)) is None


def test_what_cannot_be_compared_is_not_guessed() -> None:
    """A drug without a code and an allergy without a name may be the same thing."""
    assert "not comparable" == _basis(Drug("Xyzal"), _allergy("R06AE09"))
    assert _basis(Drug("Xyzal", "R06AE09"), _allergy("N02BE01")) is None


@pytest.mark.parametrize(
    ("prescribed", "listed"),
    [
        ("Tramadol 50 mg", "tramadol hydrochloride"),
        ("Prednison 5 mg", "prednisone acetate"),
        ("Deksametason 4 mg", "dexamethasone phosphate"),
        ("Vankomisin infus", "vancomicină injectabilă"),
    ],
)
def test_a_substance_is_itself_in_every_language_strength_and_salt(
    prescribed: str, listed: str
) -> None:
    """Neither a strength nor a salt nor the spelling hides that both name one substance."""
    assert "name" == _basis(Drug(prescribed), _allergy(name=listed))


@pytest.mark.parametrize("allergy", [("J01CA04", "Amoxicillin"), (None, "penicilină")])
def test_a_trade_name_needs_its_code_where_a_medicine_is_listed(
    allergy: tuple[str | None, str],
) -> None:
    """A name that says nothing could be what the patient is allergic to; its code tells."""
    listed = _allergy(*allergy)
    assert "not comparable" == _basis(Drug("Medoclav"), listed)
    assert "group" == _basis(Drug("Medoclav", "J01CR02"), listed)
    assert _basis(Drug("Mometason", "R01AD09"), listed) is None
    assert _basis(Drug("Medoclav"), _allergy(name="Latex")) is None


def test_every_allergy_that_is_met_is_named_in_order() -> None:
    """Whoever overrides must have seen all of them."""
    listed = [_allergy("J01C"), _allergy("M01A"), _allergy(name="amoxicillin")]
    found = conflicts(Drug("Amoxicillin", "J01CA04"), listed)
    assert [listed[0], listed[2]] == [one.allergy for one in found]
    assert ["code", "name"] == [one.basis for one in found]


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_text_breaks_the_rule(one: str, two: str) -> None:
    """Whatever people write, there is an answer, and what folds alike meets."""
    found = _basis(Drug(one), _allergy(name=two))
    if fold(one) == fold(two):
        assert found is not None
