"""A person's own macros, for the editor and as a file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.reports import macros
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.paging import Page
from tetkik.service.kit.http.shape import Shape
from tetkik.values import Permission

router = APIRouter(prefix="/macros", tags=["macros"])
Writer = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]


class MacroSent(BaseModel):
    """A macro as a file has it."""

    abbreviation: Annotated[str, Field(min_length=1, max_length=40)] = Field(
        description="Typed after a dot, and inserted with Tab; one of a normal sentence replaces that."
    )
    name: Annotated[str, Field(max_length=200)] = ""
    language: Language
    text: Annotated[str, Field(min_length=1, max_length=2 * macros.LONGEST)] = Field(
        description="A line each sentence, with fields such as `[mm]` or `[side: left|right]`."
    )
    hotkey: Annotated[int, Field(ge=1, le=9)] | None = Field(None, description="1 is Alt+1.")

    def value(self) -> macros.MacroText:
        return macros.MacroText(self.abbreviation, self.name, self.language, self.text, self.hotkey)


class MacrosSent(BaseModel):
    """A file of macros."""

    macros: Annotated[list[MacroSent], Field(max_length=macros.MOST)]


class MacroShape(Shape):
    """A macro, as `MacroSent`; without an id it is a built-in normal sentence."""

    id: str | None
    abbreviation: str
    name: str
    language: Language
    text: str
    hotkey: int | None


@router.get("")
def listed(ctx: Writer) -> Page[MacroShape]:
    """One's own macros, and the built-in normal sentences that none of them replaces: one page."""
    with ctx.read() as tx:
        return Page(items=[MacroShape.from_value(item) for item in macros.offered_macros(tx)])


@router.put("", status_code=204)
def take_file(ctx: Writer, sent: MacrosSent) -> None:
    """Add what a file has to one's own macros; one of the same abbreviation gives way to the file's."""
    with ctx.write() as tx:
        macros.replace_all(tx, [item.value() for item in sent.macros])
