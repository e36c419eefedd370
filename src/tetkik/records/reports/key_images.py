"""The key images of a report: kept with the draft, under its revision, like what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tetkik.errors import InputError, NotFound
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.reports import drafts
from tetkik.records.reports.drafts import Known
from tetkik.records.reports.edit_conflicts import WorkingDraft, for_change
from tetkik.records.reports.measurements import describe_image
from tetkik.records.reports.report_inputs import keep_draft_picture, key_pictures
from tetkik.rules.draft_state import DraftState
from tetkik.rules.editing import Change
from tetkik.values import KeyImage
from tetkik.values.common import one_line

MOST = 12
"""Key images of a report."""
LONGEST_NOTE = 200
"""Characters of what is said of one."""


def add(
    tx: Transaction,
    report_id: str,
    revision: int,
    image_id: str,
    frame: int | None,
    png: bytes,
    note: str = "",
    known: Known = (),
) -> WorkingDraft:
    """Mark an image, or a frame of one, as a key image; `png` is how documents show it.

    Marked again, it is shown as it is seen now, in its place.
    """
    row, state = for_change(tx, report_id, revision)
    image, there = describe_image(tx, row, image_id, frame), state.working.content.key_images
    shown = [item for item in there if _same(item, image.id, image.frame)]
    if not shown and len(there) >= MOST:
        raise InputError("A report has at most {most} key images; remove one first.", most=MOST)
    made = KeyImage(new_id(), image, keep_draft_picture(tx, row, png), _note(note))
    if shown:
        again = replace(shown[0], picture=made.picture, note=made.note or shown[0].note)
        kept = tuple(again if item is shown[0] else item for item in there)
    else:
        kept = (*there, made)
    return drafts.keep(tx, row, _with(state, kept), known)


def name(key_id: str, note: str, state: DraftState) -> Change:
    """The rule by which somebody says what a key image shows."""
    there = state.working.content.key_images
    found = _found(there, key_id)
    changed = replace(found, note=_note(note))
    return _with(state, tuple(changed if item is found else item for item in there))


def remove(key_id: str, state: DraftState) -> Change:
    """The rule by which it is one no longer."""
    there = state.working.content.key_images
    found = _found(there, key_id)
    return _with(state, tuple(item for item in there if item is not found))


def picture(tx: Transaction, report_id: str, key_id: str) -> bytes:
    """How documents show a key image of a draft: a PNG."""
    draft = drafts.draft_of(tx, report_id)
    found = _found(draft.content.key_images, key_id)
    (png,) = key_pictures(tx, draft.patient_id, replace(draft.content, key_images=(found,)))
    return png


def _with(state: DraftState, key_images: tuple[KeyImage, ...]) -> Change:
    return Change(state.with_content(replace(state.working.content, key_images=key_images)))


def _same(item: KeyImage, image_id: str, frame: int | None) -> bool:
    return (item.image.id, item.image.frame) == (image_id, frame)


def _found(there: Sequence[KeyImage], key_id: str) -> KeyImage:
    for item in there:
        if item.id == key_id:
            return item
    raise NotFound("There is no such key image any more; look at the draft as it is now.")


def _note(text: str) -> str:
    note = one_line(text)
    if len(note) > LONGEST_NOTE:
        raise InputError(
            "What is said of a key image has at most {longest} characters; shorten it.", longest=LONGEST_NOTE
        )
    return note
