"""What speeds writing up in the reading view: normal sentences, dictation, spelling."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tetkik.errors import InputError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.people.access import load_visible_case
from tetkik.records.reports import macros, templates
from tetkik.report.spelling import open_speller
from tetkik.rules.editing import LONGEST, LONGEST_REPORT, MOST
from tetkik.service.drafts import dictation
from tetkik.service.drafts.dictation import punctuated
from tetkik.service.drafts.pages import CaseId, Edits, PanelRoute, ReportId, Revised, panels_after
from tetkik.service.drafts.revisions import assessed

router = APIRouter(prefix="/read")
panel_router = APIRouter(prefix="/read", route_class=PanelRoute)
_TEXT = "text/plain"
_Text = Annotated[str, Field(max_length=LONGEST)]


@panel_router.post("/{case_id}/{report_id}/normals")
def fill_normals(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Revised) -> HTMLResponse:
    """Say of every part of the image that nothing speaks of that it is normal."""
    with ctx.read() as tx:
        rule = partial(macros.filled, macros.own_macros(tx), templates.imaged_study(tx, report_id))
    known = assessed(ctx, report_id, rule)
    return panels_after(ctx, lambda tx: macros.fill_normals(tx, report_id, body.revision, known))


class Dictated(BaseModel):
    text: str


@router.post("/{case_id}/dictation")
async def dictate(ctx: Edits, case_id: CaseId, request: Request, language: Language) -> Dictated:
    """A recording, or as plain text what a browser recognised on its own machine, as a text with signs.

    A recording has the 1 MB of every request: some four minutes. Nothing of it is kept.
    """
    content = await request.body()
    kind = request.headers.get("content-type", "")
    return await run_in_threadpool(_dictated, ctx, case_id, content, kind, language)


def _dictated(ctx: Edits, case_id: str, content: bytes, kind: str, language: Language) -> Dictated:
    by_browser = kind.partition(";")[0].strip() == _TEXT
    with ctx.write() as tx:
        case = load_visible_case(tx, case_id)
        tx.audit_about(Action.DICTATED, case, method="browser" if by_browser else "server", size=len(content))
    if not by_browser:
        recognised = dictation.recognise(ctx.settings, content, kind, language)
    elif ctx.settings.dictation_browser:
        recognised = content.decode("utf-8", "replace")
    else:
        raise InputError("This is no recording that can be recognised; dictate again.")
    if len(recognised) > LONGEST_REPORT:
        raise InputError("A dictation has at most {most} characters; dictate in parts.", most=LONGEST_REPORT)
    return Dictated(text=punctuated(recognised, language))


class SpellingAsked(BaseModel):
    """Sentences of a draft."""

    language: Language
    texts: Annotated[list[_Text], Field(max_length=MOST)]


class UnknownWord(BaseModel):
    start: int
    end: int
    suggestions: list[str]


class SpellingAnswer(BaseModel):
    """For each sentence its unknown words, by their places in it."""

    unknown: list[list[UnknownWord]]


@router.post("/{case_id}/spelling")
def spelling(ctx: Edits, case_id: CaseId, asked: SpellingAsked) -> SpellingAnswer:
    """The unknown words of Turkish sentences; none without a dictionary."""
    turkish = asked.language is Language.TR
    speller = open_speller(ctx.settings.spelling_dictionary) if turkish else None
    if speller is None:
        return SpellingAnswer(unknown=[[] for _ in asked.texts])
    if sum(map(len, asked.texts)) > LONGEST_REPORT:
        raise InputError(
            "A report has at most {most} characters in all; shorten it and save again.", most=LONGEST_REPORT
        )
    with ctx.read() as tx:
        own = macros.own_words(tx)
    return SpellingAnswer(
        unknown=[
            [UnknownWord(start=one.start, end=one.end, suggestions=list(one.suggestions)) for one in found]
            for found in speller.check(asked.texts, own)
        ]
    )


class WordSent(BaseModel):
    word: Annotated[str, Field(min_length=1, max_length=60)]


@router.post("/{case_id}/spelling/words", status_code=204)
def know_word(ctx: Edits, case_id: CaseId, sent: WordSent) -> None:
    """Add a word to one's own."""
    with ctx.write() as tx:
        macros.add_word(tx, sent.word)
