"""Metrics of shared words over captions cut into words: BLEU, CIDEr, ROUGE-L, METEOR.

BLEU (Papineni et al., ACL 2002), as pycocoevalcap computes it with the closest reference length.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tetkik.errors import UsageError, install_line
from tetkik.language import Sentence
from tetkik.statistics.intervals import Floats, Ints

# Captions as the metrics read them: two ways to cut a text into words, one for each reference program.
#
# `treebank_words` gives what pycocoevalcap's `PTBTokenizer` gives, without Java. Its rules were found by
# asking that program, not by reading it; `benchmarks/caption_metrics.py` counts on any text where the two
# differ. As there, brackets stay words (`-lrb-`), and a period may stay with a word that looks like an
# abbreviation. `rouge_words` is the default tokenizer of rouge-score: runs of a to z and 0 to 9 in lower
# case.


_NOT_LETTERS = "²³¹⁰⁴-⁹₀-₉½¼¾⅐-⅞①-⓿"
_LETTER = rf"[^\W\d_{_NOT_LETTERS}]"
_ALNUM = rf"[^\W_{_NOT_LETTERS}]"
_HYPHEN = "[-‐‑]"
_QUOTE = "['’‘`]"

_ABBREVIATIONS = (
    "adj|adm|adv|al|ala|alex|ariz|assn|asst|atty|aug|ave|bldg|blvd|brig|bros|calif|capt|cf|cie|cmdr|co|"
    "col|colo|comdr|conn|corp|cos|cpl|ct|dak|dec|dept|det|dr|drs|esq|est|etc|ext|feb|fla|fri|ft|ga|gen|"
    "gov|hon|inc|ind|insp|intl|jan|jos|jr|jul|jun|kan|kans|ky|lieut|lt|ltd|maj|mar|md|messrs|mich|minn|"
    "mlle|mme|mo|mon|mont|mr|mrs|ms|msgr|mt|neb|nev|nov|oct|okla|penn|pfc|ph|plc|pres|prof|pvt|rd|rep|"
    "reps|rev|rt|sen|sens|sep|sept|seq|sgt|sq|sr|st|ste|supt|tel|tenn|thu|thurs|treas|tue|tues|univ|va|"
    "vs|vt|wed|wis|wisc|wm|wyo"
)
"""Keep their period in any case of letters."""
_CAPITALISED = (
    "Ark|ARK|Az|AZ|Del|DEL|Ill|ILL|La|LA|Mass|MASS|Miss|MISS|Ore|ORE|Pa|PA|Tex|TEX|Wash|WASH|Mfg|mfg|Pty|pty"
)
"""Keep it in these spellings alone: `mass.` ends a sentence."""
_BEFORE_NUMBERS = "art|ca|figs?|nos?|op|pp|prop"
_OPENERS = (
    "A|According|Additionally|After|An|As|At|But|He|Her|Here|However|If|In|It|Last|Many|More|Now|One|"
    "Once|Other|Our|She|Since|So|Some|Such|That|The|Their|Then|There|These|They|This|We|What|When|"
    "While|Yet|You"
)
"""Words that open a sentence: a single letter before them does not keep its period."""

_SPACE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060-\u206f\u2160-\u2188"
    r"\ue000-\uf8ff\ufeff\ufffd\U00010000-\U0010ffff]+"
)
"""White space and what the program drops: controls, format characters, one-letter Roman numerals, emoji."""
_FIRST = re.compile(
    rf"(?i:can(?=not\b)|(?:gon|wan)(?=na\b)|got(?=ta\b)|(?:gim|lem)(?=me\b)|['’]t(?=(?:is|was)\b))"
    rf"|{_LETTER}+(?=n{_QUOTE}t\b)|n{_QUOTE}t\b"
)
"""Contractions, which are cut before anything longer is looked for."""
_PART = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_URL_END = r"[^\s<>\"]*[^\s<>\".,;:!?)\]}]"
_PATTERNS = (
    r"&(?:amp|lt|gt|quot|apos|#\d+|#x[\dA-Fa-f]+);",
    rf"(?:https?://|www\.){_URL_END}",
    r"[A-Za-z0-9][\w.+-]*@(?:[A-Za-z0-9-]+\.)*[A-Za-z]+",
    r"[@#][A-Za-z_]\w*",
    r"</?[A-Za-z][^<>]*>",
    rf"['’](?:[sSmMdD]|ll|LL|re|RE|ve|VE)(?!{_ALNUM})",
    # U.S., U.S.-based, e.g.
    rf"(?:{_LETTER}\.)+(?:-{_ALNUM}+)+|{_LETTER}(?:\.{_LETTER})+\.?(?!{_ALNUM})",
    r"[A-Za-z]\.(?!\s*\x00)",
    rf"(?:(?i:{_ABBREVIATIONS})|{_CAPITALISED})\.(?!{_ALNUM})",
    rf"(?i:{_BEFORE_NUMBERS})\.(?=\s*\d)",
    rf"{_ALNUM}+\.(?=[,;:])",
    # end.The, a.b-c
    rf"{_LETTER}{_ALNUM}*(?:\.{_LETTER}{_ALNUM}*)+(?:{_HYPHEN}{_ALNUM}+)*",
    # T2-weighted, 50-year-old, 3.5-cm
    rf"(?:{_ALNUM}|_)+(?:{_HYPHEN}{_ALNUM}+)+|[A-Za-z0-9]*\d(?:[.,]\d+)+[A-Za-z0-9]*(?:-[A-Za-z0-9]+)+",
    # L4/5, PET-CT/MRI
    rf"{_PART}(?:/{_PART}){{1,2}}",
    # 21 3/7 and 21-3/7 are one number
    r"\d{1,4}[-\s]\d{1,2}/\d{1,2}(?!\d)",
    r"[+-]?(?:\d*(?:[.,:]\d+)+|\d+)",
    rf"{_ALNUM}+(?:_+{_ALNUM}+)*|_+",
    rf"[A-Z]+&[A-Z]+(?![-/\w])|[A-Z]+(?:\+[A-Z]+)+(?!\w)|{_LETTER}+[!?]{_LETTER}+",
    # d'une, O'Neil
    rf"[cCdDlLoO]['’‘]{_LETTER}{{2,}}(?:{_HYPHEN}{_ALNUM}+)*|[qQ]u['’]{_LETTER}+|[nN]['’]{_LETTER}{{3,}}",
    r"[dDjJlL]['’‘]",
    r"['’](?:em|cause|n'|\d\ds)",
    r"[A-Z]+\$",
    # Smileys
    r"[<>]?[:;=]['-]?(?:[][()]|[DPdp](?![A-Za-z]))",
    r"\.{3,}|\.(?: \.)+|-{2,}|\*+|[!?]+",
    r"\S",
)
_RULES = tuple(re.compile(pattern) for pattern in _PATTERNS)
_DROPPED = frozenset(
    ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", "’", "‘", "‐", "‑"]
)
"""pycocoevalcap's list of punctuation, as far as it is met: its upper-case brackets never are."""
_WRITTEN = {
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "£": "#",
    "€": "$",
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    **dict.fromkeys(("–", "—", "―", "…", "“", "”", '"', "«", "»", "‹", "›", "&quot;", "&apos;"), "."),
}
_OPENER = re.compile(_OPENERS)
_ROUGE = re.compile(r"[a-z0-9]+")
_ACROSS = re.compile(r"<|\. \.|\d\s\d{1,2}/\d")
"""What a word may be across a space."""


def all_treebank_words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """The words of each text, as `PTBTokenizer` gives them where it is given all of `texts`, one a line."""
    found: list[tuple[str, ...]] = []
    following = ""
    for text in reversed(texts):
        found.append(tuple(treebank_words(text, following)))
        following = next(iter(text.split(maxsplit=1)), following)
    return found[::-1]


def treebank_words(text: str, following: str = "") -> list[str]:
    """The words of `text` as pycocoevalcap's `PTBTokenizer` gives them: lower case, no punctuation.

    Args:
        following: the first word of the next line. It seldom matters, but the program looks at it: the last
            letter of "segment V." keeps its period, and loses it before a line that begins with "The".
    """
    chunks = [chunk for chunk in _SPACE.split(text.replace("\xad", "")) if chunk]
    if _ACROSS.search(text):
        return list(_cut(" ".join(chunks)))
    found: list[str] = []
    for place, chunk in enumerate(chunks):
        if not chunk.endswith("."):
            found += _cut(chunk)
            continue
        follower = chunks[place + 1] if place + 1 < len(chunks) else following
        # What follows decides over a period: one mark for each kind, so that answers can be kept.
        mark = "\x00" if _OPENER.fullmatch(follower) else "\x01" if follower[:1].isdigit() else ""
        found += _cut(chunk, mark)
    return found


def rouge_words(text: str) -> list[str]:
    """The words of `text` as rouge-score's default tokenizer gives them, without stemming."""
    return _ROUGE.findall(text.lower())


@lru_cache(maxsize=1 << 16)
def _cut(text: str, mark: str = "") -> tuple[str, ...]:
    """The words of `text`, before which `mark` tells the kind of word that follows."""
    extended = text + {"": "", "\x00": " \x00", "\x01": " 1"}[mark]
    found, place = [], 0
    while place < len(text):
        if extended[place].isspace():
            place += 1
            continue
        first = _FIRST.match(extended, place)
        end = (
            first.end()
            if first
            else max(hit.end() for rule in _RULES if (hit := rule.match(extended, place)))
        )
        end = min(end, len(text))
        found.append(_written(text[place:end]))
        place = end
    return tuple(word for part in found if part not in _DROPPED for word in part.split(" "))


def _written(token: str) -> str:
    """`token` as the program prints it; what is dropped as punctuation is any mark of that list."""
    if token in _WRITTEN:
        return _WRITTEN[token]
    if re.fullmatch(r"\.[. ]*\.|-+", token):
        return "."
    if re.fullmatch(r"\d+\s\d+/\d+", token):
        return re.sub(r"\s", "\xa0", token)
    token = token.lower().replace("(", "-lrb-").replace(")", "-rrb-")
    if (token[0] == "’" and token[1:2].isalpha()) or token in ("n’t", "n‘t"):
        token = token.replace("’", "'").replace("‘", "'")
    return token


# Candidates and references, cut into words, and their n-grams counted once for BLEU and CIDEr.


@dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """The n-grams of texts for one n: in which text, which (0 to `kinds` - 1), how often; sorted by both."""

    text: Ints
    gram: Ints
    count: Floats
    kinds: int

    def of_owner(self, owner: Ints) -> Ints:
        """(entries,): each entry's place in an array (owners, kinds); `owner` is that of each text."""
        return owner[self.text] * self.kinds + self.gram

    def part(self, first: int, last: int) -> Grams:
        """The texts `first` to `last` - 1, numbered from 0."""
        low, high = np.searchsorted(self.text, [first, last])
        return Grams(self.text[low:high] - first, self.gram[low:high], self.count[low:high], self.kinds)


def count_grams(texts: Sequence[Sequence[str]], longest: int = 4) -> Iterator[Grams]:
    """The n-grams of `texts`, for n of 1 to `longest`."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for text in texts for word in text], np.int64)
    of_text = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    grams, kinds = ids, len(numbers)
    for n in range(1, longest + 1):
        if n > 1:
            # An n-gram is the (n - 1)-gram at its place and one word more, within the same text.
            inside = np.flatnonzero(of_text[: len(ids) - n + 1] == of_text[n - 1 :])
            joined = grams[inside] * max(len(numbers), 1) + ids[inside + n - 1]
            _, number = np.unique(joined, return_inverse=True)
            grams = np.zeros(len(ids), np.int64)
            grams[inside], kinds = number, int(number.max(initial=-1)) + 1
        else:
            inside = np.arange(len(ids))
        keys, counts = np.unique(of_text[inside] * max(kinds, 1) + grams[inside], return_counts=True)
        yield Grams(keys // max(kinds, 1), keys % max(kinds, 1), counts.astype(np.float64), max(kinds, 1))


def looked_up(wanted: Ints, keys: Ints, values: Floats) -> Floats:
    """The value of each of `wanted` among sorted `keys`; 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """n candidates, each with one or more references, in words as pycocoevalcap's tokenizer gives them.

    `owner`, (m,), is the candidate of each of the m references.
    """

    candidates: tuple[tuple[str, ...], ...]
    references: tuple[tuple[str, ...], ...]
    owner: Ints

    def __len__(self) -> int:
        return len(self.candidates)

    def counted(self) -> list[tuple[Grams, Grams]]:
        """For n of 1 to 4 the n-grams of the candidates and of the references, under the same numbers."""
        # A no-break space is inside a word for the tokenizer, and cuts it for str.split of these metrics.
        texts = [" ".join(words).split() for words in (*self.candidates, *self.references)]
        count = len(self)
        return [(grams.part(0, count), grams.part(count, len(texts))) for grams in count_grams(texts)]

    def lengths(self) -> tuple[Ints, Ints]:
        """(n,) and (m,), int64: words of each candidate and of each reference, as `counted` cuts them."""
        mine, theirs = (
            np.array([len(" ".join(words).split()) for words in texts], np.int64)
            for texts in (self.candidates, self.references)
        )
        return mine, theirs


def read_corpus(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Corpus:
    if not candidates or len(candidates) != len(references) or not all(references):
        raise UsageError(
            "{candidates} captions cannot be judged against references for {references} images; give one "
            "caption and at least one reference for each image.",
            candidates=len(candidates),
            references=sum(1 for of_one in references if of_one),
        )
    return Corpus(
        tuple(all_treebank_words(candidates)),
        tuple(all_treebank_words([text for of_one in references for text in of_one])),
        np.repeat(np.arange(len(candidates)), [len(of_one) for of_one in references]),
    )


ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15
"""pycocoevalcap's guards against division by zero; a part of its figures."""


def bleu_counts(corpus: Corpus, grams: Sequence[tuple[Grams, Grams]]) -> Floats:
    """What BLEU is computed from and adds up over rows, (n, 10), from `corpus.counted()`.

    Matches of 1- to 4-grams, n-grams of the candidate of each length, words of the candidate, words of the
    reference of the closest length.
    """
    rows = len(corpus)
    counts = np.zeros((rows, 2 * ORDERS + 2))
    words, reference_words = corpus.lengths()
    for order, (candidate, reference) in enumerate(grams):
        keys = reference.of_owner(corpus.owner)
        unique, place = np.unique(keys, return_inverse=True)
        most = np.zeros(len(unique))
        np.maximum.at(most, place, reference.count)
        allowed = looked_up(candidate.of_owner(np.arange(rows)), unique, most)
        counts[:, order] = np.bincount(candidate.text, np.minimum(candidate.count, allowed), rows)
        counts[:, ORDERS + order] = np.maximum(words - order, 0)
    counts[:, -2] = words
    # The closest reference, the shorter of two as close: by distance, then by length, first of each row.
    ranked = np.lexsort((reference_words, np.abs(reference_words - words[corpus.owner]), corpus.owner))
    first = np.unique(corpus.owner[ranked], return_index=True)[1]
    counts[:, -1] = reference_words[ranked[first]]
    return counts


def bleu_of(counts: Floats) -> Floats:
    """BLEU-1 to 4, (..., 4), from a row of `bleu_counts` for that caption or their sum for a corpus."""
    matches, guesses = counts[..., :ORDERS], counts[..., ORDERS : 2 * ORDERS]
    precision = np.cumprod((matches + _TINY) / (guesses + _SMALL), axis=-1)
    scores = precision ** (1 / np.arange(1, ORDERS + 1))
    ratio = (counts[..., -2] + _TINY) / (counts[..., -1] + _SMALL)
    with np.errstate(over="ignore", under="ignore"):
        brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    result: Floats = scores * brevity[..., None]
    return result


_SIGMA = 6.0


def cider_rows(corpus: Corpus, grams: Sequence[tuple[Grams, Grams]]) -> Floats:
    """CIDEr of each row, (n,), 0 to 10, from `corpus.counted()`; the corpus' is their mean."""
    rows, references = len(corpus), len(corpus.owner)
    similarity = np.zeros(references)
    for candidate, reference in grams:
        weight = _rarity(corpus, reference)
        mine = candidate.count * weight[candidate.gram]
        theirs = reference.count * weight[reference.gram]
        shared = looked_up(reference.of_owner(corpus.owner), candidate.of_owner(np.arange(rows)), mine)
        product = np.bincount(reference.text, np.minimum(shared, theirs) * theirs, references)
        norm = np.sqrt(np.bincount(candidate.text, mine**2, rows))[corpus.owner]
        norm = norm * np.sqrt(np.bincount(reference.text, theirs**2, references))
        similarity += np.divide(product, norm, out=np.zeros(references), where=norm > 0)
    # pycocoevalcap takes the number of 2-grams for the length.
    words, reference_words = (np.maximum(lengths - 1, 0) for lengths in corpus.lengths())
    difference = (words[corpus.owner] - reference_words).astype(np.float64)
    similarity *= np.exp(-(difference**2) / (2 * _SIGMA**2)) * 10.0 / len(grams)
    total = np.bincount(corpus.owner, similarity, rows)
    mean: Floats = total / np.bincount(corpus.owner, minlength=rows)
    return mean


def _rarity(corpus: Corpus, reference: Grams) -> Floats:
    """(kinds,): log of the number of rows over that of rows whose references have the n-gram."""
    inside = np.unique(reference.of_owner(corpus.owner)) % reference.kinds
    frequency = np.bincount(inside, minlength=reference.kinds)
    result: Floats = np.log(len(corpus)) - np.log(np.maximum(frequency, 1))
    return result


_BETA2 = 1.2**2


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of words, by bits (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(first)) - 1
    row = every
    for word in second:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & every
    return len(first) - row.bit_count()


def coco_rouge_l(corpus: Corpus) -> Floats:
    """ROUGE-L of each row as pycocoevalcap has it, (n,), 0 to 1; the corpus' is their mean."""
    precision, recall = np.zeros(len(corpus)), np.zeros(len(corpus))
    for row, words in zip(corpus.owner.tolist(), corpus.references, strict=True):
        # There, an empty text is one empty word.
        mine, theirs = corpus.candidates[row] or ("",), words or ("",)
        common = longest_common(theirs, mine)
        precision[row] = max(precision[row], common / len(mine))
        recall[row] = max(recall[row], common / len(theirs))
    return rouge_l_of(precision, recall)


def rouge_l_of(precision: Floats, recall: Floats) -> Floats:
    """ROUGE-L as pycocoevalcap has it, from the shares of words in the longest common subsequence."""
    above, below = (1 + _BETA2) * precision * recall, recall + _BETA2 * precision
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)


def rouge_f(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Floats, Floats]:
    """ROUGE-1 and ROUGE-L of each row as rouge-score has them, (n,) each, 0 to 1."""
    one, long = np.zeros(len(candidates)), np.zeros(len(candidates))
    for row, (candidate, of_one) in enumerate(zip(candidates, references, strict=True)):
        mine = rouge_words(candidate)
        counts = Counter(mine)
        for reference in of_one:
            theirs = rouge_words(reference)
            if not mine or not theirs:
                continue
            # 2PR / (P + R) with P and R over the same matches is 2 matches over all words.
            both = len(mine) + len(theirs)
            one[row] = max(one[row], 2 * sum((counts & Counter(theirs)).values()) / both)
            long[row] = max(long[row], 2 * longest_common(theirs, mine) / both)
    return one, long


_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stemmed, synonymous and paraphrased matches."""
_COUNTS = 23
_START, _A_ROW = 120.0, 0.1
"""Seconds for the start of the program and for a row, many times what they take."""


def meteor_counts(corpora: Sequence[Corpus], limit: float | None = None) -> list[Floats] | Sentence:
    """(n, 23) of each corpus, which add up over rows, or why there is none; `limit` in seconds."""
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        return Sentence("It needs the package pycocoevalcap: `{extra}`.", {"extra": install_line("caption")})
    java = shutil.which("java")
    if java is None:
        return Sentence("It needs Java, and there is no program `java` here.")
    rows = sum(map(len, corpora))
    seconds = limit if limit is not None else _START + _A_ROW * rows
    # The reference program's own call (pycocoevalcap.meteor.meteor).
    command = [java, "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        answer = subprocess.run(  # noqa: S603 - the package's own program, without a shell
            command,
            cwd=Path(package.submodule_search_locations[0]) / "meteor",
            input="".join(map(_questions, corpora)).encode("utf-8"),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Sentence("Its Java program took more than {seconds:.0f} seconds.", {"seconds": seconds})
    except OSError as error:
        return Sentence("Its Java program could not be run ({fault}).", {"fault": error.strerror})
    counts = _read(answer.stdout.decode("utf-8", "replace"), rows)
    if isinstance(counts, Sentence):
        return counts
    return np.split(counts, np.cumsum([len(corpus) for corpus in corpora])[:-1])


def meteor_of(counts: Floats) -> Floats:
    """METEOR, 0 to 1, from a row of `meteor_counts` for that caption or their sum for a corpus."""
    words, function = counts[..., 0:2], counts[..., 2:4]
    # For each kind of match: content words of candidate and reference, then function words of both.
    by_kind = counts[..., 4:20].reshape(*counts.shape[:-1], len(_WEIGHTS), 2, 2)
    content, functional = by_kind[..., 0, :], by_kind[..., 1, :]
    matched = np.einsum("k,...ks->...s", _WEIGHTS, _DELTA * content + (1 - _DELTA) * functional)
    weight = _DELTA * (words - function) + (1 - _DELTA) * function
    both = np.divide(matched, weight, out=np.zeros_like(matched), where=weight > 0)
    precision, recall = both[..., 0], both[..., 1]
    below = _ALPHA * precision + (1 - _ALPHA) * recall
    mean = np.divide(precision * recall, below, out=np.zeros_like(below), where=below > 0)
    half = counts[..., 21:23].sum(axis=-1) / 2
    broken = np.divide(counts[..., 20], half, out=np.zeros_like(half), where=half > 0)
    score: Floats = mean * (1 - _GAMMA * broken**_BETA)
    return score


def _questions(corpus: Corpus) -> str:
    """A line for each row: its references, then its candidate."""
    of_row: list[list[str]] = [[] for _ in range(len(corpus))]
    for row, words in zip(corpus.owner.tolist(), corpus.references, strict=True):
        of_row[row].append(" ".join(words))
    lines = []
    for references, words in zip(of_row, corpus.candidates, strict=True):
        candidate = " ".join(words).replace("|||", "").replace("  ", " ")
        lines.append(" ||| ".join(("SCORE", *references, candidate)))
    return "\n".join(lines) + "\n"


def _read(answer: str, rows: int) -> Floats | Sentence:
    try:
        counts = np.array(
            [[float(value) for value in line.split()] for line in answer.splitlines() if line.strip()]
        )
    except ValueError:
        counts = np.empty(0)
    if counts.shape != (rows, _COUNTS):
        return Sentence("Its Java program gave no answer that can be read.")
    # A caption that is its reference word for word is in no piece, alone and in a sum.
    counts[(counts[:, 20] == 1) & (counts[:, 21:23] == counts[:, 0:2]).all(axis=1), 20] = 0
    return counts
