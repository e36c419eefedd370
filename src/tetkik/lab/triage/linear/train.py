"""`triage train --kind linear`: from a table of complaints to a bundle."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import (
    REFERENCE_COMPLAINTS,
    Bundle,
    CardSection,
    Manifest,
    Metric,
    Task,
    finish_bundle,
    open_bundle,
    staged_folder,
)
from tetkik.bundle.card import card_words, in_own_language
from tetkik.errors import DataError, MissingExtra
from tetkik.lab.engine.card import made_today, markdown_table, read_card
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.engine.learned_rows import LearnedRows
from tetkik.lab.triage.data import Complaints, fingerprint, folds, in_order, numbered
from tetkik.lab.triage.evaluation_page import warn_of_collapse
from tetkik.lab.triage.linear.fit import (
    HOLDOUT_FROM,
    INNER_FOLDS,
    MIN_GROUPS,
    Corpus,
    Fitted,
    Remember,
    fit,
    unknown_words,
)
from tetkik.lab.triage.reference import OutOfFold, ReferenceComplaints, make_reference
from tetkik.lab.triage.summaries import Judged, measured
from tetkik.language import Sentence
from tetkik.statistics import Floats, Ints
from tetkik.triage.calibration import softmax
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.predict import Triage, log_odds, urgency_reader
from tetkik.values import ProgressCallback

OUTER_FOLDS = 5
LEAST_GROUPS = 10
"""A label needs that many distinct complaints: fewer leave some fold without one."""


_NESTED = "nested {folds}-fold cross-validation by duplicate group"
_OUT_OF_FOLD = (
    "out of fold, {folds} folds by duplicate group, each complaint answered by models of the same recipe "
    "that had not learned it"
)
_OPTIMISM = (
    "Every setting and the temperature were chosen inside the training part of each fold. What kinds of "
    "features there are was decided before; where that was done looking at the same data, expect a little "
    "optimism."
)


@dataclass(frozen=True, slots=True)
class LinearOptions:
    """Settings of one training."""

    id: str = "triage-linear"
    # whether to measure the figures of the card by nested cross-validation (five more trainings)
    assess: bool = True
    deduplicate: bool = True  # whether to look for near duplicates; off, every row is a group of its own
    resume: bool = False
    licence: str = "unknown"
    data_name: str = "training table"
    # most held-out complaints that the reference for drift is taken from; 0 writes none
    reference: int = REFERENCE_COMPLAINTS


def train_linear(
    complaints: Complaints,
    out: Path,
    options: LinearOptions,
    progress: ProgressCallback,
    invented: Complaints | None = None,
) -> Bundle:
    """Train, measure and write the bundle `out`; `invented` complaints are learned, but not measured on.

    An interrupted training leaves its finished pieces in `.NAME.training` beside `out`; `options.resume` uses
    them, and the result is the same as without the interruption.

    Raises:
        DataError: one label only, or labels with too few distinct complaints.
        MissingExtra: SciPy is not installed.
        OutputError: `out` is taken.
    """
    corpus = _corpus(complaints, options.deduplicate, invented)
    identity = fingerprint(complaints) + (fingerprint(invented) if invented else "")
    work = WorkFolder.beside(out)
    with staged_folder(out) as stage:
        remember = _memory(work, identity, options.resume)
        outer = folds(complaints.texts, corpus.groups, OUTER_FOLDS)
        large = len(corpus) >= HOLDOUT_FROM
        rounds = 1 + (OUTER_FOLDS if options.assess and not large else 0)

        def tick(done: int, piece: int, pieces: int) -> None:
            progress("train", done * pieces + piece, rounds * pieces)

        judged: Judged | None = None
        split: tuple[Sentence, ...] = ()
        if options.assess and not large:
            probabilities = nested_probabilities(corpus, outer, remember, tick)
            split = (Sentence(_NESTED, {"folds": OUTER_FOLDS}),)
            judged = Judged(corpus.labels, corpus.truth, probabilities, corpus.groups)
        fitted = fit(corpus, remember=_prefixed(remember, "all"), tick=partial(tick, rounds - 1))
        if large:
            held = corpus.only(fitted.held_out)
            split = (Sentence("the tenth that chose mix, prior shift and temperature (a little optimistic)"),)
            judged = Judged(corpus.labels, held.truth, fitted.probabilities, held.groups)
        metrics: tuple[Metric, ...] = ()
        if judged is not None:
            metrics = measured(judged, split=split, data=options.data_name)
            warn_of_collapse(judged)
        manifest = _manifest(fitted, corpus, complaints, invented, options, metrics)
        model = LinearModel(manifest, fitted.featuriser, fitted.weights)
        model.save(stage)
        LearnedRows.of(identity, (*complaints.texts, *(invented.texts if invented else ()))).write(stage)
        reference = None
        if options.reference:
            others = _held_out(complaints, corpus, fitted).some(options.reference)
            reference = make_reference(
                Triage(model, reader=urgency_reader()), others, options.data_name, progress
            )
        finish_bundle(stage, manifest, *_card(fitted, corpus, split), reference)
    work.remove()
    return open_bundle(out)


def nested_probabilities(
    corpus: Corpus, outer: Ints, remember: Remember, tick: Callable[[int, int, int], None]
) -> Floats:
    """Probabilities of each row, (rows, labels), from a model chosen, calibrated and fitted without its fold.

    `outer`, (rows,), is the fold of each; `tick` is called with (fold, pieces done, pieces in all of it).
    """
    probabilities = np.zeros((len(corpus), len(corpus.labels)))
    for fold in range(int(outer.max()) + 1):
        held, others = np.flatnonzero(outer == fold), corpus.only(np.flatnonzero(outer != fold))
        fitted = fit(others, remember=_prefixed(remember, f"outer{fold}"), tick=partial(tick, fold))
        texts = [corpus.texts[i] for i in held]
        scores = fitted.featuriser.scores(texts, fitted.weights)
        offset = log_odds([text.decode("ascii") for text in texts], corpus.labels)
        probabilities[held] = softmax(scores[:, : len(corpus.labels)] + offset)
    return probabilities


def out_of_fold(
    complaints: Complaints, tick: Callable[[int, int], None], invented: Complaints | None = None
) -> ReferenceComplaints:
    """Train again on the same complaints, for what models say of them that had not learned them."""
    corpus = _corpus(complaints, True, invented)
    return _held_out(complaints, corpus, fit(corpus, tick=tick))


def unlearned(
    bundle: Bundle,
    complaints: Complaints,
    split: tuple[Sentence, ...],
    tick: Callable[[int, int], None],
    invented: Complaints | None = None,
) -> ReferenceComplaints:
    """Complaints of which the model has an honest opinion; `split` says which part of the data they are.

    Of those that it learned itself, which its manifest's digest tells, models of the same recipe are asked
    that were trained without them; `tick` is called with (pieces done, pieces in all).

    Raises:
        DataError: it learned them, and is of a kind that takes too long to train again, or learned invented
            ones beside them that `invented` is not.
    """
    if fingerprint(complaints) != bundle.manifest.training.get("data_sha256"):
        return ReferenceComplaints(complaints.texts, complaints.labels, split)
    if bundle.manifest.kind != "linear":
        raise DataError(
            "The model learned these very complaints, and of them it is too sure; give others, which it has "
            "not seen."
        )
    if bundle.manifest.training.get("invented_sha256") != (fingerprint(invented) if invented else None):
        raise DataError(
            "The model learned invented complaints beside these; give the same ones with --invented."
        )
    return out_of_fold(complaints, tick, invented)


def _held_out(complaints: Complaints, corpus: Corpus, fitted: Fitted) -> ReferenceComplaints:
    rows = complaints.only(fitted.held_out)
    split = (
        Sentence(_OUT_OF_FOLD, {"folds": INNER_FOLDS})
        if len(rows) == len(corpus)
        else Sentence("the tenth, held out by duplicate group, that chose mix, prior shift and temperature")
    )
    others = OutOfFold(fitted.probabilities, unknown_words(corpus, fitted))
    return ReferenceComplaints(rows.texts, rows.labels, (split,), others)


def _corpus(complaints: Complaints, deduplicate: bool, invented: Complaints | None = None) -> Corpus:
    if find_spec("scipy") is None:
        raise MissingExtra("Training needs SciPy; `{extra}`.", extra="train")
    groups = duplicate_texts(complaints.texts, near=deduplicate)
    labels = _labels(complaints, groups)
    return Corpus.of(complaints.texts, numbered(complaints.labels, labels), groups, labels, invented)


def _labels(complaints: Complaints, groups: Ints) -> tuple[str, ...]:
    distinct = Counter(label for label, _ in set(zip(complaints.labels, groups.tolist(), strict=True)))
    if len(distinct) < 2:
        raise DataError(
            "The data have one department only ({label}), and a model needs two to tell apart; add others.",
            label=next(iter(distinct)),
        )
    if rare := sorted(label for label, count in distinct.items() if count < LEAST_GROUPS):
        raise DataError(
            "These departments have fewer than {least} distinct complaints: {rare}; add some, merge them "
            "into others with `triage clean --departments`, or leave their rows out.",
            least=LEAST_GROUPS,
            rare=", ".join(rare)[:300],
        )
    return in_order(distinct)


def _memory(work: WorkFolder, identity: str, resume: bool) -> Remember:
    note = work.path / "data.json"
    same = note.is_file() and json.loads(note.read_text("utf-8")).get("sha256") == identity
    if not (resume and same):
        work.remove()
    work.path.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"sha256": identity}), encoding="utf-8")

    def remember(name: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        file = work.path / f"{name}.npy"
        if not file.is_file():
            content = io.BytesIO()
            np.save(content, compute())
            work.write(file.name, content.getvalue())
        found: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return found

    return remember


def _prefixed(remember: Remember, prefix: str) -> Remember:
    return lambda name, compute: remember(f"{prefix}-{name}", compute)


def _manifest(
    fitted: Fitted,
    corpus: Corpus,
    complaints: Complaints,
    invented: Complaints | None,
    options: LinearOptions,
    metrics: tuple[Metric, ...],
) -> Manifest:
    counts = np.bincount(corpus.truth, minlength=len(corpus.labels))
    return Manifest(
        **made_today(options.id, options.licence, ("numpy", "scipy")),
        task=Task.TRIAGE,
        kind="linear",
        labels=corpus.labels,
        preprocessing={
            "text": "folded to ASCII lower case by the Turkish rule",
            "features": {
                "characters": len(fitted.featuriser.characters.buckets),
                "words": len(fitted.featuriser.words.buckets),
                "terms": int((fitted.featuriser.term_idf > 0).sum()),
            },
            "least_groups_of_a_feature": MIN_GROUPS,
        },
        thresholds={"abstain": round(fitted.abstain, 6)},
        calibration={"method": "temperature", "temperature": fitted.temperature},
        metrics=metrics,
        training={
            **asdict(fitted.choice),
            "rows": len(corpus),
            "groups": len(np.unique(corpus.groups)),
            "rows_by_label": dict(zip(corpus.labels, counts.tolist(), strict=True)),
            "rows_left_out": complaints.left_out,
            "data_sha256": fingerprint(complaints),
            **(
                {"invented_rows": len(invented), "invented_sha256": fingerprint(invented)} if invented else {}
            ),
        },
    )


def _card(fitted: Fitted, corpus: Corpus, split: tuple[Sentence, ...]) -> tuple[str, list[CardSection]]:
    counts = np.bincount(corpus.truth, minlength=len(corpus.labels)).tolist()
    return read_card(
        "tetkik.lab.triage.linear",
        rows=len(corpus),
        groups=len(np.unique(corpus.groups)),
        table=markdown_table(card_words("label", "rows"), zip(corpus.labels, counts, strict=True)),
        judged=in_own_language(split) if split else card_words("none were measured")[0],
        optimism=f" {card_words(_OPTIMISM)[0]}" if split and split[0].template == _NESTED else "",
        abstain=fitted.abstain,
        invented=len(corpus.invented.texts),
        weight=fitted.choice.invented,
        least=MIN_GROUPS,
    )
