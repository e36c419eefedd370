"""A person's own blocks of text: macros, inserted by abbreviation or key, and their normal sentences.

A normal sentence is a macro with a reserved abbreviation (`report/normals.toml`): a person who keeps one of
their own under it has theirs inserted instead. A field such as `[side: left|right]` or `[mm]` in a text is
filled while it is written; one that was left open is marked in the draft. The texts are of no patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import delete, select

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.reports import drafts
from tetkik.records.reports.drafts import Known
from tetkik.records.reports.edit_conflicts import WorkingDraft, row_of, state_of
from tetkik.records.reports.templates import imaged_study, stated_labels
from tetkik.records.schema.models import Macro, PersonalWord
from tetkik.report.normals import ImagedStudy, normal_parts, normal_report, unmentioned
from tetkik.rules.draft_state import DraftState
from tetkik.rules.editing import Change, DraftEdit, save
from tetkik.turkish import alphabetical, fold, lower
from tetkik.values.common import one_line
from tetkik.values.report import Author, DraftSentence, Section

# Words that a person added to the spelling check: of the language, never of a patient.


_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_MOST = 2000


def own_words(tx: Transaction) -> frozenset[str]:
    """The actor's words, in small letters."""
    return frozenset(
        tx.session.scalars(select(PersonalWord.word).where(PersonalWord.user_id == tx.actor.user_id))
    )


def add_word(tx: Transaction, word: str) -> None:
    """Let a word count as right in the actor's texts."""
    word = lower(word.strip())
    if not _WORD.fullmatch(word) or len(word) > 60 or len(own_words(tx)) >= _MOST:
        raise InputError("Only a word of letters can be added, and at most {most}.", most=_MOST)
    assert tx.actor.user_id is not None
    if tx.session.get(PersonalWord, (tx.actor.user_id, word)) is None:
        tx.session.add(PersonalWord(user_id=tx.actor.user_id, word=word))
        tx.audit(Action.MACROS_CHANGED, what="word")


LONGEST = 4000
"""Characters of a macro's text."""
MOST = 300
"""Macros of one person."""
_ABBREVIATION = re.compile(r"[a-z0-9][a-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class MacroText:
    """A macro as a person writes it; `hotkey` is 1 to 9 for Alt+1 to Alt+9, or None."""

    abbreviation: str
    name: str
    language: Language
    text: str
    hotkey: int | None = None


@dataclass(frozen=True, slots=True)
class OwnMacro(MacroText):
    """A macro as it is kept; the id is None for a built-in normal sentence."""

    id: str | None = None


def own_macros(tx: Transaction) -> tuple[OwnMacro, ...]:
    """The actor's macros, by name."""
    rows = tx.session.scalars(select(Macro).where(Macro.user_id == tx.actor.user_id))
    return tuple(sorted(map(_value, rows), key=lambda item: (alphabetical(item.name), item.language)))


def offered_macros(tx: Transaction) -> tuple[OwnMacro, ...]:
    """The actor's macros, and the built-in normal sentences that none of theirs replaces."""
    own = own_macros(tx)
    taken = {(item.language, item.abbreviation) for item in own}
    built_in = (part for language in Language for part in normal_parts(language))
    return own + tuple(
        OwnMacro(part.abbreviation, part.name, part.language, part.text)
        for part in built_in
        if (part.language, part.abbreviation) not in taken
    )


def add(tx: Transaction, macro: MacroText) -> OwnMacro:
    """Keep a new macro of the actor's."""
    if tx.count(Macro, Macro.user_id == tx.actor.user_id) >= MOST:
        raise InputError("A person has at most {most} macros; remove one first.", most=MOST)
    return _write(tx, Macro(id=new_id(), user_id=tx.actor.user_id), macro)


def change(tx: Transaction, macro_id: str, macro: MacroText) -> OwnMacro:
    """Put another one in the place of a macro."""
    return _write(tx, _row(tx, macro_id), macro)


def remove(tx: Transaction, macro_id: str) -> None:
    """Take a macro away; what it was inserted into stays."""
    tx.session.delete(_row(tx, macro_id))
    tx.audit(Action.MACROS_CHANGED, object_id=macro_id, removed=True)


def replace_all(tx: Transaction, given: Sequence[MacroText]) -> int:
    """Put these macros, as a file has them, beside the actor's: one with the same abbreviation gives way."""
    if len(given) > MOST:
        raise InputError("A person has at most {most} macros; shorten the file.", most=MOST)
    mine = Macro.user_id == tx.actor.user_id
    for macro in given:
        checked = _checked(macro)
        same = (Macro.language == checked.language, Macro.abbreviation == checked.abbreviation)
        tx.apply(delete(Macro).where(mine, *same))
        if checked.hotkey is not None:
            key = (Macro.language == checked.language, Macro.hotkey == checked.hotkey)
            for row in tx.session.scalars(select(Macro).where(mine, *key)):
                row.hotkey = None
        tx.session.flush()
        add(tx, checked)
    return len(given)


def macro_of(tx: Transaction, macro_id: str) -> OwnMacro:
    """One of the actor's macros."""
    return _value(_row(tx, macro_id))


def fill_normals(tx: Transaction, report_id: str, revision: int, known: Known = ()) -> WorkingDraft:
    """Change a draft as `filled` does; one in which nothing is left to say stays as it is."""
    before = state_of(tx, row_of(tx, report_id))
    rule = partial(filled, own_macros(tx), imaged_study(tx, report_id))
    if rule(before).state.draft == before.draft:
        return drafts.draft_of(tx, report_id)
    return drafts.change(tx, report_id, revision, rule, known)


def filled(macros: Sequence[OwnMacro], study: ImagedStudy, state: DraftState) -> Change:
    """The rule that says of every part that nothing speaks of that it is normal, in a person's own `macros`.

    Where nothing speaks of any part and nothing was found, the impression says so too, if there is none: a
    normal film needs no other sentence. The sentences are a person's, without evidence: whoever presses the
    key says them.
    """
    draft = state.draft
    if study.examination is None:
        raise Conflict("Nothing says of which part of the body this image is; write the sentences by hand.")
    normal = normal_report(study.examination, draft.language).shown_by(study)
    found = stated_labels(state)
    parts = unmentioned(normal.parts, ((item, item.by_person) for item in draft.sentences), found)
    own = {(item.language, item.abbreviation): item.text for item in macros}
    new = [
        DraftSentence(line, Section.FINDINGS, author=Author.PERSON)
        for part in parts
        for line in map(one_line, own.get((part.language, part.abbreviation), part.text).split("\n"))
        if line
    ]
    if not parts:
        return Change(state)
    if parts == normal.parts and not found and not draft.section(Section.IMPRESSION):
        new.append(DraftSentence(normal.impression, Section.IMPRESSION, author=Author.PERSON))
    return save(DraftEdit((*draft.sentences, *new)), state)


def _write(tx: Transaction, row: Macro, macro: MacroText) -> OwnMacro:
    macro = _checked(macro)
    others: Iterable[Macro] = tx.session.scalars(
        select(Macro).where(
            Macro.user_id == row.user_id, Macro.language == macro.language, Macro.id != row.id
        )
    ).all()
    if any(other.abbreviation == macro.abbreviation for other in others):
        raise Conflict("Another macro of yours has this abbreviation; choose another one.")
    if macro.hotkey is not None and any(other.hotkey == macro.hotkey for other in others):
        raise Conflict("Another macro of yours has this key; choose another one.")
    row.abbreviation, row.name, row.language = macro.abbreviation, macro.name, macro.language
    row.text, row.hotkey = macro.text, macro.hotkey
    tx.session.add(row)
    tx.session.flush()
    tx.audit(Action.MACROS_CHANGED, object_id=row.id)
    return _value(row)


def _checked(macro: MacroText) -> MacroText:
    abbreviation = fold(macro.abbreviation).strip().replace(" ", "-")
    name = one_line(macro.name) or abbreviation
    text = "\n".join(filter(None, map(one_line, macro.text.replace("\r\n", "\n").split("\n"))))
    if not _ABBREVIATION.fullmatch(abbreviation):
        raise InputError("An abbreviation has 1 to 16 letters, digits or hyphens; choose another one.")
    if not text or len(text) > LONGEST or len(name) > 80:
        raise InputError(
            "A macro needs a text of at most {longest} characters and a name of at most 80; shorten it.",
            longest=LONGEST,
        )
    if macro.hotkey is not None and macro.hotkey not in range(1, 10):
        raise InputError("The key of a macro is a digit from 1 to 9; choose one of them.")
    return MacroText(abbreviation, name, Language(macro.language), text, macro.hotkey)


def _row(tx: Transaction, macro_id: str) -> Macro:
    missing = NotFound("There is no such macro; look at the list of your macros.")
    row = tx.find(Macro, macro_id, missing)
    if row.user_id != tx.actor.user_id:
        raise missing
    return row


def _value(row: Macro) -> OwnMacro:
    return row.to_value(OwnMacro, language=Language(row.language))
