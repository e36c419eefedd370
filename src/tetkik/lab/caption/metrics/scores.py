"""Every metric of captions over one set of rows, each with what a bootstrap needs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from itertools import pairwise

import numpy as np

from tetkik.lab.caption.data import is_cui
from tetkik.lab.caption.metrics.bertscore import BertScoreOptions, bertscore_rows
from tetkik.lab.caption.metrics.corpus import Corpus, read_corpus
from tetkik.lab.caption.metrics.tokens import rouge_words
from tetkik.lab.caption.metrics.word_overlap import (
    ORDERS,
    bleu_counts,
    bleu_of,
    cider_rows,
    coco_rouge_l,
    meteor_counts,
    meteor_of,
    rouge_f,
)
from tetkik.language import Sentence
from tetkik.statistics import ClusterBootstrap, Floats, Ints
from tetkik.values import ProgressCallback

_LONGEST = 8
"""Words of a name; longer ones are sentences."""


@dataclass(frozen=True, slots=True)
class ConceptDictionary:
    """Names of concepts, in words."""

    concepts: Mapping[tuple[str, ...], frozenset[str]]

    @property
    def known(self) -> frozenset[str]:
        return frozenset().union(*self.concepts.values())

    def found_in(self, text: str) -> frozenset[str]:
        words = rouge_words(text)
        found: set[str] = set()
        for start in range(len(words)):
            for length in range(1, min(_LONGEST, len(words) - start) + 1):
                found |= self.concepts.get(tuple(words[start : start + length]), frozenset())
        return frozenset(found)


@cache
def _abbreviations() -> dict[str, list[str]]:
    return tomllib.loads(resources.files(__package__).joinpath("abbreviations.toml").read_text("utf-8"))


def concept_dictionary(concepts: Iterable[str], names: Mapping[str, str]) -> ConceptDictionary:
    """A dictionary of `concepts`, such as those of the training rows, by their names and abbreviations."""
    found: dict[tuple[str, ...], set[str]] = {}
    for concept in sorted(set(concepts)):
        name = " ".join(rouge_words(names.get(concept, "" if is_cui(concept) else concept)))
        for way in (name, *_abbreviations().get(name, ())):
            words = tuple(way.split())
            if 0 < len(words) <= _LONGEST:
                found.setdefault(words, set()).add(concept)
    return ConceptDictionary({words: frozenset(meant) for words, meant in found.items()})


def concept_f1_rows(
    captions: Sequence[str], concepts: Sequence[Sequence[str]], dictionary: ConceptDictionary
) -> Floats:
    """F1 of the concepts found against those the dictionary knows, (n,); NaN where a row has none."""
    known = dictionary.known
    scores = np.full(len(captions), np.nan)
    for row, (caption, of_row) in enumerate(zip(captions, concepts, strict=True)):
        true = known.intersection(of_row)
        if true:
            found = dictionary.found_in(caption)
            scores[row] = 2 * len(true & found) / (len(true) + len(found))
    return scores


METRIC_NAMES = {
    "bleu1": "BLEU-1",
    "bleu2": "BLEU-2",
    "bleu3": "BLEU-3",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "rouge1": "ROUGE-1 (F)",
    "rouge_l_f": "ROUGE-L (F)",
    "meteor": "METEOR",
    "cider": "CIDEr",
    "bertscore": "BERTScore",
    "concept_f1": "Concept F1",
}
METRICS = tuple(METRIC_NAMES)
"""Names of all metrics, in the order of tables.

`rouge_l` is pycocoevalcap's; `rouge1` and `rouge_l_f` are rouge-score's F-measures.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric over n rows: `columns`, (n, k), that add up, and the metric (...,) `of` sums (..., k)."""

    name: str
    columns: Floats
    of: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        return float(self.of(self.columns.sum(axis=0)))

    @property
    def rows(self) -> Floats:
        """(n,): of each row alone; NaN where it has none."""
        return self.of(self.columns)


def mean_measure(name: str, rows: Floats) -> Measure:
    """A metric that is the mean of its rows; a row that is NaN is left out."""
    there = ~np.isnan(rows)
    return Measure(name, np.stack([np.where(there, rows, 0.0), there.astype(np.float64)], axis=1), _mean)


def replicates(measures: Sequence[Measure], draws: ClusterBootstrap) -> list[Floats]:
    """Each measure over each draw, (replicates,): the same draws for all, so that two can be subtracted."""
    if not measures:
        return []
    sums = draws.sums(np.concatenate([measure.columns for measure in measures], axis=1))
    ends = np.cumsum([measure.columns.shape[1] for measure in measures])[:-1]
    parts = np.split(sums, ends, axis=1)
    return [measure.of(part) for measure, part in zip(measures, parts, strict=True)]


def _mean(sums: Floats) -> Floats:
    total, count = sums[..., 0], sums[..., 1]
    mean: Floats = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return mean


@dataclass(frozen=True, slots=True)
class Concepts:
    of_rows: tuple[tuple[str, ...], ...]
    dictionary: ConceptDictionary


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the slower metrics are computed; None for none."""

    meteor: bool = True
    bertscore: BertScoreOptions | None = None
    concepts: Concepts | None = None
    no_concepts: Sentence = Sentence("The data has no concepts.")  # noqa: RUF009 - it is frozen


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """Lengths, (n,), and variety of n captions; `distinct` are different captions over captions.

    `distinct_1` and `distinct_2` are different words and pairs over all (Li et al., NAACL 2016).
    """

    distinct: float
    distinct_1: float
    distinct_2: float
    median: float
    quartiles: tuple[float, float]
    longest: int
    empty: float
    lengths: Ints


def wording(texts: Sequence[Sequence[str]]) -> Wording:
    """The wording of `texts`, (n,) captions in words, at least one."""
    lengths = np.array([len(words) for words in texts], np.int64)
    low, median, high = (float(value) for value in np.percentile(lengths, [25, 50, 75]))
    pairs = [pair for words in texts for pair in pairwise(words)]
    every = [word for words in texts for word in words]
    return Wording(
        distinct=len({tuple(words) for words in texts}) / len(texts),
        distinct_1=len(set(every)) / max(len(every), 1),
        distinct_2=len(set(pairs)) / max(len(pairs), 1),
        median=median,
        quartiles=(low, high),
        longest=int(lengths.max()),
        empty=float(np.mean(lengths == 0)),
        lengths=lengths,
    )


@dataclass(frozen=True, slots=True, eq=False)
class CaptionScores:
    """Captions judged; `measures` by name in the order of `METRICS`, and why others are missing."""

    measures: Mapping[str, Measure]
    without: Mapping[str, Sentence]
    candidates: Wording
    references: Wording


def quick_measures(candidates: Sequence[str], references: Sequence[str]) -> list[Measure]:
    """`cider` and `rouge_l` as pycocoevalcap has them, against one reference each, in a moment."""
    corpus = read_corpus(candidates, [[text] for text in references])
    return [
        mean_measure("cider", cider_rows(corpus, corpus.counted())),
        mean_measure("rouge_l", coco_rouge_l(corpus)),
    ]


def quick_scores(candidates: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The same over all of them, by name."""
    return {measure.name: measure.value for measure in quick_measures(candidates, references)}


def score_systems(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    wanted: Wanted | None = None,
    progress: ProgressCallback = lambda *_: None,
) -> list[CaptionScores]:
    """Judge the candidates of several systems, (n,) each, against the same `references`.

    METEOR's program and the model of BERTScore are started once for all.
    """
    wanted = wanted or Wanted()
    corpora = [read_corpus(candidates, references) for candidates in systems]
    slow = {
        "meteor": _meteor(corpora, wanted, progress),
        "bertscore": _bertscore(systems, references, wanted, progress),
        "concept_f1": _concept_f1(systems, wanted),
    }
    without = {name: result for name, result in slow.items() if isinstance(result, Sentence)}
    judged = []
    for place, (candidates, corpus) in enumerate(zip(systems, corpora, strict=True)):
        found = _counted(corpus, candidates, references)
        found += [result[place] for result in slow.values() if not isinstance(result, Sentence)]
        found.sort(key=lambda measure: METRICS.index(measure.name))
        measures = {measure.name: measure for measure in found}
        judged.append(
            CaptionScores(measures, without, wording(corpus.candidates), wording(corpus.references))
        )
    return judged


def _counted(corpus: Corpus, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[Measure]:
    grams = corpus.counted()
    bleu = bleu_counts(corpus, grams)
    rouge1, rouge_l = rouge_f(candidates, references)
    return [
        *(Measure(f"bleu{order + 1}", bleu, partial(_bleu, order=order)) for order in range(ORDERS)),
        mean_measure("rouge_l", coco_rouge_l(corpus)),
        mean_measure("rouge1", rouge1),
        mean_measure("rouge_l_f", rouge_l),
        mean_measure("cider", cider_rows(corpus, grams)),
    ]


def _bleu(sums: Floats, order: int) -> Floats:
    one: Floats = bleu_of(sums)[..., order]
    return one


def _meteor(
    corpora: Sequence[Corpus], wanted: Wanted, progress: ProgressCallback
) -> list[Measure] | Sentence:
    if not wanted.meteor:
        return Sentence("It was not asked for.")
    progress("METEOR", 0, 1)
    counts = meteor_counts(corpora)
    progress("METEOR", 1, 1)
    if isinstance(counts, Sentence):
        return counts
    return [Measure("meteor", of_one, meteor_of) for of_one in counts]


def _bertscore(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    wanted: Wanted,
    progress: ProgressCallback,
) -> list[Measure] | Sentence:
    if wanted.bertscore is None:
        return Sentence("No model for it was named; give one with --bertscore-model.")
    found = bertscore_rows(systems, references, wanted.bertscore, progress)
    return [mean_measure("bertscore", rows) for rows in found]


def _concept_f1(systems: Sequence[Sequence[str]], wanted: Wanted) -> list[Measure] | Sentence:
    concepts = wanted.concepts
    if concepts is None:
        return wanted.no_concepts
    rows = [concept_f1_rows(candidates, concepts.of_rows, concepts.dictionary) for candidates in systems]
    return [mean_measure("concept_f1", of_one) for of_one in rows]
