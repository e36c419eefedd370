"""Free text without what identifies: the only form in which a history reaches a language model.

Three nets, one behind the other. What is known of this patient (name, number, dates, UIDs of the study) goes
wherever it stands, typed with Turkish letters or without. What looks personal goes by its digits and by the
words around it (`tetkik.privacy`). And every remaining date, year, UID and run of five digits or more goes,
because a clinical question needs none of them. An age stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
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
_CASE = (
    r"(?:[yn]?[ae]|[yns]?[iu]n?|[nd]?[dt][ae]n?|n?[dt][ae]ki|y?l[ae]|[iu]m|n?c[ae]|s[iu]z"
    r"|y?d[iu]r?|t[iu]r|y?m[iu]s)"
)
# The endings that a Turkish name takes: Ayşe'nin, Ayşeye, Aliden, Ahmetlerde; any after an apostrophe.
_ENDING = rf"(?:[{_APOSTROPHES}]\w{{1,10}}|(?:(?:l[ae]r|gil)?{_CASE})|l[ae]r|gil|cigim|cim)?"
_ENDINGS = (  # Ayşeciğimin, Ayşemizde, Ayşegillerdeymiş
    rf"(?:[{_APOSTROPHES}]\w{{1,10}}|(?:c[iu][kg]|c[ae]n|cim|hanim|bey)?(?:gil)?(?:l[ae]r)?"
    rf"(?:[iu]?[mn](?:[iu]z)?|s?[iu])?{_CASE}?(?:y?d[iu]r?|y?m[iu]s)?)"
)
_MANY_ENDINGS = 4
"""Letters from which on a name takes several endings, and letters of it may be typed otherwise."""
_BETWEEN = r"[\s\-‐-―−./_]?"
_APART = r"[\W_]{0,3}"
_LONG_NUMBER = 5
_LETTER = r"[^\W\d_]"
_FIRST, _LAST = re.compile(rf"(?<!{_LETTER})"), re.compile(rf"{_ENDINGS}(?!{_LETTER})")
_LOST = r"[?\ufffd]"
"""What stands in the place of a letter that a program could not write."""
_SPELT = {
    "i": f"(?:i|{_LOST})",
    **{letter: f"(?:{letter}h?|{_LOST})" for letter in "scg"},
    **{letter: f"(?:{letter}e?|{_LOST})" for letter in "uo"},
}
_SOFTENED = {"t": "[td]", "p": "[pb]", "k": "[kg]"}
"""The last letter of a name, which becomes another before a vowel: Recep, Recebin."""
_LOOK_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјкморстухһԁΑΒΕΖΗΙΚΜΝΟΡΤΥΧαγεηικμνορτυχɑɡ",
    "ABESIJKMHOPCTYXaesijkmopctyxhdABEZHIKMNOPTYXayenikuvoptuxag",
)
"""Cyrillic, Greek and phonetic letters by the Latin ones that they look like."""
_MISREAD = {
    letter.encode().decode(encoding): letter
    for letter in "çğıöşüâîûÇĞİÖŞÜ"
    for encoding in ("latin-1", "cp1252")
} | dict(zip("ýþðÝÞÐ", "ışğİŞĞ", strict=True))
"""Turkish letters of a text that was read in another character set than UTF-8 or Windows-1254."""
_IS_MISREAD = re.compile("|".join(map(re.escape, _MISREAD)))


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
    """NFKC, with the Turkish letters of a text that was misread, without signs that nobody sees.

    `"İ".lower()` is an i with a dot above it as a character of its own: nobody sees the difference.
    """
    text = _IS_MISREAD.sub(lambda match: _MISREAD[match[0]], text)
    # Of what was taken out before, NFKC would make three full stops.
    composed = REMOVED.join(unicodedata.normalize("NFKC", part) for part in text.split(REMOVED))
    return "".join(char for char in composed if unicodedata.category(char) not in _UNSEEN)


def _plain(text: str) -> str:
    """Lower-case Latin letters without accents, each in the place of its character."""
    bare = "".join(unicodedata.normalize("NFKD", char)[0] for char in text)
    return flat(bare.translate(_LOOK_ALIKE))


def _known(plain: str, identity: Identity) -> Iterator[tuple[int, int]]:
    """Where the words of the identity stand, whole words only: `Ali` must not cut `kaliteli`."""
    names = _names(" ".join((identity.patient_name or "", *identity.other_names)))
    short = [name for name in names if len(name) < _MANY_ENDINGS]
    patterns = [rf"(?<!\w){re.escape(name)}{_ENDING}(?!\w)" for name in short]
    yield from _in_a_row(plain, [_spelt(name) for name in names if name not in short])
    for number in _numbers(identity):
        # `4711-A` is also typed 4711A, 4711 A and 4711–A.
        signs = [re.escape(sign) for sign in number if sign.isalnum()]
        between = _APART if len(signs) >= _LONG_NUMBER else _BETWEEN
        patterns.append(rf"(?<![^\W_]){between.join(signs)}(?![^\W_])")
    for pattern in patterns:
        yield from (match.span() for match in re.finditer(pattern, plain))


def _in_a_row(plain: str, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where patterns of names stand, one or many without a space between them, and an ending after the last.

    From the end on, each place once: of names that are made of others one expression would try every way to
    read a row of them.
    """
    forms = [re.compile(name) for name in names]
    begins = [match.start() for match in re.finditer(f"(?={'|'.join(names)})", plain)] if names else []
    furthest: dict[int, int | None] = {}
    for begin in reversed(begins):
        stops: list[int | None] = []
        for end in {end for form in forms for end in _ends(form, plain, begin)}:
            last = _LAST.match(plain, end)
            after = end + plain.startswith(("_", ".", "-"), end)
            stops += (last and last.end(), furthest.get(end), furthest.get(after))
        furthest[begin] = max((stop for stop in stops if stop is not None), default=None)
    for begin, stop in furthest.items():
        if stop is not None and _FIRST.match(plain, begin):
            yield begin, stop


def _ends(form: re.Pattern[str], plain: str, begin: int) -> Iterator[int]:
    """Where a name that begins there may end, its last letter written with one sign or two."""
    match = form.match(plain, begin)
    while match:
        yield match.end()
        match = form.match(plain, begin, match.end() - 1)


def _spelt(name: str) -> str:
    """A pattern of a name with letters that were lost or replaced on the way, or with each one apart."""
    letters = [re.escape(letter) for letter in name]
    separated = r"[ .\-_*]{1,2}".join(letters)
    typed = [_SPELT.get(letter, letter) for letter in letters]
    typed[-1] = _SOFTENED.get(letters[-1], letters[-1] if letters[-1] in "iuo" else typed[-1])
    return f"{''.join(typed)}|{separated}"


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
