"""A linear head that names the concepts of an image: ridge regression on what the frozen vision tower sees.

Hoerl and Kennard, "Ridge regression", Technometrics 1970, of 0 and 1 for each concept; solved exactly, with
the penalty and the threshold that give the best micro-F1 on rows left out by cases. Training prompts have
what a head says that did not learn from the case, or the captioner would learn to trust the head too much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.concepts import ConceptHead
from tetkik.errors import DataError
from tetkik.lab.caption.data import is_cui
from tetkik.lab.caption.prepared import Part, Prepared
from tetkik.statistics import Floats, Ints

LEAST = 10
"""Training rows that a concept needs."""
_MOST = 1000
"""Concepts, the most frequent first."""
_FOLDS = 5
_PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""In units of the mean variance of a feature."""
_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class ConceptFigures:
    """How well the head names the concepts of validation rows, over all names; None where there are none."""

    concepts: int
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


def names_in(prepared: Prepared, part: Part) -> list[frozenset[str]]:
    """What the concepts of each row are called, without those that have no name."""
    known = prepared.concept_names()
    named = {
        concept: " ".join(known.get(concept, "" if is_cui(concept) else concept).split())
        for concept in {concept for row in part.concepts for concept in row}
    }
    return [frozenset(named[concept] for concept in row if named[concept]) for row in part.concepts]


def head_names(prepared: Prepared, rows: Sequence[frozenset[str]]) -> tuple[str, ...]:
    """The names that a head can learn from training rows.

    Raises:
        DataError: there is none.
    """
    counts = Counter(name for row in rows for name in sorted(row))
    names = tuple(name for name, count in counts.most_common(_MOST) if count >= LEAST)
    if not names:
        raise DataError(
            "{folder} has no concept with a name that {least} training rows have; leave out --concepts, or "
            "prepare a source with concepts.",
            folder=prepared.folder,
            least=LEAST,
        )
    return names


def fit_concepts(
    seen: NDArray[np.float32], hot: NDArray[np.bool_], groups: Ints, names: Sequence[str], count: int
) -> tuple[ConceptHead, list[list[str]]]:
    """The head, and what one that left out the row's fold says of each training row.

    Args:
        seen: (rows, width), the embeddings of the training images.
        hot: (rows, concepts), which concepts each has.
        groups: (rows,), what must not be on both sides.
        names: of the concepts.
        count: names to say of an image at most.
    """
    distinct, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(distinct))[group] % _FOLDS
    sums = [_sums(seen[fold == place], hot[fold == place]) for place in range(_FOLDS)]
    gram, cross = (np.sum([one[kind] for one in sums], axis=0) for kind in (0, 1))
    best: tuple[float, ConceptHead, NDArray[np.float32], Ints] | None = None
    shape = len(seen), min(count, len(names))
    for penalty in _PENALTIES:
        scores, columns = np.empty(shape, np.float32), np.empty(shape, np.int64)
        for place, (own_gram, own_cross) in enumerate(sums):
            head = _solved(gram - own_gram, cross - own_cross, penalty, names, count)
            scores[fold == place], columns[fold == place] = _best_of(head, seen[fold == place])
        f1, threshold = _threshold(scores, np.take_along_axis(hot, columns, axis=1), int(hot.sum()))
        if best is None or f1 > best[0]:
            head = replace(_solved(gram, cross, penalty, names, count), threshold=threshold)
            best = f1, head, scores, columns
    assert best is not None
    _, head, scores, columns = best
    return head, head.named(scores, columns)


def concept_figures(
    head: ConceptHead, seen: NDArray[np.float32], rows: Sequence[frozenset[str]]
) -> ConceptFigures:
    """What the head is worth on other rows; concepts that it has not learned count as missed."""
    named = [set(names) for names in head.names_of(seen)] if len(seen) else []
    right = sum(len(names & true) for names, true in zip(named, rows, strict=True))
    given, wanted = sum(map(len, named)), sum(map(len, rows))
    return ConceptFigures(
        len(head.names),
        len(rows),
        right / given if given else None,
        right / wanted if wanted else None,
        2 * right / (given + wanted) if given + wanted else None,
    )


def hot_of(rows: Sequence[frozenset[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """(rows, names), which of them each row has."""
    place = {name: column for column, name in enumerate(names)}
    hot = np.zeros((len(rows), len(names)), np.bool_)
    for row, has in enumerate(rows):
        hot[row, [place[name] for name in has if name in place]] = True
    return hot


def _sums(seen: NDArray[np.float32], hot: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The products of features and a 1 with themselves, and with the concepts."""
    width = seen.shape[1] + 1
    gram, cross = np.zeros((width, width)), np.zeros((width, hot.shape[1]))
    for start in range(0, len(seen), _BLOCK):
        block = seen[start : start + _BLOCK].astype(np.float64)
        block = np.concatenate([block, np.ones((len(block), 1))], axis=1)
        gram += block.T @ block
        cross += block.T @ hot[start : start + _BLOCK]
    return gram, cross


def _solved(gram: Floats, cross: Floats, penalty: float, names: Sequence[str], count: int) -> ConceptHead:
    rows = max(gram[-1, -1], 1.0)
    variance = float(np.mean(np.diag(gram)[:-1] - gram[-1, :-1] ** 2 / rows))
    shrunk = np.full(len(gram), penalty * max(variance, 1e-9))
    shrunk[-1] = 1e-9  # the intercept is not drawn to 0
    solution = np.linalg.solve(gram + np.diag(shrunk), cross).astype(np.float32)
    return ConceptHead(solution[:-1], solution[-1], tuple(names), 0.0, count)


def _best_of(head: ConceptHead, seen: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints]:
    """As `ConceptHead.best`, of many rows."""
    starts = range(0, max(1, len(seen)), _BLOCK)
    scores, columns = zip(*(head.best(seen[start : start + _BLOCK]) for start in starts), strict=True)
    return np.concatenate(scores), np.concatenate(columns)


def _threshold(scores: NDArray[np.float32], right: NDArray[np.bool_], wanted: int) -> tuple[float, float]:
    """The best micro-F1, and the score from which names are said for it."""
    order = np.argsort(-scores, axis=None, kind="stable")
    hits = np.cumsum(right.ravel()[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + wanted)
    best = int(f1.argmax())
    return float(f1[best]), float(scores.ravel()[order[best]])
