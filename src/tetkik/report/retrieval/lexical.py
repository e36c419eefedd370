"""BM25 over stems and over groups of letters, with the other names of what a passage is about.

A text is folded words without the little ones. Turkish and English add their endings to the right, so the
beginning of a word stands for its stem, in either language and in a text that mixes both, as medical Turkish
does. Folding makes `GÖĞÜS`, `göğüs` and `gogus` one word. Groups of three letters find what beginnings do
not: compounds, spellings, common roots.

Snowball's stemmers were tried in place of beginnings: no better on the development questions, and worse on
English definitions.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. The gain of a term in
a text is computed once, when the index is made, so that a search only adds.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.report.passages.language_detection import little_words
from tetkik.turkish import fold
from tetkik.values import Passage, finding_label, label_name

STEM = 5
"""Letters of a word that stand for it; chosen on the development half of the questions."""
GROUP = 3
K1, B = 1.0, 0.5
"""How soon a repeated term stops to count, and how much a long text is discounted: milder than for long
documents, because passages are short and of like length."""
TITLE, NAMES, KIND = 1.0, 1.0, 1.0
"""What a word of the title, of the label's other names and of the kind's counts beside one of the text."""
GROUPS = 0.3
"""What groups of letters count beside stems."""
_SHORT = 4
"""Letters of a name that takes no ending."""
_LITTLE = frozenset().union(*(little_words(language) for language in Language))


def words(text: str) -> list[str]:
    """The words of a text, folded to lower-case ASCII, without those that say nothing by themselves."""
    return [word for word in fold(text).split() if word not in _LITTLE]


def stems(text: str) -> Counter[str]:
    """How often each stem occurs."""
    return Counter(word[:STEM] for word in words(text))


def groups(text: str) -> Counter[str]:
    """How often each group of letters occurs within words; a space marks a word's beginning and end."""
    found: Counter[str] = Counter()
    for word in words(text):
        framed = f" {word} "
        found.update(framed[start : start + GROUP] for start in range(len(framed) - GROUP + 1))
    return found


class Index:
    """Weighted bags of terms (1 for a plain occurrence) that can be asked for the best."""

    def __init__(self, documents: Sequence[Mapping[str, float]]) -> None:
        self.size = len(documents)
        lengths = [sum(document.values()) for document in documents]
        mean = sum(lengths) / self.size if self.size else 0.0
        where: dict[str, list[tuple[int, float]]] = {}
        for place, document in enumerate(documents):
            long = 1 - B + B * lengths[place] / mean if mean else 1.0
            for term, count in document.items():
                where.setdefault(term, []).append((place, count * (K1 + 1) / (count + K1 * long)))
        self._gains = {
            term: [
                (place, gain * math.log(1 + (self.size - len(found) + 0.5) / (len(found) + 0.5)))
                for place, gain in found
            ]
            for term, found in where.items()
        }

    def scores(self, terms: Iterable[str]) -> list[float]:
        """The score of each document for a query; 0 where no term occurs."""
        total = [0.0] * self.size
        for term in dict.fromkeys(terms):
            for place, gain in self._gains.get(term, ()):
                total[place] += gain
        return total


class LexicalIndex:
    """Texts that can be searched by their words: of each its parts, with what a word in them counts."""

    def __init__(self, fields: Sequence[Sequence[tuple[str, float]]]) -> None:
        self._stems = Index([_weighted(parts, stems) for parts in fields])
        self._groups = Index([_weighted(parts, groups) for parts in fields])

    def scores(self, query: str) -> list[float]:
        """The score of each text for a query; 0 where nothing is in common."""
        by_stem, by_group = self._stems.scores(stems(query)), self._groups.scores(groups(query))
        return [stem + GROUPS * group for stem, group in zip(by_stem, by_group, strict=True)]


def _weighted(parts: Sequence[tuple[str, float]], analyse: Callable[[str], Counter[str]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for text, weight in parts:
        for term, count in analyse(text).items():
            total[term] = total.get(term, 0.0) + weight * count
    return total


def passage_fields(passage: Passage) -> tuple[tuple[str, float], ...]:
    """What a passage is searched by."""
    return (
        (passage.text, 1.0),
        (passage.title, TITLE),
        (other_names(passage), NAMES),
        (asked_as(passage), KIND),
    )


@cache
def _table(language: Language) -> dict[str, dict[str, list[str]]]:
    text = resources.files(__package__).joinpath(f"{language.value}.toml").read_text("utf-8")
    return tomllib.loads(text)


def names_of(label: str, language: Language) -> tuple[str, ...]:
    """The clinical name of a label, then its other names."""
    return (label_name(label, language), *finding_label(label).search_words.get(language, ()))


def other_names(passage: Passage) -> str:
    """Other names of what a passage is about: of its label, or of the topic of a passage without one."""
    if passage.label is not None:
        return ", ".join(finding_label(passage.label).search_words.get(passage.language, ()))
    return ", ".join(_table(passage.language)["topics"].get(passage.id.rpartition("-")[0], ()))


def asked_as(passage: Passage) -> str:
    """How people ask for a passage of its kind."""
    return ", ".join(_table(passage.language)["kinds"].get(passage.kind.value, ()))


def names_in(text: str, label: str, language: Language) -> bool:
    """Whether a text names a label: by its clinical name or another, with any ending but for short ones.

    `bül` must not be found in `bulgu`, nor `TB` in `tbl`.
    """
    plain = f" {' '.join(fold(text).split())} "
    folded = (" ".join(fold(name).split()) for name in names_of(label, language))
    return any(f" {name} " in plain or (len(name) > _SHORT and f" {name}" in plain) for name in folded)
