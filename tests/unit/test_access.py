"""Access rules: who is let in, when it can be told, and how the rule reads."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from uuid import UUID

import pytest

from shared.access import GROUP, Rule, anyone, owner, public, roles, services
from shared.identity import ANONYMOUS, Caller
from tests.http_example import CLINIC, ME, OTHER, person

PATIENT = person("PATIENT")
DENTIST = person("DENTIST", clinic=CLINIC)
ADMIN = person("ADMIN")
NOTIFICATION = Caller("service", service="notification")


@pytest.mark.parametrize(
    ("expected", "rule", "caller", "known"),
    [
        (True, public(), ANONYMOUS, {}),
        (False, anyone(), ANONYMOUS, {}),
        (False, anyone(), NOTIFICATION, {}),
        (True, anyone(), PATIENT, {}),
        (True, roles("DENTIST"), DENTIST, {}),
        (False, roles("DENTIST"), ADMIN, {}),
        (False, roles("DENTIST", "ADMIN"), PATIENT, {}),
        (True, roles("RECEPTIONIST", "ADMIN"), ADMIN, {}),
        (False, roles("DENTIST", clinic=GROUP), DENTIST, {}),
        (True, roles("ADMIN", clinic=GROUP), ADMIN, {}),
        (True, roles("ADMIN", clinic="clinic_id"), ADMIN, {}),
        (None, roles("DENTIST", clinic="clinic_id"), DENTIST, {}),
        (False, roles("ADMIN", clinic="clinic_id"), DENTIST, {}),
        (True, roles("DENTIST", clinic="clinic_id"), DENTIST, {"clinic_id": CLINIC}),
        (False, roles("DENTIST", clinic="clinic_id"), DENTIST, {"clinic_id": OTHER}),
        (False, roles("DENTIST", clinic="clinic_id"), DENTIST, {"clinic_id": None}),
        (False, roles("DENTIST", clinic="clinic_id"), DENTIST, {"clinic_id": "*"}),
        (None, owner("patient_id"), PATIENT, {}),
        (True, owner("patient_id"), PATIENT, {"patient_id": ME}),
        (False, owner("patient_id"), PATIENT, {"patient_id": OTHER}),
        (False, owner("patient_id"), PATIENT, {"patient_id": None}),
        (False, owner("patient_id"), PATIENT, {"patient_id": str(ME)}),
        (False, owner("patient_id"), ANONYMOUS, {"patient_id": ME}),
        (False, owner("patient_id"), NOTIFICATION, {"patient_id": ME}),
        (True, services("notification", "payment"), NOTIFICATION, {}),
        (False, services("payment"), NOTIFICATION, {}),
        (False, services("notification"), ADMIN, {}),
    ],
)
def test_each_rule_admits_whom_it_names(
    expected: bool | None, rule: Rule, caller: Caller, known: dict[str, object]
) -> None:
    """A rule answers yes, no, or (None) that it depends on a field not known yet."""
    assert expected is rule.decide(caller, known)


EITHER = roles("DENTIST") | owner("patient_id") | services("notification")


@pytest.mark.parametrize(
    ("expected", "caller", "known"),
    [
        (True, DENTIST, {}),
        (None, PATIENT, {}),
        (True, PATIENT, {"patient_id": ME}),
        (False, PATIENT, {"patient_id": OTHER}),
        (True, NOTIFICATION, {}),
        (False, ANONYMOUS, {}),
    ],
)
def test_combined_rules_admit_whom_any_of_them_admits(
    expected: bool | None, caller: Caller, known: dict[str, UUID]
) -> None:
    """One yes suffices, and only when no rule can still say yes is it a no."""
    assert expected is EITHER.decide(caller, known)


def test_a_combination_carries_the_data_of_its_parts() -> None:
    """Fields, services and words of a combination are those of all its rules."""
    assert frozenset({"patient_id"}) == EITHER.fields
    assert frozenset({"notification"}) == EITHER.services
    assert (
        EITHER.describe()
        == "DENTIST of any clinic; the person in patient_id; the service notification"
    )


def test_a_clinic_rule_reads_well() -> None:
    """The clinic scope is part of the words."""
    assert (
        roles("DENTIST", "ADMIN", clinic="clinic_id").describe()
        == "DENTIST or ADMIN of the clinic in clinic_id"
    )
    assert roles("ADMIN", clinic=GROUP).describe() == "ADMIN of the group"


def test_patient_is_no_role_to_be_let_in_by() -> None:
    """Everybody holds PATIENT, so roles() refuses it and says what to use."""
    with pytest.raises(ValueError, match=r"owner\(\.\.\.\) or anyone\(\)"):
        roles("DENTIST", "PATIENT")


@pytest.mark.parametrize("make", [roles, services, lambda: roles("DENTITS")])
def test_empty_and_misspelt_rules_are_refused(make: type) -> None:
    """A rule that names nobody, or nobody known, fails where it is written."""
    with pytest.raises(ValueError, match=r"needs at least one|not DENTITS"):
        make()


def test_public_combines_with_nothing() -> None:
    """Adding a rule to public() would only pretend to protect."""
    with pytest.raises(ValueError, match="admits everybody"):
        public() | anyone()


def test_rules_are_immutable_values() -> None:
    """Equal rules are equal, hashable and cannot be changed afterwards."""
    rule = owner("patient_id")
    assert owner("patient_id") == rule
    assert len({rule, owner("patient_id")}) == 1
    with pytest.raises(FrozenInstanceError):
        rule.field = "other"  # type: ignore[attr-defined]
