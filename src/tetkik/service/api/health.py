"""Whether the process lives and can serve: for a supervisor, without a word about anybody."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from tetkik.service.access.guard import public
from tetkik.service.house import InHouse

router = APIRouter(tags=["health"], dependencies=[public()])


class Health(BaseModel):
    """That it lives, or can serve."""

    status: Literal["ok"]


@router.get("/health")
def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/ready")
def ready(house: InHouse) -> Health:
    """The database answers, too."""
    with house.records.read() as tx:
        tx.session.execute(text("SELECT 1"))
    return Health(status="ok")
