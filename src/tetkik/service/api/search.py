"""Find a case. What is looked for comes in the body, never in the address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tetkik.records.worklist import search as records
from tetkik.service.access.guard import allowed
from tetkik.service.api.worklist import WorklistCase
from tetkik.service.house import InHouse
from tetkik.values import Actor, Permission

router = APIRouter(tags=["search"])


class Wanted(BaseModel):
    """What is looked for.

    Attributes:
        query: a name or the beginning of one, a TCKN, a number of the hospital, an accession number, or the
            number of a case.
    """

    query: str = Field(max_length=records.LONGEST, repr=False)


class Found(BaseModel):
    """What was found.

    Attributes:
        items: the newest cases first.
        more: whether there may be more than these: say more of the name.
    """

    items: list[WorklistCase]
    more: bool


@router.post("/search")
def search(wanted: Wanted, actor: Annotated[Actor, allowed(Permission.CASE_SEARCH)], house: InHouse) -> Found:
    """Cases that one may see, by patient or number; the search is audited."""
    with house.records.write(actor) as tx:
        items = records.search_cases(tx, wanted.query)
    return Found(items=[WorklistCase.of(item) for item in items], more=len(items) >= records.MOST)
