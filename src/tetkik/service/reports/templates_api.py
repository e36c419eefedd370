"""The hospital's own texts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.database import Transaction
from tetkik.records.reports import templates
from tetkik.service.kit.access.authorization import allowed
from tetkik.service.kit.context import ContextDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.paging import Page
from tetkik.service.kit.http.shape import Shape
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/templates", tags=["templates"])
Reader = Annotated[Actor, allowed(Permission.DRAFT_READ)]
Editor = Annotated[Actor, allowed(Permission.DRAFT_EDIT)]
TemplateId = Annotated[str, Path(max_length=26, description="Of the template.")]


class TemplateSent(BaseModel):
    """A template as somebody leaves it."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="That people choose it by; no two have the same."
    )
    language: Language
    text: Annotated[str, Field(min_length=1, max_length=templates.LONGEST)] = Field(
        description="With slots such as `{findings}`."
    )


class TemplateShape(Shape):
    """A template."""

    id: str
    name: str = Field(description="That people choose it by.")
    language: Language
    text: str
    changed_at: datetime = Field(description="When it was last changed.")


@router.get("")
def listed(context: ContextDep, actor: Reader) -> Page[TemplateShape]:
    """Every template, by name; there are few, so this is one page."""
    with context.records.read(actor) as tx:
        return Page(items=[_shape(found) for found in templates.all_templates(tx)])


@router.post("", status_code=201, response_model=TemplateShape)
def add(context: ContextDep, actor: Editor, sent: TemplateSent, once: IdempotentDep) -> Response:
    """Keep a new template."""

    def work(tx: Transaction) -> TemplateShape:
        return _shape(templates.add(tx, sent.name, sent.language, sent.text))

    return once.run(context.records, actor, work).response()


@router.get("/{template_id}")
def read(context: ContextDep, actor: Reader, template_id: TemplateId) -> TemplateShape:
    """One template."""
    with context.records.read(actor) as tx:
        return _shape(templates.template_of(tx, template_id))


@router.put("/{template_id}")
def change(context: ContextDep, actor: Editor, template_id: TemplateId, sent: TemplateSent) -> TemplateShape:
    """Put a new text in its place."""
    with context.records.write(actor) as tx:
        return _shape(templates.change(tx, template_id, sent.name, sent.language, sent.text))


@router.delete("/{template_id}", status_code=204)
def remove(context: ContextDep, actor: Editor, template_id: TemplateId) -> None:
    """Take it away; drafts that took it stay as they are."""
    with context.records.write(actor) as tx:
        templates.remove(tx, template_id)


def _shape(found: templates.HouseTemplate) -> TemplateShape:
    return TemplateShape.from_value(found, changed_at=found.created_at)
