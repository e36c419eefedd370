"""Fitting the linear model: choose by cross-validation, calibrate on what was not seen, fit on everything.

Two classifiers are fitted on the same features: multinomial logistic regression, which calibrates well, and a
squared-hinge machine with labels weighted by their rarity, which is the more accurate. Their scores are
added (softmax forgets a row's constant, so the sum is one matrix), the labels' log frequencies are taken off
in part (logit adjustment: Menon et al., ICLR 2021), and a temperature makes the sum a probability.

The regression may also learn invented complaints, at a small weight and with a constant of their own, so that
how often a department is invented does not count. Everything is chosen and calibrated on real rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property, partial
from itertools import count, product
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.results import confusion
from tetkik.lab.triage.data import Complaints, folds, numbered
from tetkik.statistics.intervals import Floats, Ints
from tetkik.triage.calibration import abstain_threshold, fit_temperature, softmax
from tetkik.triage.linear.compiled import ngrams
from tetkik.triage.linear.features import (
    BIAS,
    BUCKETS,
    Featuriser,
    Lexicon,
    Rows,
    Vocabulary,
    builtin,
    grams,
    prepare,
    stride_of,
)
from tetkik.triage.predict import log_odds

# Which features there are, and how rare each is: learned from texts without their labels.


MIN_GROUPS = 5
"""A feature stands in at least that many duplicate groups: with fewer a model could give away words."""
_MOST_FEATURES = 1 << 18
"""Of each kind of n-gram the most frequent that many are kept."""
_CHUNK = 20_000


def learn_features(texts: Sequence[bytes], groups: Ints) -> Featuriser:
    """The featuriser of prepared texts (`features.prepare`); a text that a group has twice counts once."""
    count = len(np.unique(groups))
    characters, words = (_vocabulary(frequency, count) for frequency in document_frequency(texts, groups))
    return Featuriser(characters, words, builtin(), _term_idf(texts, groups, count, builtin()))


def document_frequency(texts: Sequence[bytes], groups: Ints) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """In how many duplicate groups each bucket stands: characters and words, each (2^22,), uint32."""
    order = np.argsort(groups, kind="stable")
    _, number = np.unique(groups, return_inverse=True)
    frequencies = np.zeros(BUCKETS, np.uint32), np.zeros(BUCKETS, np.uint32)
    ordered = [texts[i] for i in order]
    numbers = number[order].astype(np.int32)
    if ngrams is not None:
        ngrams.document_frequency(ordered, numbers, *frequencies)
        return frequencies
    last = [dict[int, int](), dict[int, int]()]
    for text, group in zip(ordered, numbers.tolist(), strict=True):
        for block, bucket, _, _ in grams(text):
            if last[block].get(bucket) != group:
                last[block][bucket] = group
                frequencies[block][bucket] += 1
    return frequencies


def _vocabulary(frequency: NDArray[np.uint32], count: int) -> Vocabulary:
    buckets = np.flatnonzero(frequency >= MIN_GROUPS)
    if len(buckets) > _MOST_FEATURES:
        rarest_last = np.argsort(-frequency[buckets].astype(np.int64), kind="stable")
        buckets = np.sort(buckets[rarest_last[:_MOST_FEATURES]])
    return Vocabulary(buckets.astype(np.uint32), _idf(frequency[buckets], count))


def _idf(frequency: NDArray[np.uint32], count: int) -> NDArray[np.float32]:
    return (np.log((1 + count) / (1 + frequency.astype(np.float64))) + 1).astype(np.float32)


def _term_idf(texts: Sequence[bytes], groups: Ints, count: int, lexicon: Lexicon) -> NDArray[np.float32]:
    nothing = Vocabulary(np.zeros(0, np.uint32), np.zeros(0, np.float32))
    terms = len(lexicon.levels)
    plain = Featuriser(nothing, nothing, lexicon, np.ones(terms, np.float32))
    representatives = np.unique(groups, return_index=True)[1]
    frequency = np.zeros(terms, np.uint32)
    for start in range(0, len(representatives), _CHUNK):
        found = plain.rows([texts[i] for i in representatives[start : start + _CHUNK]]).indices
        frequency += np.bincount(found[found < terms], minlength=terms).astype(np.uint32)
    return np.where(frequency >= MIN_GROUPS, _idf(frequency, count), 0).astype(np.float32)


# Regularised linear classifiers over sparse rows.
#
# minimise  regularisation / 2 * |W|^2  +  sum of cost[label] * loss(row @ W, label)
#
# Both losses are convex and the penalty is strictly so: the answer is unique, and the two solvers here
# agree. The one in C is stochastic dual coordinate ascent, which moves all classes in one visit of a row;
# where the C module was not built, L-BFGS (SciPy) takes its place.


TOLERANCE = 0.03
"""Passes end once the duals move by this share of what they moved in the first pass."""
MAX_PASSES = 60


class Loss(IntEnum):
    """What is minimised; the numbers are those of the C code."""

    SQUARED_HINGE = 0
    """Half the squared hinge, each class against the rest."""
    SOFTMAX = 1
    """Multinomial cross-entropy."""


def solve(
    chunks: Sequence[Rows],
    labels: Sequence[NDArray[np.int32]],
    *,
    columns: int,
    costs: Sequence[NDArray[np.float32]],
    regularisation: float,
    loss: Loss,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Fit one classifier: (columns, stride), float32; columns past the classes are zero.

    Args:
        chunks: the rows, in pieces, so that large data need no second copy.
        labels: the class of each row, piece by piece, int32.
        costs: piece by piece, (classes,), float32: the weight of a row by its class.
        regularisation: strength of the squared penalty on the sum of losses.
    """
    if ngrams is None:
        return _by_lbfgs(chunks, labels, columns, costs, regularisation, loss)
    classes = len(costs[0])
    stride = stride_of(classes)
    weights = np.zeros((columns, stride), dtype=np.float32)
    duals = [np.zeros((len(chunk), stride), dtype=np.float32) for chunk in chunks]
    squares = [np.add.reduceat(chunk.values**2, chunk.indptr[:-1]).astype(np.float32) for chunk in chunks]
    random = np.random.default_rng(seed)
    first = 0.0
    for passes in range(1, MAX_PASSES + 1):
        moved = 0.0
        for number in random.permutation(len(chunks)):
            chunk = chunks[number]
            moved += ngrams.ascend(
                chunk.indptr,
                chunk.indices,
                chunk.values,
                squares[number],
                labels[number],
                costs[number],
                random.permutation(len(chunk)),
                duals[number],
                weights,
                classes,
                stride,
                regularisation,
                int(loss),
            )
        first = first or moved
        tick(passes)
        if moved <= TOLERANCE * first:
            break
    return weights


def _by_lbfgs(
    chunks: Sequence[Rows],
    labels: Sequence[NDArray[np.int32]],
    columns: int,
    costs: Sequence[NDArray[np.float32]],
    regularisation: float,
    loss: Loss,
) -> NDArray[np.float32]:
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix, vstack

    rows = vstack(
        [csr_matrix((c.values, c.indices, c.indptr), shape=(len(c), columns)) for c in chunks], "csr"
    )
    label, classes = np.concatenate(list(labels)), len(costs[0])
    cost = np.concatenate([one[own] for one, own in zip(costs, labels, strict=True)])[:, None]
    own = np.eye(classes)[label]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(columns, classes)
        score = rows @ weights
        if loss is Loss.SOFTMAX:
            score -= score.max(axis=1, keepdims=True)
            log_p = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
            value, slope = -(cost * own * log_p).sum(), cost * (np.exp(log_p) - own)
        else:
            sign = 2 * own - 1
            short = np.maximum(0, 1 - sign * score)
            value, slope = 0.5 * (cost * short**2).sum(), -cost * sign * short
        gradient = rows.T @ slope + regularisation * weights
        return float(value + 0.5 * regularisation * (weights**2).sum()), gradient.ravel()

    start = np.zeros(columns * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-4})
    weights = np.zeros((columns, stride_of(classes)), dtype=np.float32)
    weights[:, :classes] = found.x.reshape(columns, classes)
    return weights


INNER_FOLDS = 8
"""Many, so that the temperature is fitted on models of nearly as many rows as the last one."""
HOLDOUT_FROM = 20_000
"""From this many rows on, one tenth is held out to choose and calibrate on, instead of cross-validation."""
_RARITY = 0.4
"""The hinge machine weights a label by (rows / its rows) to this power."""

Remember = Callable[[str, Callable[[], NDArray[np.float32]]], NDArray[np.float32]]
"""Gives the array of that name, from disk where an interrupted training left it, else by calling."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings chosen on held-out rows: the machine's share, and that of log frequencies taken off."""

    softmax: float = 1.0
    hinge: float = 2.0
    mix: float = 2.0
    prior: float = 0.25
    invented: float = 0.0  # the weight of an invented complaint in the regression; a real one's is 1


SOFTMAX = (0.5, 1.0)
HINGE = (2.0, 4.0)
MIX = (0.0, 1.0, 2.0, 3.0)
PRIOR = (0.0, 0.15, 0.3)
INVENTED = (0.1,)
"""Weights of invented complaints that are tried, where there are any; that of a real one is 1. (0.2 was
offered too and never chosen.)"""
MIX_INVENTED = (0.0, 1.0)
"""The machine's shares beside them: with more of it, short phrases lose half of what they gained."""
DEFAULT = Choice()
_ANSWERED = 0.92
"""The share of held-out rows that get an answer."""


class Member(NamedTuple):
    """A classifier: its loss, its regularisation, and how much an invented complaint weighs."""

    loss: Loss
    regularisation: float
    invented: float = 0.0

    @property
    def name(self) -> str:
        """As the file of an interrupted training is called."""
        return "-".join(map(str, (self.loss.name.lower(), *self[1:])))


Scores = dict[Member, NDArray[np.float32]]
"""What classifiers say of rows that they had not seen: (rows, labels) each."""


@dataclass(frozen=True, slots=True)
class Invented:
    """Prepared texts that are learned but never measured on, each with the index of its label."""

    texts: tuple[bytes, ...] = ()
    truth: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts ready to learn from: prepared (`features.prepare`), each with the index of its label."""

    texts: tuple[bytes, ...]
    truth: Ints
    groups: Ints  # (texts,), int64, duplicate group
    folds: Ints  # (texts,), int64, inner fold by group
    labels: tuple[str, ...]
    invented: Invented = Invented()

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        truth: Ints,
        groups: Ints,
        labels: tuple[str, ...],
        invented: Complaints | None = None,
    ) -> Corpus:
        """Prepare texts and deal them out into inner folds."""
        inner = folds(texts, groups, 10 if len(texts) >= HOLDOUT_FROM else INNER_FOLDS)
        more = Invented()
        if invented is not None:
            known = tuple(prepare(text) for text in invented.texts)
            more = Invented(known, numbered(invented.labels, labels))
        return cls(tuple(prepare(text) for text in texts), truth, groups, inner, labels, more)

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: Ints) -> Corpus:
        return Corpus(
            tuple(self.texts[i] for i in rows),
            self.truth[rows],
            self.groups[rows],
            self.folds[rows],
            self.labels,
            self.invented,
        )

    def learn_features(self) -> Featuriser:
        """Those of all its texts; each invented one is a group of its own."""
        first = int(self.groups.max(initial=-1)) + 1
        others = np.arange(first, first + len(self.invented.texts))
        return learn_features((*self.texts, *self.invented.texts), np.concatenate([self.groups, others]))

    @property
    def log_frequency(self) -> Floats:
        """(labels,): the log of each label's share, with one row added to each."""
        count = np.bincount(self.truth, minlength=len(self.labels)) + 1.0
        frequency: Floats = np.log(count / count.sum())
        return frequency

    def costs(self, rarity: float) -> NDArray[np.float32]:
        """(labels,), float32: the weight of a row by its label, with mean 1 over rows."""
        count = np.maximum(np.bincount(self.truth, minlength=len(self.labels)), 1).astype(np.float64)
        weight = (len(self) / count) ** rarity
        costs: NDArray[np.float32] = (weight / weight[self.truth].mean()).astype(np.float32)
        return costs


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted model and how it did on rows that it had not seen."""

    featuriser: Featuriser
    weights: NDArray[np.float32]  # (columns, stride), float32, prior shift and temperature in them
    choice: Choice
    temperature: float
    abstain: float  # the top probability under which to abstain
    held_out: Ints  # (rows,), the rows that chose and calibrated
    # (held-out rows, labels), float64, of models that had not seen those rows, with what `adjust_for_age`
    # makes of them
    probabilities: Floats


def unknown_words(corpus: Corpus, fitted: Fitted) -> Floats:
    """The share of each held-out row's words, (rows,), that the rows it was held out from do not know."""
    held = corpus.only(fitted.held_out)
    if len(held) < len(corpus):
        return fitted.featuriser.unknown(held.texts)
    shares = np.zeros(len(held))
    for fold in set(held.folds.tolist()):
        rows, others = np.flatnonzero(held.folds == fold), held.only(np.flatnonzero(held.folds != fold))
        known = others.learn_features()
        shares[rows] = known.unknown(held.only(rows).texts)
    return shares


class _Part:
    """The rows that one set of classifiers is trained on, made ready when first needed."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    @cached_property
    def featuriser(self) -> Featuriser:
        return self._corpus.learn_features()

    @cached_property
    def _chunks(self) -> list[slice]:
        return [slice(start, start + _CHUNK) for start in range(0, len(self._corpus), _CHUNK)]

    @cached_property
    def _rows(self) -> list[Rows]:
        return [self.featuriser.rows(self._corpus.texts[chunk]) for chunk in self._chunks]

    @cached_property
    def _invented(self) -> Rows:
        return _with_constant(self.featuriser.rows(self._corpus.invented.texts), self.featuriser.columns + 1)

    def prepare(self) -> None:
        """Make the rows ready now, before several threads ask for them."""
        _ = self._rows, self._invented

    def weights(
        self, member: Member, tick: Callable[[int], None] = lambda passes: None
    ) -> NDArray[np.float32]:
        """Train one classifier: (columns, stride), float32. `tick` is called with the passes done."""
        loss, regularisation, invented = member
        rows, columns = self._rows, self.featuriser.columns
        truth = [self._corpus.truth[chunk].astype(np.int32) for chunk in self._chunks]
        costs = [self._corpus.costs(_RARITY if loss is Loss.SQUARED_HINGE else 0.0)] * len(rows)
        if invented:
            rows = [_with_constant(chunk, columns) for chunk in rows] + [self._invented]
            truth.append(self._corpus.invented.truth.astype(np.int32))
            costs.append(np.full(len(self._corpus.labels), invented, np.float32))
            columns += 2
        weights = solve(
            rows,
            truth,
            columns=columns,
            costs=costs,
            regularisation=regularisation,
            loss=loss,
            tick=tick,
        )
        if invented:
            weights[-3] += weights[-2]
        return weights[: self.featuriser.columns]

    def scores(self, others: Corpus, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scores of other rows: (rows, labels), float32."""
        return self.featuriser.scores(list(others.texts), weights)[:, : len(others.labels)]


def _with_constant(rows: Rows, column: int) -> Rows:
    """The rows with one more column, `BIAS` in each."""
    ends = rows.indptr[1:]
    return Rows(
        rows.indptr + np.arange(len(rows) + 1),
        np.insert(rows.indices, ends, np.int32(column)),
        np.insert(rows.values, ends, np.float32(BIAS)),
    )


def fit(
    corpus: Corpus,
    *,
    remember: Remember = lambda name, compute: compute(),
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> Fitted:
    """Choose, calibrate and fit; from 20,000 rows on a tenth of them is only chosen and calibrated on.

    `remember` keeps finished pieces across an interruption; `tick` gets the pieces done, and all.
    """
    if len(corpus) >= HOLDOUT_FROM:
        return _fit_holding_out(corpus, tick)
    return _fit_cross_validating(corpus, remember, tick)


def _fit_holding_out(corpus: Corpus, tick: Callable[[int, int], None]) -> Fitted:
    held = np.flatnonzero(corpus.folds == 0)
    others = corpus.only(held)
    part = _Part(corpus.only(np.flatnonzero(corpus.folds != 0)))
    default = replace(DEFAULT, mix=1.0, invented=INVENTED[0]) if corpus.invented.texts else DEFAULT
    weights = _train_side_by_side(part, _members(default))
    tick(1, 1)
    scores = {member: part.scores(others, found) for member, found in weights.items()}
    calibrated = _calibrate(others, scores, corpus.log_frequency)
    return _assemble(part.featuriser, weights, calibrated, corpus.log_frequency, held)


def _train_side_by_side(part: _Part, members: Sequence[Member]) -> dict[Member, NDArray[np.float32]]:
    """Train each in a thread of its own; what ends one (Ctrl-C, say) ends all at their next pass."""
    part.prepare()
    stop = Event()

    def go_on(passes: int) -> None:
        if stop.is_set():
            raise CancelledError

    with ThreadPoolExecutor(len(members)) as pool:
        futures = [pool.submit(part.weights, member, go_on) for member in members]
        try:
            return {member: future.result() for member, future in zip(members, futures, strict=True)}
        except BaseException:
            stop.set()
            raise


def _fit_cross_validating(corpus: Corpus, remember: Remember, tick: Callable[[int, int], None]) -> Fitted:
    if corpus.invented.texts:
        members = [Member(Loss.SOFTMAX, DEFAULT.softmax, weight) for weight in INVENTED]
        members.append(Member(Loss.SQUARED_HINGE, DEFAULT.hinge))
    else:
        members = [Member(Loss.SOFTMAX, value) for value in SOFTMAX]
        members += [Member(Loss.SQUARED_HINGE, value) for value in HINGE]
    inner = sorted(set(corpus.folds.tolist()))
    total = len(members) * len(inner) + 1
    scores = {member: np.zeros((len(corpus), len(corpus.labels)), np.float32) for member in members}
    steps = count(1)
    for fold in inner:
        held = np.flatnonzero(corpus.folds == fold)
        others, part = corpus.only(held), _Part(corpus.only(np.flatnonzero(corpus.folds != fold)))
        for member in members:
            name = f"fold{fold}-{member.name}"
            scores[member][held] = remember(name, partial(_train_and_score, part, member, others))
            tick(next(steps), total)
    calibrated = _calibrate(corpus, scores, corpus.log_frequency)
    whole = _Part(corpus)
    weights: dict[Member, NDArray[np.float32]] = {}
    for member in _members(calibrated.choice):
        weights[member] = whole.weights(member)
    tick(total, total)
    return _assemble(whole.featuriser, weights, calibrated, corpus.log_frequency, np.arange(len(corpus)))


def _train_and_score(part: _Part, member: Member, others: Corpus) -> NDArray[np.float32]:
    return part.scores(others, part.weights(member))


def _members(choice: Choice) -> list[Member]:
    machine = [Member(Loss.SQUARED_HINGE, choice.hinge)] if choice.mix else []
    return [Member(Loss.SOFTMAX, choice.softmax, choice.invented), *machine]


def _mixed(choice: Choice, of: Mapping[Member, NDArray[np.float32]]) -> Floats:
    """The scores, or the weights, of a choice before prior and temperature, float64."""
    regression, *machine = (of[member].astype(np.float64) for member in _members(choice))
    return regression + choice.mix * machine[0] if machine else regression


@dataclass(frozen=True, slots=True)
class _Calibrated:
    choice: Choice
    temperature: float
    probabilities: Floats


def _calibrate(corpus: Corpus, scores: Scores, log_frequency: Floats) -> _Calibrated:
    """Choose the settings, and the temperature of what will be shown, on scores of unseen rows.

    Best is the highest accuracy + macro-F1 - log-loss at the best temperature: the first two are what the
    model is used for, and the third, which every row moves a little, keeps the choice from following noise.
    """
    truth = corpus.truth
    offset = log_odds([text.decode("ascii") for text in corpus.texts], corpus.labels)

    def calibrated(choice: Choice) -> _Calibrated:
        logits = _mixed(choice, scores) - choice.prior * log_frequency
        temperature = fit_temperature(logits, truth, offset)
        return _Calibrated(choice, temperature, softmax(logits / temperature + offset))

    def worth(found: _Calibrated) -> float:
        probabilities = found.probabilities
        log_loss = -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean()
        counts = confusion(truth, probabilities.argmax(axis=1), len(corpus.labels))
        return _accuracy_and_f1(counts) - float(log_loss)

    regressions = [member for member in scores if member.loss is Loss.SOFTMAX]
    machines = [member.regularisation for member in scores if member.loss is Loss.SQUARED_HINGE]
    shares = MIX_INVENTED if corpus.invented.texts else MIX
    choices = (
        Choice(first.regularisation, hinge, mix, prior, first.invented)
        for first, hinge, mix, prior in product(regressions, machines, shares, PRIOR)
    )
    return max(map(calibrated, choices), key=worth)


def _accuracy_and_f1(counts: Ints) -> float:
    right, true, chosen = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    f1 = 2 * right / np.maximum(true + chosen, 1)
    return float(right.sum() / counts.sum() + f1[true > 0].mean())


def _assemble(
    featuriser: Featuriser,
    weights: dict[Member, NDArray[np.float32]],
    calibrated: _Calibrated,
    log_frequency: Floats,
    held_out: Ints,
) -> Fitted:
    choice = calibrated.choice
    mixed = _mixed(choice, weights).astype(np.float32)
    shift = np.zeros(stride_of(len(log_frequency)))
    shift[: len(log_frequency)] = choice.prior * log_frequency
    mixed[-1] -= (shift / BIAS).astype(np.float32)
    return Fitted(
        featuriser,
        (mixed / calibrated.temperature).astype(np.float32),
        choice,
        calibrated.temperature,
        abstain_threshold(calibrated.probabilities.max(axis=1), _ANSWERED),
        held_out,
        calibrated.probabilities,
    )
