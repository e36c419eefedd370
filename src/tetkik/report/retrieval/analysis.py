"""A text as terms: folded words without the little ones, their stems, their groups of letters.

Turkish and English add their endings to the right, so the beginning of a word stands for its stem, in
either language and in a text that mixes both, as medical Turkish does. Folding makes `GÖĞÜS`, `göğüs` and
`gogus` one word. Groups of three letters find what beginnings do not: compounds, spellings, common roots.

Snowball's stemmers were tried in place of beginnings: no better on the development questions, and worse on
English definitions.
"""

from __future__ import annotations

from collections import Counter

from tetkik.language import Language
from tetkik.report.passages.language_detection import little_words
from tetkik.turkish import fold

STEM = 5
"""Letters of a word that stand for it; chosen on the development half of the questions."""
GROUP = 3


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
