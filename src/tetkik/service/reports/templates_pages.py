"""The hospital's own texts for reports: a list, and a form for each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import TetkikError
from tetkik.language import Language
from tetkik.records.reports import templates
from tetkik.report.draft import SLOTS
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.values import Permission

router = APIRouter(prefix="/templates")
Reader = Annotated[RequestContext, allowed(Permission.DRAFT_READ)]
Editor = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]
Name = Annotated[str, Form(max_length=200)]
Body = Annotated[str, Form(max_length=2 * templates.LONGEST)]


@router.get("")
def listed(ctx: Reader) -> Response:
    return _page(ctx)


@router.post("")
def add(
    ctx: Editor, name: Name = "", language: Annotated[Language, Form()] = Language.TR, text: Body = ""
) -> Response:
    try:
        with ctx.write() as tx:
            templates.add(tx, name, language, text)
    except TetkikError as error:
        return _page(ctx, typed=(name, language, text), error=error)
    return RedirectResponse("/templates", 303)


@router.get("/{template_id}")
def one(ctx: Reader, template_id: str) -> Response:
    return _page(ctx, template_id=template_id)


@router.post("/{template_id}")
def change(
    ctx: Editor,
    template_id: str,
    name: Name = "",
    language: Annotated[Language, Form()] = Language.TR,
    text: Body = "",
) -> Response:
    try:
        with ctx.write() as tx:
            templates.change(tx, template_id, name, language, text)
    except TetkikError as error:
        typed = (name, language, text)
        return _page(ctx, template_id=template_id, typed=typed, error=error)
    return RedirectResponse("/templates", 303)


@router.post("/{template_id}/remove")
def remove(ctx: Editor, template_id: str) -> Response:
    with ctx.write() as tx:
        templates.remove(tx, template_id)
    return RedirectResponse("/templates", 303)


def _page(
    ctx: RequestContext,
    *,
    template_id: str | None = None,
    typed: tuple[str, Language, str] | None = None,
    error: TetkikError | None = None,
) -> Response:
    language = ctx.language
    with ctx.read() as tx:
        known = templates.all_templates(tx)
        chosen = templates.template_of(tx, template_id) if template_id is not None else None
    if typed is None:
        typed = (chosen.name, chosen.language, chosen.text) if chosen is not None else ("", language, "")
    return ctx.render(
        "reports/templates.html.jinja",
        known=known,
        chosen=chosen,
        typed=typed,
        slots=tuple(SLOTS.items()),
        error=error,
    )
