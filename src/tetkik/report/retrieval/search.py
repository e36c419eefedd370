"""Search over the library and a hospital's own documents, and what a draft may cite of them."""

from __future__ import annotations

import hashlib
import io
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import MissingExtra, SettingError
from tetkik.language import Language
from tetkik.networks.huggingface import quiet_transformers
from tetkik.report.passages.documents import little_words
from tetkik.report.passages.store import all_passages, hospital_passages, library, replace_file
from tetkik.settings import settings
from tetkik.turkish import fold
from tetkik.values.finding_labels import finding_label, label_name
from tetkik.values.report import Passage, PassageKind

# BM25 over stems and over groups of letters, with the other names of what a passage is about.
#
# A text is folded words without the little ones. Turkish and English add their endings to the right, so the
# beginning of a word stands for its stem, in either language and in a text that mixes both, as medical
# Turkish does. Folding makes `GÖĞÜS`, `göğüs` and `gogus` one word. Groups of three letters find what
# beginnings do not: compounds, spellings, common roots.
#
# Snowball's stemmers were tried in place of beginnings: no better on the development questions, and worse on
# English definitions.
#
# Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. The gain of a term
# in a text is computed once, when the index is made, so that a search only adds.


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


# Search by meaning: a sentence-embedding model, the mean of its last layer, the cosine.
#
# Reimers and Gurevych, "Sentence-BERT", EMNLP 2019. The vectors of passages are kept beside a hospital's
# documents, so that only what is new is embedded again.


_BATCH = 16
_LONGEST = 512
"""Tokens of a text that are looked at."""

Vectors = NDArray[np.float32]


class Embedder:
    """A transformers encoder as sentence embeddings."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.name = name
        self._model, self._tokenizer = model, tokenizer

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of texts, (n, width), float32, each of length 1."""
        import torch

        rows = []
        longest = min(_LONGEST, getattr(self._model.config, "max_position_embeddings", _LONGEST) - 2)
        for start in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            )
            with torch.inference_mode():
                hidden = self._model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            rows.append(((hidden * mask).sum(1) / mask.sum(1).clamp(min=1)).numpy())
        vectors: Vectors = np.concatenate(rows).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


def open_embedder(name: str) -> Embedder:
    """A model by its hub id or its path; code that comes with a model is never run, pickles are not read.

    Raises MissingExtra without transformers or torch, and SettingError where no such model can be opened.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise MissingExtra(
            "Searching passages by meaning needs transformers; `{extra}`.", extra="torch"
        ) from None
    local = settings().offline
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False)
            model = AutoModel.from_pretrained(
                name, use_safetensors=True, local_files_only=local, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise SettingError(
            "The embedding model {name} cannot be opened ({fault}); correct the setting passages_embedding.",
            name=name,
            fault=type(error).__name__,
        ) from error
    return Embedder(model.eval(), tokenizer, name)


class DenseIndex:
    """Passages that can be searched by meaning."""

    def __init__(self, passages: Sequence[Passage], embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors = _vectors(passages, embedder)

    def nearness(self, query: str) -> Sequence[float]:
        """The cosine of a query and each passage."""
        cosines: list[float] = (self._vectors @ self._embedder.embed([query])[0]).tolist()
        return cosines


def _vectors(passages: Sequence[Passage], embedder: Embedder) -> Vectors:
    texts = [f"{passage.title}. {passage.text}" for passage in passages]
    keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
    model = hashlib.sha256(embedder.name.encode()).hexdigest()[:12]
    file = settings().passages_dir / f"vectors-{model}.npz"
    known = _kept(file)
    new = [place for place, key in enumerate(keys) if key not in known]
    if new:
        made = embedder.embed([texts[place] for place in new])
        known |= {keys[place]: vector for place, vector in zip(new, made, strict=True)}
        packed = io.BytesIO()
        np.savez(
            packed,
            keys=np.array([*dict.fromkeys(keys)]),
            vectors=np.stack([known[key] for key in dict.fromkeys(keys)]),
        )
        replace_file(file, packed.getvalue())
    return np.stack([known[key] for key in keys]) if keys else np.zeros((0, 1), np.float32)


def _kept(file: Path) -> dict[str, Vectors]:
    """Vectors of an earlier time; a file that cannot be read is made anew."""
    try:
        with np.load(file, allow_pickle=False) as table:
            return dict(zip(table["keys"].tolist(), table["vectors"].astype(np.float32), strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}


LONGEST_QUERY = 2000
"""Characters of a query that are looked at."""
FUSION = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

ORDER = (PassageKind.FOLLOW_UP, PassageKind.DEFINITION, PassageKind.SIGNS, PassageKind.DIFFERENTIAL)
"""What matters first to a report about one finding."""
OWN = 3
"""Passages of a hospital's own for one label: those that fit best."""
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class PassageHit:
    """A passage that answers a query; scores are comparable within one search only."""

    passage: Passage
    score: float


class Retriever:
    """Passages that can be searched by their words and, with an index `dense` of them, by their meaning."""

    def __init__(self, passages: Sequence[Passage], dense: DenseIndex | None = None) -> None:
        self.passages = tuple(passages)
        self._lexical = LexicalIndex([passage_fields(passage) for passage in self.passages])
        self._dense = dense

    def search(
        self,
        query: str,
        *,
        language: Language | None = None,
        label: str | None = None,
        kind: PassageKind | None = None,
        limit: int = 5,
    ) -> list[PassageHit]:
        """The passages that answer a query, the best first; equal ones in the order of the library."""
        query = query[:LONGEST_QUERY]
        allowed = [
            place
            for place, passage in enumerate(self.passages)
            if (language is None or passage.language is language)
            and (label is None or passage.label == label)
            and (kind is None or passage.kind is kind)
        ]
        scores = self._lexical.scores(query)
        found = _best([place for place in allowed if scores[place] > 0], scores)
        if self._dense is not None and query.strip():
            near = _best(allowed, self._dense.nearness(query))
            # Reciprocal rank fusion of the two orders.
            scores = [0.0] * len(self.passages)
            for order in (found, near):
                for rank, place in enumerate(order, start=1):
                    scores[place] += 1 / (FUSION + rank)
            found = _best(near, scores)
        return [PassageHit(self.passages[place], scores[place]) for place in found[: max(0, limit)]]


def _best(places: Sequence[int], scores: Sequence[float]) -> list[int]:
    return sorted(places, key=lambda place: -scores[place])


def search(
    query: str,
    *,
    language: Language | None = None,
    label: str | None = None,
    kind: PassageKind | None = None,
    limit: int = 5,
) -> list[PassageHit]:
    """The passages of the library and of the hospital that answer a query; see `Retriever.search`.

    Raises MissingExtra and SettingError where an embedding model is set and cannot be opened.
    """
    retriever = retriever_of(all_passages(), settings().passages_embedding)
    return retriever.search(query, language=language, label=label, kind=kind, limit=limit)


@lru_cache(maxsize=2)
def retriever_of(passages: tuple[Passage, ...], embedding: str | None = None) -> Retriever:
    """A retriever, made once for the same passages; without an embedding model it searches by words alone."""
    if embedding is None:
        return Retriever(passages)

    return Retriever(passages, DenseIndex(passages, open_embedder(embedding)))


def passages_for(labels: Sequence[str], language: Language) -> tuple[Passage, ...]:
    """What a draft about `labels` may cite; a label that the library does not know gives nothing.

    Of each what is usually recommended, what it is, its signs, its differential, in this order; after these,
    of each what the hospital's own documents say of it. A hospital's passage is about a label when it was
    added for it, or when it was added for none and names it.
    """
    wanted = tuple(dict.fromkeys(labels))
    known = {(passage.label, passage.kind): passage for passage in reversed(library(language))}
    found = [known[label, kind] for label in wanted for kind in ORDER if (label, kind) in known]
    if hospital_passages(language):
        # By words alone: a draft does not wait for a model.
        retriever = retriever_of(all_passages())
        for label in wanted:
            names = " ".join(names_of(label, language))
            hits = retriever.search(names, language=language, kind=PassageKind.HOSPITAL, limit=_LOOKED_AT)
            about = [hit.passage for hit in hits if _is_about(hit.passage, label)]
            found += about[:OWN]
    return tuple(dict.fromkeys(found))


def _is_about(passage: Passage, label: str) -> bool:
    if passage.label is not None:
        return passage.label == label
    return names_in(f"{passage.title} {passage.text}", label, passage.language)
