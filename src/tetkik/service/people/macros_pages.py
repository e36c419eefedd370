"""One's own macros: a list, a form for each, and the file that carries them to another hospital."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from tetkik.errors import TetkikError
from tetkik.language import Language
from tetkik.records.reports import macros
from tetkik.records.reports.macros import MacroText
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.people.macros_api import MacroSent
from tetkik.values import Permission

router = APIRouter(prefix="/account/macros")
Writer = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]


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


@router.get("")
def listed(ctx: Writer, own: str = "") -> Response:
    """The list with an empty form; `own` begins with a built-in normal sentence, to be put differently."""
    language, _, abbreviation = own.partition(":")
    with ctx.read() as tx:
        known = macros.offered_macros(tx)
    chosen = next(
        (one for one in known if (one.language, one.abbreviation) == (language, abbreviation)), None
    )
    return _page(ctx, typed=chosen)


@router.get("/file.json")
def as_file(ctx: Writer) -> Response:
    """One's own macros as the file that can be taken in elsewhere."""
    with ctx.read() as tx:
        own = macros.own_macros(tx)
    names = tuple(MacroSent.model_fields)
    content = {"macros": [{name: getattr(item, name) for name in names} for item in own]}
    packed = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
    headers = {"Content-Disposition": 'attachment; filename="tetkik-macros.json"'}
    return Response(packed, media_type="application/json", headers=headers)


@router.get("/{macro_id}")
def one(ctx: Writer, macro_id: str) -> Response:
    return _page(ctx, macro_id=macro_id)


@router.post("")
@router.post("/{macro_id}")
def keep(ctx: Writer, sent: Annotated[MacroForm, Form()], macro_id: str | None = None) -> Response:
    """Add a macro, or change one."""
    typed = sent.value()
    try:
        with ctx.write() as tx:
            if macro_id is None:
                macros.add(tx, typed)
            else:
                macros.change(tx, macro_id, typed)
    except TetkikError as error:
        return _page(ctx, macro_id=macro_id, typed=typed, error=error)
    return RedirectResponse("/account/macros", 303)


@router.post("/{macro_id}/remove")
def remove(ctx: Writer, macro_id: str) -> Response:
    with ctx.write() as tx:
        macros.remove(tx, macro_id)
    return RedirectResponse("/account/macros", 303)


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
