"""Free text without what identifies: the only form in which a history reaches a language model.

Three nets, one behind the other. What is known of this patient (name, number, dates, UIDs of the study) goes
wherever it stands, typed with Turkish letters or without. What looks personal goes by its digits and by the
words around it (`tetkik.privacy`). And every remaining date, year, UID and run of five digits or more goes,
because a clinical question needs none of them. An age stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tetkik.privacy import identifying
from tetkik.turkish import flat
from tetkik.values import BasisKind, Draft, DraftSentence, Identity

REMOVED = "[…]"
_FREE = (f"{BasisKind.HISTORY}:", f"{BasisKind.CAPTION}:")
UID = re.compile(r"(?<![\d.])[0-2](?:\.\d{1,39}){3,}")
_UNSEEN = frozenset({"Cf", "Co", "Cn", "Cs", "Mn"})
_SHORTEST_NAME, _SHORTEST_NUMBER = 2, 3
_APOSTROPHES = "'`´ʼ‘’′"
# The endings that a Turkish name takes: Ayşe'nin, Ayşeye, Aliden, Ahmetlerde; any after an apostrophe.
_ENDING = (
    rf"(?:[{_APOSTROPHES}]\w{{1,10}}"
    r"|(?:(?:l[ae]r|gil)?(?:[yn]?[ae]|[yns]?[iu]n?|[yn]?[iu]|[nd]?[dt][ae]n?|[dt][ae]ki|y?l[ae]|[iu]m|c[ae]|s[iu]z))"
    r"|l[ae]r|gil|cigim|cim)?"
)


def without_identifiers(text: str, identity: Identity | None = None) -> str:
    """`text` with everything that identifies replaced by `[…]`.

    Args:
        text: a history or a clinical question; it comes back in Unicode's form NFKC, so that a letter made of
            two characters, or a digit of another width, hides nothing.
        identity: what is known of the patient and the study; its words go wherever they stand. Words of one
            letter, and numbers of fewer than three signs, tell nobody and stay.
    """
    text = normal(text)
    spans = identifying_places(text)
    plain = _plain(text)
    if identity is not None:
        spans += _known(plain, identity)
    return _without(text, spans)


def identifying_places(text: str) -> list[tuple[int, int]]:
    """Where a text in its normal form identifies, whoever it is about."""
    return [*identifying(text), *(match.span() for match in UID.finditer(text))]


def normal(text: str) -> str:
    """NFKC, without characters that nobody sees and without marks that no letter has taken up.

    `"İ".lower()` is an i with a dot above it as a character of its own: nobody sees the difference.
    """
    # Of what was taken out before, NFKC would make three full stops.
    composed = REMOVED.join(unicodedata.normalize("NFKC", part) for part in text.split(REMOVED))
    return "".join(char for char in composed if unicodedata.category(char) not in _UNSEEN)


def _plain(text: str) -> str:
    """Lower-case letters without accents, each in the place of its character."""
    return "".join(unicodedata.normalize("NFKD", char)[0] for char in flat(text))


def _known(plain: str, identity: Identity) -> Iterator[tuple[int, int]]:
    """Where the words of the identity stand, whole words only: `Ali` must not cut `kaliteli`."""
    for name in _names(" ".join((identity.patient_name or "", *identity.other_names))):
        for match in re.finditer(rf"(?<!\w){re.escape(name)}{_ENDING}(?!\w)", plain):
            yield match.span()
    for number in _numbers(identity):
        # `4711-A` is also typed 4711A and 4711 A.
        signs = r"[\s\-./_]?".join(re.escape(sign) for sign in number if sign.isalnum())
        for match in re.finditer(rf"(?<![^\W_]){signs}(?![^\W_])", plain):
            yield match.span()


def _names(patient_name: str) -> Iterable[str]:
    """The words of a name, folded; of one with a hyphen or an apostrophe the parts as well."""
    words = re.split(r"[\^=,\s]+", _plain(normal(patient_name)))
    parts = [part for word in words for part in (word, *re.split(rf"[\-.{_APOSTROPHES}]", word))]
    return dict.fromkeys(part for part in parts if len(part) >= _SHORTEST_NAME and part.strip("-."))


def _numbers(identity: Identity) -> Iterable[str]:
    numbers = (
        identity.patient_id,
        identity.national_id,
        *identity.other_ids,
        identity.accession,
        identity.study_uid,
        identity.series_uid,
        identity.instance_uid,
        identity.birth_date,
        identity.study_date,
    )
    plain = (_plain(normal(number)) for number in numbers if number)
    return dict.fromkeys(
        number for number in plain if sum(sign.isalnum() for sign in number) >= _SHORTEST_NUMBER
    )


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            pieces += (text[done:start], REMOVED)
        done = max(done, end)
    return "".join((*pieces, text[done:]))


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
