"""Any history replays to the projection, whatever happens while it is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.eventstore import Fact, Recorded
from tests.projection_stack import Came, Left, Visits, tables, visitor, visits

# Who it is about: one of four people. What happens: facts, an erasure, or work on the read model.
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["came", "came", "left", "both", "erase", "run", "some", "rebuild"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=14,
)


@pytest.fixture(scope="module")
def model(kit_db: Callable[[], str]) -> Visits:
    """One read model for all examples; each has people of its own."""
    url = kit_db()
    tables(url)
    return visits(url)


def _folded(model: Visits, person: UUID) -> Counter[str]:
    def count(state: Counter[str], event: Recorded) -> Counter[str]:
        return state + Counter([event.type])

    return model.store.load(model.db, visitor(person), Counter[str](), count)[0]


@settings(max_examples=15, deadline=None)
@given(steps=_STEPS)
def test_any_history_replays_to_the_projection(
    model: Visits, steps: list[tuple[str, int, bool]]
) -> None:
    """After any facts, erasures and rebuilds the rows are what folding each person's facts gives,
    nothing is left of the erased, and the read model made anew is the same, row by row."""
    people = [uuid4() for _ in range(4)]
    versions, erased = Counter[UUID](), set[UUID]()
    facts: dict[str, list[Fact]] = {
        "came": [Came(name="Ana")],
        "left": [Left()],
        "both": [Left(), Came(name="Ema")],
    }
    for what, at, follow in steps:
        person = people[at]
        if what in facts and person not in erased:
            versions[person] = model.append(
                visitor(person), *facts[what], expected=versions[person], follow=follow
            )
        elif what == "erase":
            model.erase(person)
            erased.add(person)
        elif what == "run":
            model.projector.run()
        elif what == "some":
            model.projector.run(limit=1, budget_s=0)
        elif what == "rebuild":
            model.projector.rebuild()
    model.projector.run()
    rows = {row["person_id"]: row for row in model.rows()}
    for person in people:
        expected = Counter[str]() if person in erased else _folded(model, person)
        row = rows.get(person, {"came": 0, "gone": 0})
        assert (expected["CAME"], expected["LEFT"]) == (row["came"], row["gone"])
    assert [] == model.projector.check()
