"""What docs/deploy.md says a deployment costs is what its own list of prices makes of it."""

from __future__ import annotations

import re

import pytest

from infra.manifest import ROOT

_PAGE = (ROOT / "docs/deploy.md").read_text("utf-8").partition("## What it costs")[2]
_PRICE = re.compile(r"^\| `([a-z-]+)` \| [^|]+ \| ([0-9.]+) \|$", re.M)
_ROW = re.compile(r"^\| ([^|*]+) \| `([a-z-]+)` \| ([0-9]+) \| ([0-9.]+) \|$", re.M)
_SUM = re.compile(r"^\| \*\*([a-z ]+)\*\* \| \| \| \*\*([0-9.]+)\*\* \|$", re.M)
_CARRIED = re.compile(r"^\| ([a-z ]+) \| \| \| ([0-9.]+) \|$", re.M)


def _tables() -> list[str]:
    return [table for table in _PAGE.split("\n\n") if "| a month |" in table]


def test_each_row_is_quantity_times_price() -> None:
    """Every amount follows from the table of prices, to the cent."""
    prices = {name: float(price) for name, price in _PRICE.findall(_PAGE)}
    rows = [row for table in _tables() for row in _ROW.findall(table)]
    assert rows
    wrong = [
        (what, round(prices[price] * int(quantity), 2))
        for what, price, quantity, amount in rows
        if abs(prices[price] * int(quantity) - float(amount)) > 0.006
    ]
    assert [] == wrong
    assert set(prices) - {"request"} == {price for _, price, _, _ in rows}


@pytest.mark.parametrize("table", _tables())
def test_each_total_is_the_sum_of_its_rows(table: str) -> None:
    """What stands last is what stands above it together."""
    ((_, total),) = _SUM.findall(table)
    amounts = [float(amount) for *_, amount in (*_ROW.findall(table), *_CARRIED.findall(table))]
    assert float(total) == pytest.approx(sum(amounts), abs=0.006)


def test_what_is_carried_over_is_the_sum_before() -> None:
    """The clinic's table begins with what an idle deployment costs."""
    totals = {name: total for table in _tables() for name, total in _SUM.findall(table)}
    carried = [row for table in _tables() for row in _CARRIED.findall(table)]
    assert [("idle", totals["idle"])] == carried
