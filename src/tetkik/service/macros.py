"""A person's own macros: in the editor, as a page, and as the file that carries them to another hospital."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.errors import TetkikError
from tetkik.language import Language
from tetkik.records.reports import macros
from tetkik.records.reports.macros import MacroText
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import Page, Shape
from tetkik.values.access import Permission

api = APIRouter(prefix="/macros", tags=["macros"])
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


@api.get("")
def listed(ctx: Writer) -> Page[MacroShape]:
    """One's own macros, and the built-in normal sentences that none of them replaces: one page."""
    with ctx.read() as tx:
        return Page(items=[MacroShape.from_value(item) for item in macros.offered_macros(tx)])


@api.put("", status_code=204)
def take_file(ctx: Writer, sent: MacrosSent) -> None:
    """Add what a file has to one's own macros; one of the same abbreviation gives way to the file's."""
    with ctx.write() as tx:
        macros.replace_all(tx, [item.value() for item in sent.macros])


pages = APIRouter(prefix="/account/macros")


class MacroForm(BaseModel):
    """A macro as the form sends it."""

    abbreviation: str = Field(default="", max_length=200)
    name: str = Field(default="", max_length=200)
    language: Language = Language.TR
    text: str = Field(default="", max_length=2 * macros.LONGEST)
    hotkey: str = Field(default="", max_length=1)

    def value(self) -> MacroText:
        key = int(self.hotkey) if self.hotkey.isdecimal() and self.hotkey.isascii() else None
        return MacroText(self.abbreviation, self.name, self.language, self.text, key)


@pages.get("")
def macros_page(ctx: Writer, own: str = "") -> Response:
    """The list with an empty form; `own` begins with a built-in normal sentence, to be put differently."""
    language, _, abbreviation = own.partition(":")
    with ctx.read() as tx:
        known = macros.offered_macros(tx)
    chosen = next(
        (one for one in known if (one.language, one.abbreviation) == (language, abbreviation)), None
    )
    return _page(ctx, typed=chosen)


@pages.get("/file.json")
def as_file(ctx: Writer) -> Response:
    """One's own macros as the file that can be taken in elsewhere."""
    with ctx.read() as tx:
        own = macros.own_macros(tx)
    names = tuple(MacroSent.model_fields)
    content = {"macros": [{name: getattr(item, name) for name in names} for item in own]}
    packed = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    headers = {"Content-Disposition": 'attachment; filename="tetkik-macros.json"'}
    return Response(packed, media_type="application/json", headers=headers)


@pages.get("/{macro_id}")
def one(ctx: Writer, macro_id: str) -> Response:
    return _page(ctx, macro_id=macro_id)


@pages.post("")
@pages.post("/{macro_id}")
def keep(ctx: Writer, sent: Annotated[MacroForm, Form()], macro_id: str | None = None) -> Response:
    """Add a macro, or change one."""
    typed = sent.value()
    return ctx.change(
        lambda tx: macros.add(tx, typed) if macro_id is None else macros.change(tx, macro_id, typed),
        "/account/macros",
        lambda error: _page(ctx, macro_id=macro_id, typed=typed, error=error),
    )


@pages.post("/{macro_id}/remove")
def remove(ctx: Writer, macro_id: str) -> Response:
    return ctx.change(lambda tx: macros.remove(tx, macro_id), "/account/macros")


def _page(
    ctx: RequestContext,
    *,
    macro_id: str | None = None,
    typed: MacroText | None = None,
    error: TetkikError | None = None,
) -> Response:
    with ctx.read() as tx:
        known = macros.offered_macros(tx)
        chosen = macros.macro_of(tx, macro_id) if macro_id is not None else None
    return ctx.render(
        "people/macros.html.jinja",
        known=known,
        chosen=chosen,
        typed=typed or chosen or MacroText("", "", ctx.settings.report_language, ""),
        keys=[(str(key), f"Alt+{key}") for key in range(1, 10)],
        error=error,
    )
