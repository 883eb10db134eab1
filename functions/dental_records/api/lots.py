"""Recalls: in whose mouths a lot of a material is.

Makers recall implants and materials by lot, and the clinic has to find whom it concerns (Regulation
(EU) 2017/745 on medical devices, articles 25 and 27).
"""

from __future__ import annotations

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from functions.dental_records.api.base import WRITERS, api
from functions.dental_records.api.interventions import InterventionOut
from functions.dental_records.domain.chart import InterventionRecord
from functions.dental_records.service import reading
from shared.pages import Page, PageQuery

__all__ = ["Concerned"]


class LotQuery(PageQuery):
    """``lot``: as it stands on the package; letters' case and blanks aside."""

    lot: Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]


class Concerned(InterventionOut):
    """An intervention that used the lot, and whose it is."""

    patient_id: UUID

    @classmethod
    def to(cls, patient_id: UUID, record: InterventionRecord) -> Self:
        """The representation of ``record`` with its patient."""
        return cls(patient_id=patient_id, **InterventionOut.of(record).model_dump())


@api.get("/interventions", access=WRITERS, returns=Page[Concerned])
def list_concerned(query: LotQuery) -> Page[Concerned]:
    """All interventions that used a lot, newest first; each patient's record of who looked says
    so. What was recorded within the last second may be missing."""
    page = reading.of_lot(query.lot, query)
    return page.map(lambda used: Concerned.to(*used))
