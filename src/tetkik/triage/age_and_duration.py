"""Who a complaint is about and since when: age, childhood, pregnancy and durations in Turkish text.

Everything reads text that `tetkik.turkish.fold` has folded, so places are places in the folded text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tetkik.values import Span

ADULT_AGE = 18.0
"""Years from which the department is no longer Pediatri."""

_ONES = {
    "bir": 1, "iki": 2, "uc": 3, "dort": 4, "bes": 5, "alti": 6, "yedi": 7, "sekiz": 8, "dokuz": 9,
}  # fmt: skip
_TENS = {
    "on": 10, "yirmi": 20, "otuz": 30, "kirk": 40, "elli": 50, "altmis": 60, "yetmis": 70, "seksen": 80,
    "doksan": 90,
}  # fmt: skip
_LOOSE = {"birkac": 3, "bir kac": 3, "yarim": 0.5, "bir bucuk": 1.5, "bi": 1, "iki uc": 2.5, "uc dort": 3.5}

_WORDS: dict[str, float] = {
    **_LOOSE,
    **_ONES,
    **_TENS,
    **{
        f"{ten}{gap}{one}": t + o for ten, t in _TENS.items() for one, o in _ONES.items() for gap in (" ", "")
    },
}
_SPELLED = "|".join(sorted(_WORDS, key=len, reverse=True))
_NUMBER = rf"(?:(?P<digits>\d{{1,3}})(?: (?P<tenths>\d))?|(?P<spelled>{_SPELLED}))(?P<half> bucuk)?"

_CHILD = (
    r"(?:bebe[gk]\w*|yenidogan\w*|yeni dogan\w*|og[lu]+(?:um\w*|umuz\w*|u)\b"
    r"|kiz(?:im|imiz|imin|ima|imizin|imda|i)\b|cocug\w+|cocuk(?:ta|tan|um\w*)?\b|torun\w*|yeg[ei]n\w*|kizcocu\w*)"
)
_NOT_A_CHILD = re.compile(
    r"cocuk(?:ken|lug|luk|lar|suz| ist| sahib| sahip| dusun| yap| dog| kayb)"
    r"|cocugum (?:yok|olm|var)|cocugu(?:m|muz) ol(?:sun|m)|kiz(?:im|i) (?:var|yok)|oglum (?:var|yok)"
    r"|bebek (?:ist|sahib|sahip|dusun|bekli)"
    r"|(?:bir|iki|uc|\d) (?:cocu[gk]\w*|bebe[gk]\w*) (?:var|anne|baba|sahib)"
)
_CHILD_RE = re.compile(rf"\b{_CHILD}")

_MOTHER = re.compile(
    r"\b(?:haftaligim|lohusayim|emziriyo(?:ru)?m|dogural[iy]|dogum yapali|karnimdaki bebe|gogus ucum"
    r"|meme(?:m(?:de|den|in|e|i)?|min|lerim\w*|ucum\w*)\b"
    r"|(?:bebek|bebegi[mn]) (?:\w+ ){0,3}(?:kipir(?:da|ti)|oyna(?:m|t)|tepm|tekme))"
)
"""What only the mother of a baby, born or not, says of herself."""

_AGE = re.compile(
    rf"\b{_NUMBER} ?yas(?P<suffix>indayim|inda|indayiz|indaki|indayken|inda iken|larinda\w*|imda\w*"
    r"|imdan|indan|ina|ini|inin|i|lik|lik\w+)?\b(?P<after> iken| gebe| hamile)?"
)
_AGE_LABEL = re.compile(rf"\byas(?:im|i|imiz)? {_NUMBER}\b")
_BIRTHDAY = re.compile(rf"\b{_NUMBER} ?(?P<unit>gun|hafta|ay)l[iu]k\b")
_PREGNANT_NEAR = re.compile(r"\b(?:hamile|gebe)")
_CHILD_HINTS = ("bebe", "ogan", "oglu", "ogul", "kiz", "cocu", "toru", "yege")
_OLDEST = 115
_REACH = 28
"""Characters around "yaş" or a unit of time within which its number stands."""
_WEEKS_OF_PREGNANCY = 20
"""From here on weeks are those of a pregnancy; a child is then told in months."""
_UNIT_YEARS = {"gun": 1 / 365.25, "hafta": 7 / 365.25, "ay": 1 / 12}

_PREGNANT = re.compile(
    r"\b(?:hamileyim|gebeyim|(?:hamile|gebe)(?:lig[iu]min|ligimin|yken|likte|yiz)\w*"
    r"|(?:hafta|ay)(?:lik)? (?:ikiz )?(?:hamile|gebe)(?:yim|yiz|lig|lik|yi)?\b|hamile \d"
    r"|hamile (?:esim|kadin|bayan|karim)|gebe (?:esim|kadin|bayan)|hamile ve |hamile halim\w*"
    r"|(?:esim|karim|kizim|gelinim) (?:\d+ |\w+lik )*hamile"
    rf"|(?:[23]\d|4[0-2]|(?:yirmi|otuz|kirk)(?: (?:{'|'.join(_ONES)}))?) ?hafta(?:ligim\b|lik\b(?! bebe)))"
)
_NOT_PREGNANT = re.compile(
    r"\b(?:hamile|gebe|hamileyim|gebeyim|hamilelik|gebelik|gebeligim|hamileligim)\w* "
    r"(?:deg[il]\w*|m[iy]\w*|mu\w*|yok|kal\w+|olma\w*|olabil\w*|test\w*|ihtimal\w*|supe\w*|suphe\w*|ist\w+|sonras\w+|once\w*|plan\w*)"
)


class Tense(StrEnum):
    """How a time is stated."""

    SINCE = "since"
    """Has gone on so long: "üç gündür", "dünden beri"."""
    AGO = "ago"
    """Happened so long ago: "iki yıl önce"."""


@dataclass(frozen=True, slots=True)
class Age:
    """An age found in a complaint.

    Attributes:
        years: in years; 3 months is 0.25.
        span: where, in the folded text.
        of_child: whether it is said of a child (the writer's, or a baby).
        of_patient: whether it is likely the patient's; not "4 yaşında oğlum var" beside the writer's own.
    """

    years: float
    span: Span
    of_child: bool
    of_patient: bool


@dataclass(frozen=True, slots=True)
class Duration:
    """A time stated in a complaint: days, where (in the folded text), and how it is stated."""

    days: float
    span: Span
    tense: Tense


@dataclass(frozen=True, slots=True)
class ComplaintSubject:
    """Who a complaint is about: the patient's age where stated, whether a child, whether pregnant."""

    age: Age | None
    child: bool
    pregnant: bool


def _value(match: re.Match[str], prefix: str = "") -> float:
    spelled = match[f"{prefix}spelled"]
    value = _WORDS[spelled] if spelled else float(match[f"{prefix}digits"])
    if match[f"{prefix}tenths"] and value <= 15:
        value += float(match[f"{prefix}tenths"]) / 10
    return value + (0.5 if match[f"{prefix}half"] else 0.0)


def _around(pattern: re.Pattern[str], anchor: str, text: str) -> Iterator[re.Match[str]]:
    """The matches of `pattern` that hold `anchor`; the number before it is sought only there."""
    for first, last in _windows(text, re.compile(anchor)):
        for match in pattern.finditer(text, first, last):
            if anchor in match[0]:
                yield match


def _windows(text: str, hints: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The parts of a text around the matches of `hints`; those that overlap are one."""
    first = last = -1
    for hint in hints.finditer(text):
        if hint.start() - _REACH > last:
            if last >= 0:
                yield first, last
            first = max(0, hint.start() - _REACH)
        last = hint.end() + _REACH
    if last >= 0:
        yield first, last


@lru_cache(maxsize=8)
def read_ages(folded: str) -> tuple[Age, ...]:
    """Every age in the text, in order.

    "15 yaşındayken", "10 yaşımdan beri" tell of the past and are no ages; "6 aylık hamileyim" is a pregnancy.

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    found = [*_stated_years(folded), *_stated_months(folded)]
    if not found and (newborn := re.search(r"\byeni ?dogan", folded)):
        found.append(_StatedAge(0.0, newborn.start(), newborn.end(), own=False, child=True))
    found.sort(key=lambda age: age.start)
    own = [age.start for age in found if age.own]
    # The writer's own age, stated first, makes later children's ages a side note.
    return tuple(
        Age(
            years=round(age.years, 4),
            span=Span(age.start, age.end),
            of_child=age.child and age.years < ADULT_AGE,
            of_patient=age.own or not own or age.start < own[0],
        )
        for age in found
    )


@dataclass(frozen=True, slots=True)
class _StatedAge:
    years: float
    start: int
    end: int
    own: bool
    child: bool


def _stated_years(folded: str) -> list[_StatedAge]:
    found: list[_StatedAge] = []
    if "yas" not in folded:
        return found
    for match in _around(_AGE, "yas", folded):
        suffix = match["suffix"] or ""
        if suffix in {"indayken", "imdan", "indan", "inda iken"} or suffix.startswith("imda"):
            continue
        if match["after"] == " iken" or (suffix == "ina" and folded.startswith(" kadar", match.end())):
            continue
        own = suffix in {"indayim", "indayiz"}
        if (years := _value(match)) <= _OLDEST:
            found.append(
                _StatedAge(years, *match.span(), own=own, child=not own and _child_near(folded, match))
            )
    taken = {place for age in found for place in range(age.start, age.end)}
    for match in _AGE_LABEL.finditer(folded):
        if taken.isdisjoint(range(*match.span())) and (years := _value(match)) <= _OLDEST:
            found.append(
                _StatedAge(years, *match.span(), own="yasim" in match[0], child=_child_near(folded, match))
            )
    return found


def _stated_months(folded: str) -> list[_StatedAge]:
    if not any(hint in folded for hint in ("aylik", "gunluk", "haftalik", "aylig")):
        return []
    return [
        _StatedAge(_value(match) * _UNIT_YEARS[match["unit"]], *match.span(), own=False, child=True)
        for match in _BIRTHDAY.finditer(folded)
        if not (match["unit"] == "hafta" and _value(match) >= _WEEKS_OF_PREGNANCY)
        and _child_near(folded, match)
        and not _PREGNANT_NEAR.search(folded, max(0, match.start() - 25), match.end() + 30)
    ]


def _child_near(folded: str, match: re.Match[str]) -> bool:
    before = folded[max(0, match.start() - 32) : match.start()]
    after = folded[match.end() : match.end() + 24]
    return bool(_CHILD_RE.search(before) or _CHILD_RE.search(after))


def read_person(folded: str) -> ComplaintSubject:
    """Who the complaint is about.

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    age = read_age(folded)
    pregnant = is_pregnant(folded)
    if age is not None:
        return ComplaintSubject(age, age.years < ADULT_AGE, pregnant)
    return ComplaintSubject(None, not pregnant and _names_child(folded), pregnant)


def read_age(folded: str) -> Age | None:
    """The age that is most likely the patient's, or None where the text tells none.

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    return next((age for age in read_ages(folded) if age.of_patient), None)


def is_child(folded: str) -> bool:
    """Whether the patient is a child (under 18), by a stated age or by words such as "bebeğim", "oğlum".

    An age decides where there is one; "çocukken", "çocuğum yok", "iki çocuk annesiyim" do not count, nor does
    the baby of a mother who tells of herself ("lohusayım", "mememde").

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    return read_person(folded).child and not _MOTHER.search(folded)


def _names_child(folded: str) -> bool:
    if not any(hint in folded for hint in _CHILD_HINTS):
        return False
    return bool(_CHILD_RE.search(_NOT_A_CHILD.sub(" ", folded)))


def is_pregnant(folded: str) -> bool:
    """Whether the patient says she is pregnant; hopes, tests and questions do not count.

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    if "hamile" not in folded and "gebe" not in folded and "haftali" not in folded:
        return False
    return bool(_PREGNANT.search(_NOT_PREGNANT.sub(" ", folded)))


_DAYS = {
    "dakika": 1 / 1440,
    "dk": 1 / 1440,
    "saat": 1 / 24,
    "gun": 1,
    "hafta": 7,
    "ay": 30,
    "yil": 365,
    "sene": 365,
}
_UNIT = r"(?P<unit>dakika|dk|saat|gun|hafta|ay|yil|sene)"
_SINCE = re.compile(
    rf"\b{_NUMBER} ?{_UNIT}(?:d[iu]r\w*|t[iu]r|[dt]?[ae]n beri\w*|[dt][ae]n fazla\w*|lig[iu]na|dan buyana"
    r"|[dt][ae]n bu yana|i askin\w*|yi askin\w*| boyunca| icinde|i gecti|yi gecti| oldu\b| olacak)"
)
_LAST = re.compile(rf"\bson {_NUMBER} ?{_UNIT}(?:d[iu]r)?\b")
_AGO = re.compile(rf"\b{_NUMBER} ?{_UNIT} ?(?:once\w*|evvel\w*|onceki)")
_OVER = re.compile(rf"\b{_NUMBER} ?(?P<unit>yil|sene) (?:gecti|oldu|oluyor|olmus)\b")
"""So long ago was what stands before."""
_TELLS = re.compile(
    r"d[iu]r|t[iu]r|n beri|n fazla|lig[iu]na|yana|askin|boyunca|icinde|i gecti| gecti| olu?yor"
    r"| olmus| oldu\b| olacak|once|evvel"
    r"|\bson "
)
_FIXED: tuple[tuple[str, float, Tense], ...] = (
    (r"dakikalard[iu]r|az once|demin|biraz once|su an(?:da)? basla\w+|simdi basla\w+", 0.02, Tense.SINCE),
    (r"saatlerd[iu]r|bu sabah|sabahtan (?:beri|bu)|bugun\b|bu gece|bu aksam|ogleden beri", 0.4, Tense.SINCE),
    (r"dun(?:den|ku)?\b", 1.0, Tense.SINCE),
    (r"gunlerd[iu]r|bir ?kac gund[iu]r|son gunlerde", 4.0, Tense.SINCE),
    (r"haftalard[iu]r|b[iu]r? sured[iu]r|bir sureden|son zamanlarda", 21.0, Tense.SINCE),
    (r"aylard[iu]r|bir ?kac ayd[iu]r|uzun (?:sure|zaman)(?:d[iu]r|d[ae]n|li)", 120.0, Tense.SINCE),
    (r"(?:yil|sene)lar?d[iu]r|senelerd[iu]r|yillardan|senelerden|cocuklu[gk]\w*|dogustan|oteden beri"
     r"|eskiden beri|kronik|muzmin|omur boyu|kendimi bildim", 1000.0, Tense.SINCE),
    (r"gecen (?:hafta|pazar|sali|cuma|carsamba|persembe)\w*", 7.0, Tense.AGO),
    (r"gecen ay\b|gecenlerde", 30.0, Tense.AGO),
    (r"gecen (?:yil|sene|kis|yaz|bahar)\w*|gecmiste|eskiden\b|zamaninda|vaktiyle|evvelki (?:yil|sene|kis|yaz)"
     r"|(?:kucuk|cocuk|genc|bebek|kundaktay|asker\w*y|yas[iu]nday)ken|yas[iu]mda\b"
     r"|(?:yil|sene|ay)l[ae]r once|(?:19|20)\d\d(?: \w{1,3})? ?(?:yil\w*|sene\w*)?", 400.0, Tense.AGO),
)  # fmt: skip
_FIXED_RE = re.compile(
    r"\b(?:" + "|".join(f"(?P<f{i}>{pattern})" for i, (pattern, _, _) in enumerate(_FIXED)) + ")"
)


def read_durations(folded: str) -> tuple[Duration, ...]:
    """Every duration and every "so long ago" in the text, in order.

    Args:
        folded: text from `tetkik.turkish.fold`.
    """
    found: list[Duration] = []
    taken: set[int] = set()

    def keep(days: float, start: int, end: int, tense: Tense) -> None:
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            found.append(Duration(days, Span(start, end), tense))

    for first, last in _windows(folded, _TELLS):
        for pattern, tense in (
            (_AGO, Tense.AGO),
            (_OVER, Tense.AGO),
            (_SINCE, Tense.SINCE),
            (_LAST, Tense.SINCE),
        ):
            for match in pattern.finditer(folded, first, last):
                keep(_value(match) * _DAYS[match["unit"]], *match.span(), tense)
    for match in _FIXED_RE.finditer(folded):
        _, days, tense = _FIXED[int((match.lastgroup or "f0")[1:])]
        keep(days, *match.span(), tense)
    found.sort(key=lambda duration: duration.span.start)
    return tuple(found)
