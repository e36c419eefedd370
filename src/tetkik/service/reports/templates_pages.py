"""The hospital's own texts for reports: a list, and a form for each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import TetkikError
from tetkik.language import Language
from tetkik.records.reports import templates
from tetkik.report.template import SLOTS
from tetkik.service.kit.access.authorization import allowed
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/templates")
Reader = Annotated[Actor, allowed(Permission.DRAFT_READ)]
Editor = Annotated[Actor, allowed(Permission.DRAFT_EDIT)]
Name = Annotated[str, Form(max_length=200)]
Body = Annotated[str, Form(max_length=2 * templates.LONGEST)]


@router.get("")
def listed(request: Request, context: ContextDep, actor: Reader) -> Response:
    """Every template, and an empty form."""
    return _page(request, context, actor)


@router.post("")
def add(
    request: Request,
    context: ContextDep,
    actor: Editor,
    name: Name = "",
    language: Annotated[Language, Form()] = Language.TR,
    text: Body = "",
) -> Response:
    try:
        with context.records.write(actor) as tx:
            templates.add(tx, name, language, text)
    except TetkikError as error:
        return _page(request, context, actor, typed=(name, language, text), error=error)
    return RedirectResponse("/templates", 303)


@router.get("/{template_id}")
def one(request: Request, context: ContextDep, actor: Reader, template_id: str) -> Response:
    """One template in the form."""
    return _page(request, context, actor, template_id=template_id)


@router.post("/{template_id}")
def change(
    request: Request,
    context: ContextDep,
    actor: Editor,
    template_id: str,
    name: Name = "",
    language: Annotated[Language, Form()] = Language.TR,
    text: Body = "",
) -> Response:
    """Put a new text in a template's place."""
    try:
        with context.records.write(actor) as tx:
            templates.change(tx, template_id, name, language, text)
    except TetkikError as error:
        typed = (name, language, text)
        return _page(request, context, actor, template_id=template_id, typed=typed, error=error)
    return RedirectResponse("/templates", 303)


@router.post("/{template_id}/remove")
def remove(context: ContextDep, actor: Editor, template_id: str) -> Response:
    with context.records.write(actor) as tx:
        templates.remove(tx, template_id)
    return RedirectResponse("/templates", 303)


def _page(
    request: Request,
    context: AppContext,
    actor: Actor,
    *,
    template_id: str | None = None,
    typed: tuple[str, Language, str] | None = None,
    error: TetkikError | None = None,
) -> Response:
    language = language_of(request)
    with context.records.read(actor) as tx:
        known = templates.all_templates(tx)
        chosen = templates.template_of(tx, template_id) if template_id is not None else None
    if typed is None:
        typed = (chosen.name, chosen.language, chosen.text) if chosen is not None else ("", language, "")
    return render(
        request,
        "reports/templates.html.jinja",
        known=known,
        chosen=chosen,
        typed=typed,
        slots=tuple(SLOTS.items()),
        error=error,
    )
