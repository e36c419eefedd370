"""Every metric of captions over one set of rows, each with what a bootstrap needs."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.errors import InputError, MissingExtra, UsageError
from tetkik.lab.caption.metrics.word_overlap import (
    ORDERS,
    Corpus,
    bleu_counts,
    bleu_of,
    cider_rows,
    coco_rouge_l,
    meteor_counts,
    meteor_of,
    read_corpus,
    rouge_f,
    rouge_words,
)
from tetkik.lab.caption.prepared import is_cui
from tetkik.language import Sentence
from tetkik.networks.huggingface import quiet_transformers
from tetkik.settings import settings
from tetkik.statistics.intervals import ClusterBootstrap, Floats, Ints
from tetkik.values.common import ProgressCallback

if TYPE_CHECKING:
    from torch import Tensor


# BERTScore (Zhang et al., ICLR 2020): words matched by the nearness of their contextual embeddings.
#
# As the package bert-score computes it, without rescaling by a baseline. Its figures depend on the model and
# the layer: compare only those of the same. ImageCLEF judges captions with microsoft/deberta-xlarge-mnli and
# `idf`.


BEST_LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "roberta-base": 10,
    "roberta-large": 17,
    "distilbert-base-uncased": 5,
    "allenai/scibert_scivocab_uncased": 8,
    "microsoft/deberta-base-mnli": 9,
    "microsoft/deberta-large-mnli": 18,
    "microsoft/deberta-xlarge-mnli": 40,
}
"""The layer that agrees best with people on WMT16, as the authors chose it; another model uses its last."""
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class BertScoreOptions:
    """How BERTScore is computed; `layer` None takes the authors' choice for the model, or its last.

    With `idf` word pieces weigh by how rare they are among the references.
    """

    model: str
    layer: int | None = None
    idf: bool = False
    batch: int = 64


_Pieces = tuple[Any, Floats]
"""A text in word pieces: the unit embedding, (pieces, width), float32, and weight, (pieces,), of each."""


def bertscore_rows(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    options: BertScoreOptions,
    progress: ProgressCallback = lambda *_: None,
) -> list[Floats]:
    """For each system the F-measure of each row, (n,), the best over its references."""
    tokenizer, model, layer = _opened(options)
    every = [text for of_one in references for text in of_one]
    rarity = _rarity([_ids(tokenizer, text) for text in every], options.idf)
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    texts = list(dict.fromkeys((*(text for candidates in systems for text in candidates), *every)))
    found: dict[str, _Pieces] = {}
    # Texts of like length together: less filling.
    texts.sort(key=len)
    for start in range(0, len(texts), options.batch):
        part = texts[start : start + options.batch]
        ids = [_ids(tokenizer, text) for text in part]
        for text, row, embedding in zip(part, ids, _embeddings(model, tokenizer, ids, layer), strict=True):
            weight = np.array(
                [rarity(piece) if options.idf or piece not in special else 0.0 for piece in row]
            )
            found[text] = (embedding, weight)
        progress("BERTScore", min(start + options.batch, len(texts)), len(texts))
    return [
        np.array(
            [
                max(_f_measure(found[candidate], found[reference]) for reference in of_one)
                for candidate, of_one in zip(candidates, references, strict=True)
            ]
        )
        for candidates in systems
    ]


def check_bertscore(options: BertScoreOptions) -> None:
    """Fail before the long work where BERTScore would fail after it; no weights are read."""
    with _from_hub(options.model):
        from transformers import AutoConfig, AutoTokenizer

        local = settings().offline
        AutoTokenizer.from_pretrained(options.model, local_files_only=local, trust_remote_code=False)
        config = AutoConfig.from_pretrained(options.model, local_files_only=local, trust_remote_code=False)
    _layer_of(config, options)


def _opened(options: BertScoreOptions) -> tuple[Any, Any, int]:
    with _from_hub(options.model):
        import torch
        from transformers import AutoModel, AutoTokenizer

        local = settings().offline
        tokenizer = AutoTokenizer.from_pretrained(
            options.model, local_files_only=local, trust_remote_code=False
        )
        model = AutoModel.from_pretrained(
            options.model, local_files_only=local, trust_remote_code=False, dtype=torch.float32
        )
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return tokenizer, model.to(device).eval(), _layer_of(model.config, options)


@contextmanager
def _from_hub(name: str) -> Iterator[None]:
    """Everything that can go wrong on the way to the model `name` in one sentence."""
    try:
        import torch  # noqa: F401 - a missing package is reported in one sentence
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra("BERTScore needs torch and transformers; `{extra}`.", extra="caption") from None
    try:
        with quiet_transformers():
            yield
    except (OSError, ValueError) as error:
        raise InputError(
            "The BERTScore model {model} cannot be had ({fault}); give a folder in the Hugging Face layout, "
            "or set TETKIK_OFFLINE=false where there is a network.",
            model=name,
            fault=type(error).__name__,
        ) from None


def _layer_of(config: Any, options: BertScoreOptions) -> int:
    layers = int(config.num_hidden_layers)
    layer = options.layer if options.layer is not None else BEST_LAYERS.get(options.model, layers)
    if not 1 <= layer <= layers:
        raise UsageError(
            "The BERTScore model {model} has {layers} layers; --bertscore-layer cannot be {layer}.",
            model=options.model,
            layers=layers,
            layer=layer,
        )
    return layer


def _ids(tokenizer: Any, text: str) -> list[int]:
    longest = min(int(tokenizer.model_max_length), _LONGEST)
    ids: list[int] = tokenizer(text.strip(), truncation=True, max_length=longest)["input_ids"]
    return ids


def _rarity(references: Sequence[Sequence[int]], idf: bool) -> Any:
    """The weight of a word piece: log of (references + 1) over (references that have it + 1), or 1."""
    if not idf:
        return lambda piece: 1.0
    frequency = Counter(piece for row in references for piece in set(row))
    above = len(references) + 1
    return lambda piece: math.log(above / (frequency[piece] + 1))


def _embeddings(model: Any, tokenizer: Any, ids: Sequence[Sequence[int]], layer: int) -> list[Tensor]:
    """The unit embedding of each piece of each text, (pieces, width) each, float32, on the CPU."""
    import torch

    longest = max(len(row) for row in ids)
    filled = torch.full((len(ids), longest), int(tokenizer.pad_token_id or 0))
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for place, row in enumerate(ids):
        filled[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    with torch.inference_mode():
        given = model(
            filled.to(model.device), attention_mask=mask.to(model.device), output_hidden_states=True
        )
        states = torch.nn.functional.normalize(given.hidden_states[layer].float(), dim=-1).cpu()
    return [states[place, : len(row)] for place, row in enumerate(ids)]


def _f_measure(candidate: _Pieces, reference: _Pieces) -> float:
    near = (candidate[0] @ reference[0].T).numpy().astype(np.float64)
    precision = _weighted(near.max(axis=1), candidate[1])
    recall = _weighted(near.max(axis=0), reference[1])
    # A text of the marks of beginning and end alone says nothing.
    if min(near.shape) <= 2 or precision + recall == 0 or math.isnan(precision + recall):
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _weighted(best: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    return float(best @ weight) / total if total > 0 else math.nan


_LONGEST_SCORES = 8
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
            for length in range(1, min(_LONGEST_SCORES, len(words) - start) + 1):
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
            if 0 < len(words) <= _LONGEST_SCORES:
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
