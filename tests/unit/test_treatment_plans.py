"""What plans cost, how versions follow each other, and what a consent does."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from functions.treatment.domain.currencies import CURRENCIES
from functions.treatment.domain.plans import (
    Item,
    ItemDone,
    NotOffered,
    Phase,
    Plan,
    PlanCompleted,
    PlanVersionReplaced,
    Priced,
    Status,
    after_items,
    all_done,
    costs,
    decided,
    revisable,
)
from shared.errors import Invalid

_PRICED = st.builds(Priced, price=st.integers(0, 10**12), done=st.booleans(), current=st.booleans())


def _item(price: int = 100) -> Item:
    return Item(uuid4(), "Filling", price)


def _plan(*items: Item) -> Plan:
    return Plan("Lower left", (Phase("First", items),))


@given(st.lists(_PRICED))
def test_what_is_done_and_what_is_to_come_add_up(items: list[Priced]) -> None:
    """Each item counts once: done, still to come, or dropped; sums are exact integers."""
    found = costs(items)
    dropped = sum(one.price for one in items if not one.done and not one.current)
    assert sum(one.price for one in items) == found.total + dropped
    assert found.so_far == sum(one.price for one in items if one.done)


@given(st.lists(_PRICED), st.integers(0, 10**12))
def test_doing_an_item_moves_its_price(items: list[Priced], price: int) -> None:
    """What is done moves from what is to come to what it cost so far, and the total stays."""
    before = costs([*items, Priced(price, done=False)])
    after = costs([*items, Priced(price, done=True)])
    assert (before.total, price) == (after.total, after.so_far - before.so_far)


@given(st.lists(_PRICED))
def test_a_plan_is_done_with_the_last_item_of_its_newest_version(items: list[Priced]) -> None:
    """All is done when nothing is to come, and there was something; dropped items do not count."""
    now = [one for one in items if one.current]
    assert all_done(items) == (bool(now) and all(one.done for one in now))


def test_a_version_keeps_what_was_done() -> None:
    """A next version may change anything but what is done, which it must still have as agreed."""
    done, open_ = _item(), _item()
    known = {done.item_id, open_.item_id}

    def check(*items: Item) -> None:
        named = {one.item_id for one in items} & known
        revisable("ACCEPTED", _plan(*items), named=named, known=known, done={done.item_id: done})

    check(done, _item())
    check(done, replace(open_, price=1))
    for changed in ((open_,), (replace(done, price=99), open_), (replace(done, tooth="11"),)):
        with pytest.raises(ItemDone) as refused:
            check(*changed)
        assert [str(done.item_id)] == refused.value.extra["items"]


def test_a_version_does_not_take_up_what_was_done_and_dropped() -> None:
    """What was done is settled: if a version has dropped it, no later one prices it anew."""
    done = _item()
    with pytest.raises(ItemDone):
        revisable(
            "OFFERED",
            _plan(done),
            named={done.item_id},
            known={done.item_id},
            done={done.item_id: None},
        )


def test_a_version_names_only_items_of_its_plan() -> None:
    """Another plan's item is no item of this one."""
    strange = _item()
    with pytest.raises(Invalid):
        revisable("OFFERED", _plan(strange), named={strange.item_id}, known=(), done={})


def test_a_completed_plan_has_no_next_version() -> None:
    """More work is another plan."""
    with pytest.raises(PlanCompleted):
        revisable("COMPLETED", _plan(_item()), named=(), known=(), done={})


class Consents(RuleBasedStateMachine):
    """A plan between its dentist, its patient, and what is done; beside it what must be so."""

    def __init__(self) -> None:
        super().__init__()
        self.status: Status = "OFFERED"
        self.version = 1
        self.agreed: int | None = None
        self.done = False

    @precondition(lambda self: self.status != "COMPLETED")
    @rule()
    def revise(self) -> None:
        """The dentist offers a new version, with something more to do."""
        self.version, self.status, self.done = self.version + 1, "OFFERED", False

    @rule()
    def accept(self) -> None:
        """The patient says yes to the newest version."""
        try:
            self.status = decided(
                self.status, self.version, "ACCEPTED", self.version, all_done=self.done
            )
        except NotOffered:
            assert self.status == "DECLINED"
            return
        self.agreed = self.version

    @rule()
    def decline(self) -> None:
        """The patient says no, or takes back a yes."""
        try:
            self.status = decided(
                self.status, self.version, "DECLINED", self.version, all_done=self.done
            )
        except NotOffered:
            assert self.status == "COMPLETED"
            return
        self.agreed = None

    @precondition(lambda self: self.version > 1)
    @rule(back=st.integers(1, 3), yes=st.booleans())
    def decide_about_an_old_version(self, back: int, *, yes: bool) -> None:
        """Nobody agrees to what is not on offer any more."""
        with pytest.raises(PlanVersionReplaced):
            decided(
                self.status,
                self.version,
                "ACCEPTED" if yes else "DECLINED",
                self.version - back,
                all_done=self.done,
            )

    @rule(done=st.booleans())
    def work(self, *, done: bool) -> None:
        """All that the version has is done, or some of it turns out not to be."""
        self.done = done
        self.status = after_items(self.status, all_done=done)

    @invariant()
    def a_consent_is_to_the_newest_version(self) -> None:
        """ACCEPTED and COMPLETED mean: the patient has agreed to this very version."""
        assert (self.status in ("ACCEPTED", "COMPLETED")) == (self.agreed == self.version)

    @invariant()
    def completed_is_agreed_and_done(self) -> None:
        """COMPLETED means exactly: agreed to, and all done."""
        assert (self.status == "COMPLETED") == (self.agreed == self.version and self.done)


TestConsents = Consents.TestCase


def test_currencies_are_three_letters() -> None:
    """The list has the currencies of the group's countries, in ISO 4217's form."""
    assert {"RON", "IDR", "EUR"} <= CURRENCIES
    assert all(len(code) == 3 and code.isupper() for code in CURRENCIES)
