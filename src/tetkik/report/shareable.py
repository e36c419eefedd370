"""A draft without what identifies, for every form of it that is no document of the patient."""

from __future__ import annotations

from dataclasses import replace

from tetkik.report.deidentify import without_identifiers
from tetkik.values import BasisKind, Draft, DraftSentence, Identity

_FREE = (f"{BasisKind.HISTORY}:", f"{BasisKind.CAPTION}:")


def shareable(draft: Draft, identity: Identity | None = None) -> Draft:
    """The draft with the words of people masked: the clinical question and a caption may name the patient.

    What is known of `identity` goes wherever it stands in those sentences. All others stay: the composer's, a
    passage's, a language model's that never saw an identity.
    """
    return replace(draft, sentences=tuple(_masked(item, identity) for item in draft.sentences))


def _masked(sentence: DraftSentence, identity: Identity | None) -> DraftSentence:
    if not any(name.startswith(_FREE) for name in sentence.evidence):
        return sentence
    text = without_identifiers(sentence.text, identity)
    if text == sentence.text:
        return sentence
    # Its marks meant words that may be gone: they stand over the whole sentence.
    marks = tuple(replace(mark, start=0, end=len(text)) for mark in sentence.marks)
    return replace(sentence, text=text, marks=marks)
