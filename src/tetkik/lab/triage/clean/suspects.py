"""Rows whose label the other rows speak against: confident learning (Northcutt et al., JAIR 2021; cleanlab).

The probabilities are out of fold, the folds go by duplicate group (a duplicate in the training part would
confirm its own label), and come from a light model: TF-IDF of words and word pairs, cut to five folded
letters, and a logistic regression by averaged stochastic gradient descent, which holds at 300,000 rows.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tetkik import turkish
from tetkik.errors import MissingExtra
from tetkik.lab.triage.clean.summary import RowRef, SuspectRow, Suspicion
from tetkik.lab.triage.data import folds, numbered
from tetkik.statistics import Floats, Ints
from tetkik.values import ProgressCallback

_FOLDS = 5
_FEWEST = 20
"""A label with fewer groups of rows cannot be judged."""
_SURE = 0.8
"""A row is a suspect as well where another label is this probable."""
_FEATURES = 1 << 18
_UPDATES = 1_000_000


def find_suspects(rows: Sequence[RowRef], groups: Ints, progress: ProgressCallback) -> Suspicion:
    """The rows that confident learning takes for label errors; `groups`, (rows,), int64, by duplicate."""
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise MissingExtra(
            "Looking for wrong labels needs cleanlab and scikit-learn; run `pip install 'tetkik[data]'`, "
            "or add --no-suspects."
        ) from None
    pairs = {(group, row.label) for group, row in zip(groups.tolist(), rows, strict=True)}
    counts = Counter(label for _, label in pairs)
    names = sorted(label for label, count in counts.items() if count >= _FEWEST)
    if len(names) < 2:
        return Suspicion((), 0, 0.0)
    kept = [(row, group) for row, group in zip(rows, groups.tolist(), strict=True) if row.label in names]
    judged = [row for row, _ in kept]
    given = numbered([row.label for row in judged], names)
    own_groups = np.array([group for _, group in kept], np.int64)
    probabilities = _out_of_fold([row.text for row in judged], given, own_groups, len(names), progress)
    issues = find_label_issues(given, probabilities, filter_by="prune_by_noise_rate", n_jobs=1)
    best, rank = probabilities.argmax(axis=1), np.arange(len(judged))
    # Where nearly all labels are right, confident learning asks for more than the model can give.
    listed = (best != given) & (np.asarray(issues, bool) | (probabilities[rank, best] >= _SURE))
    own = probabilities[rank, given]
    found = [
        SuspectRow(*kept[i], names[best[i]], float(own[i]), float(probabilities[i, best[i]]))
        for i in sorted(np.flatnonzero(listed).tolist(), key=lambda i: (own[i], i))
    ]
    return Suspicion(tuple(found), len(judged), float((best == given).mean()))


def _terms(text: str) -> list[str]:
    words = [word[:5] for word in turkish.fold(text).split()]
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


def _out_of_fold(
    texts: list[str],
    given: Ints,
    groups: Ints,
    count: int,
    progress: ProgressCallback,
) -> Floats:
    """The probability of each label for each row, from a model that saw neither it nor its group."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import SGDClassifier

    progress("judging labels", 0, _FOLDS + 1)
    counts = HashingVectorizer(
        analyzer=_terms, n_features=_FEATURES, alternate_sign=False, norm=None, dtype=np.float32
    ).transform(texts)
    features: Any = TfidfTransformer(sublinear_tf=True).fit_transform(counts, None)
    progress("judging labels", 1, _FOLDS + 1)
    fold = folds(texts, groups, _FOLDS)
    probabilities = np.zeros((len(texts), count))
    for number in range(_FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        present = np.unique(given[train])
        if test.size and present.size > 1:
            model = SGDClassifier(
                loss="log_loss",
                alpha=max(1e-6, 0.025 / train.size),
                max_iter=int(np.clip(_UPDATES // train.size, 4, 12)),
                tol=None,
                average=True,
                random_state=0,
            ).fit(features[train], given[train])
            probabilities[np.ix_(test, model.classes_)] = model.predict_proba(features[test])
        elif test.size:
            probabilities[test] = 1 / count
        progress("judging labels", number + 2, _FOLDS + 1)
    return probabilities
