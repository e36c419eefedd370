"""What the cleaning of a table did, in numbers and a few examples: the material of the report."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tetkik import turkish
from tetkik.errors import MissingExtra, TetkikError
from tetkik.lab.engine.results import fields_json
from tetkik.lab.triage.clean.read import Reason, Repair
from tetkik.lab.triage.data import folds, numbered
from tetkik.privacy.rules import Personal
from tetkik.statistics.intervals import Floats, Ints
from tetkik.values.common import ProgressCallback


@dataclass(frozen=True, slots=True)
class FileCount:
    """One input: rows that it had, rows in the clean table, and why it failed, if it did."""

    path: str
    read: int
    kept: int
    failure: TetkikError | None = None


@dataclass(frozen=True, slots=True)
class LabelCount:
    """One department: its rows before and after, and the spellings it came under."""

    name: str
    read: int
    kept: int
    spellings: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RowRef:
    """A row of the clean table: its place in the inputs, its label and its masked text."""

    source: str
    number: int
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class LabelConflict:
    """Two rows of one duplicate group with different labels; `similarity` 1 for equal texts."""

    group: int
    similarity: float
    left: RowRef
    right: RowRef


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """A row whose label is probably wrong, with the label suggested and both probabilities."""

    row: RowRef
    group: int
    suggested: str
    own: float
    other: float


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the search for label errors found."""

    suspects: tuple[SuspectRow, ...]
    # how many rows were judged; 0 where there were too few, None where that was not asked for
    judged: int | None
    agreement: float  # the share of judged rows whose most probable label is their own


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the report shows; `judged` and `agreement` as in `Suspicion`."""

    out: Path
    report: Path
    files: tuple[FileCount, ...]
    read: int
    kept: int
    rejected: Mapping[Reason, int]  # rows left out, by reason; `read` is `kept` and these together
    repairs: Mapping[Repair, int]
    masked: Mapping[Personal, int]
    masked_rows: int
    adverts: int
    labels: tuple[LabelCount, ...]
    other_labels: tuple[tuple[str, int], ...]
    groups: int
    in_groups: int  # rows of the clean table that share their group with another
    conflicts: tuple[LabelConflict, ...]
    suspects: tuple[SuspectRow, ...]
    judged: int | None
    agreement: float
    words: Ints  # words of each text of the clean table, (kept,), int64

    def as_json(self) -> dict[str, Any]:
        return {
            "out": str(self.out),
            "report": str(self.report / "report.html"),
            "read": self.read,
            "kept": self.kept,
            "rejected": {reason.value: count for reason, count in self.rejected.items()},
            "repairs": {repair.value: count for repair, count in self.repairs.items()},
            "masked": {kind.value: count for kind, count in self.masked.items()},
            "masked_rows": self.masked_rows,
            "adverts": self.adverts,
            "labels": [{**fields_json(label), "spellings": dict(label.spellings)} for label in self.labels],
            "other_labels": dict(self.other_labels),
            "groups": self.groups,
            "rows_in_groups": self.in_groups,
            "conflicts": len(self.conflicts),
            "suspects": len(self.suspects) if self.judged else None,
            "judged": self.judged,
            "agreement": round(self.agreement, 4) if self.judged else None,
            "files": [
                {**fields_json(file, "failure"), "error": None if file.failure is None else str(file.failure)}
                for file in self.files
            ],
        }


def by_count(counts: Counter[Any]) -> dict[Any, int]:
    """The counts, largest first, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))))


# Rows whose label the other rows speak against: confident learning (Northcutt et al., JAIR 2021; cleanlab).
#
# The probabilities are out of fold, the folds go by duplicate group (a duplicate in the training part would
# confirm its own label), and come from a light model: TF-IDF of words and word pairs, cut to five folded
# letters, and a logistic regression by averaged stochastic gradient descent, which holds at 300,000 rows.


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
            "Looking for wrong labels needs cleanlab and scikit-learn; run `{extra}`, or add --no-suspects.",
            extra="data",
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
