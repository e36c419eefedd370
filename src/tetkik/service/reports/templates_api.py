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
from tetkik.report.normals import Examination
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import Page, Shape
from tetkik.values import Permission

router = APIRouter(prefix="/templates", tags=["templates"])
Reader = Annotated[RequestContext, allowed(Permission.DRAFT_READ)]
Editor = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]
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
    changed_at: datetime | None = Field(description="When it was last changed; None of one that ships.")
    examination: Examination | None = Field(
        description="Of a normal report that ships; its sentences stand only where the draft says nothing."
    )


@router.get("")
def listed(ctx: Reader) -> Page[TemplateShape]:
    """Every template, by name; there are few, so this is one page."""
    with ctx.read() as tx:
        return Page(items=[_shape(found) for found in templates.all_templates(tx)])


@router.post("", status_code=201, response_model=TemplateShape)
def add(ctx: Editor, sent: TemplateSent, once: IdempotentDep) -> Response:
    """Keep a new template."""

    def work(tx: Transaction) -> TemplateShape:
        return _shape(templates.add(tx, sent.name, sent.language, sent.text))

    return once.run(ctx.records, ctx.actor, work).response()


@router.get("/{template_id}")
def read(ctx: Reader, template_id: TemplateId) -> TemplateShape:
    """One template."""
    with ctx.read() as tx:
        return _shape(templates.template_of(tx, template_id))


@router.put("/{template_id}")
def change(ctx: Editor, template_id: TemplateId, sent: TemplateSent) -> TemplateShape:
    """Put a new text in its place."""
    with ctx.write() as tx:
        return _shape(templates.change(tx, template_id, sent.name, sent.language, sent.text))


@router.delete("/{template_id}", status_code=204)
def remove(ctx: Editor, template_id: TemplateId) -> None:
    """Take it away; drafts that took it stay as they are."""
    with ctx.write() as tx:
        templates.remove(tx, template_id)


def _shape(found: templates.HospitalTemplate) -> TemplateShape:
    return TemplateShape.from_value(found, changed_at=found.created_at)
