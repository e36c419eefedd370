"""The bundle of a training: the network as ONNX, the manifest with its figures, the card, the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.bundle import (
    ImageReference,
    Manifest,
    Task,
    finish_bundle,
    open_bundle,
    staged_folder,
    write_manifest,
)
from tetkik.choices import Device
from tetkik.errors import BundleError, TrainingError
from tetkik.findings.networks import FAMILIES
from tetkik.findings.networks.encoder import ENCODER
from tetkik.findings.onnx_model import OrtSession
from tetkik.findings.predict import load_findings
from tetkik.lab.engine.card import made_today, model_id, rows_csv
from tetkik.lab.engine.charts import csv_text, decimals, training_curves
from tetkik.lab.engine.learned_rows import LearnedRows, Pictures
from tetkik.lab.engine.session import write_log
from tetkik.lab.findings.export import LARGEST_HALF_DIFFERENCE, to_onnx, write_torch
from tetkik.lab.findings.reference import ReferenceImages, make_reference
from tetkik.lab.findings.summaries import metrics_of, source_metrics, words_separate
from tetkik.lab.findings.training.card import LIBRARIES, make_card
from tetkik.lab.findings.training.data import logits_of, network_input, plain
from tetkik.lab.findings.training.fit import TrainingResult
from tetkik.lab.findings.training.held_out import HeldOut
from tetkik.lab.findings.training.options import IMAGENET, RANDOM, TrainingOptions
from tetkik.lab.findings.training.runs import PreparedTraining, data_digest, label_network, shipped_networks
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.language import Sentence, translate
from tetkik.networks.huggingface import model_folder
from tetkik.settings import settings
from tetkik.values import ProgressCallback, label_name

log = logging.getLogger("tetkik.lab.findings")

HUGGING_FACE = "huggingface"
"""The kind of a bundle whose network is one of transformers."""
_AGES = (0.5, 99.5)
"""Percentiles of the ages trained on that the bundle gives as its range; the rest are mistyped or rare."""
_FEWEST_AGES = 30
_BATCH = 256
_COMPARED = 16


def write_bundle(
    prepared: PreparedTraining, result: TrainingResult, out: Path, progress: ProgressCallback
) -> None:
    """Export, measure, and write the bundle and the log beside it."""
    config, options = prepared.config, result.options
    progress("export", 0, 3)
    networks = shipped_networks(config, result.members)
    _warn_of_collapse(prepared, result)
    with staged_folder(out) as stage:
        exported = to_onnx(
            networks,
            stage / "model.onnx",
            size=config.preprocessing.size,
            channels=config.preprocessing.channels,
            half=options.half,
        )
        held_out_difference = check_scores(prepared, result, stage / "model.onnx")
        progress("export", 1, 3)
        if options.keep_torch and len(networks) == 1:
            write_torch(networks[0], prepared.config.preprocessing, stage)
        manifest = _manifest(prepared, result, out, exported.difference, held_out_difference)
        progress("export", 2, 3)
        learned_rows(prepared).write(stage)
        write_manifest(stage, manifest)
        reference = _reference(stage, prepared, result, progress)
        card = make_card(
            manifest,
            prepared,
            result,
            parameters=sum(item.numel() for item in networks[0].parameters()),
            megabytes=(stage / "model.onnx").stat().st_size / 1e6,
            difference=exported.difference,
        )
        finish_bundle(stage, manifest, *card, reference)
        language, measured = settings().language, {"mean_auroc": "Mean AUROC"}
        curves = training_curves(result.epochs, language, loss="Loss", measured=measured, chance=0.5)
        scores = scores_csv(result.held_out, prepared.images.names, prepared.fold)
        epochs = rows_csv(result.epochs, Epoch)
        write_log(out, {"epochs.csv": epochs, "curves.png": curves, "scores.csv": scores})
    progress("export", 3, 3)


def check_scores(prepared: PreparedTraining, result: TrainingResult, file: Path) -> float:
    """The largest difference of a score between the exported network and those that the figures are of.

    On a few held-out images. With folds those figures are of other networks, so the members are asked again.

    Raises:
        TrainingError: it is more than rounding.
    """
    config, rows = prepared.config, result.held_out.rows
    places = np.flatnonzero(config.inputs.readable[rows])[:_COMPARED]
    if not len(places):
        return 0.0
    chosen = rows[places]
    images = network_input(plain(torch.from_numpy(config.images.batch(chosen))), config.preprocessing)
    if prepared.parts is not None:
        expected = result.held_out.scores[places]
    else:
        logits = [
            logits_of(
                label_network(config, member),
                config.inputs,
                chosen,
                config.preprocessing,
                _COMPARED,
                torch.device("cpu"),
            )
            for member in result.members
        ]
        expected = torch.from_numpy(np.mean(logits, axis=0)).sigmoid().numpy()
    (found,) = OrtSession(file).run(("scores",), images.contiguous().numpy())
    difference = float(np.abs(found - expected).max())
    # Scores of a GPU and patches kept in half precision are not to the last digit.
    if not difference <= LARGEST_HALF_DIFFERENCE:
        raise TrainingError(
            "The exported network answers held-out images otherwise than the one that the figures are of, by "
            "up to {difference:.1e} in a score; choose another network or encoder.",
            difference=difference,
        )
    return difference


def _warn_of_collapse(prepared: PreparedTraining, result: TrainingResult) -> None:
    flat = [label for label in prepared.assessed if label not in result.points.thresholds]
    if flat:
        log.warning(
            translate(
                "Warning: the scores of these labels tell images with and without them no better apart than "
                "guessing, so they are not assessed: {labels}.",
                settings().language,
                labels=", ".join(label_name(label, settings().language) for label in flat),
            )
        )


def learned_rows(prepared: PreparedTraining) -> LearnedRows:
    """The images that weights, epoch, calibration or thresholds came from: all but those of the test part."""
    parts, images = prepared.parts, prepared.config.images
    rows = np.arange(len(prepared.images))
    if parts is not None:
        rows = np.setdiff1d(rows, parts.test)
    batches = (images.batch(rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH))
    learned = LearnedRows.of(data_digest(prepared.images), pictures=Pictures.of(batches))
    base = _base(prepared.config.options)
    return learned if base is None else learned.after(base)


def _base(options: TrainingOptions) -> Path | None:
    """Where the weights came from; None for random ones, and for ImageNet's, which saw no film."""
    name = options.encoder or options.network
    if name in FAMILIES:
        return None if options.weights in (RANDOM, IMAGENET) else Path(options.weights)
    try:
        return model_folder(name)
    except BundleError:
        return Path(name)


def _reference(
    stage: Path, prepared: PreparedTraining, result: TrainingResult, progress: ProgressCallback
) -> ImageReference | None:
    """How scores and images are spread on rows that the scoring network had not learned.

    Without folds these are the calibration rows: the weights were fitted on others, the epoch was chosen on
    others, and the test rows stay for the figures alone. With folds they are all rows, each scored by the
    networks of the folds that it was not in; the network that ships has learned every row, and would answer
    them as no hospital's images.
    """
    options, images, parts = result.options, prepared.images, prepared.parts
    if not options.reference:
        return None
    rows = result.held_out.rows if parts is None else parts.calibration
    labels = prepared.config.labels
    chosen = ReferenceImages(
        tuple(images.files[row] for row in rows.tolist()),
        labels,
        images.truth[rows],
        result.held_out.scores if parts is None else None,
    )
    taken = chosen.some(options.reference, options.seed)
    if not len(taken):
        return None
    split = [
        Sentence(
            "out of fold, {folds} folds, each score from networks that had not learned the image",
            {"folds": options.folds},
        )
        if parts is None
        else Sentence("calibration, 10% by component of patient and duplicates, learned by no network")
    ]
    if len(taken) < len(chosen):
        split.append(
            Sentence("{count} of {total} drawn by chance", {"count": len(taken), "total": len(chosen)})
        )
    # Not by the setting `device`: a GPU that fails must not cost the training.
    findings = load_findings(open_bundle(stage, Task.FINDINGS), device=Device.CPU)
    return make_reference(findings, taken, options.data_name, tuple(split), progress=progress)


def _manifest(prepared: PreparedTraining, result: TrainingResult, out: Path, *differences: float) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files."""
    options, config, images = result.options, prepared.config, prepared.images
    stated = options.as_json()
    if (options.encoder or options.network) not in FAMILIES:
        del stated["weights"]  # a network of transformers comes with its own
    measured = (options.data_name, result.split)
    metrics = metrics_of(result.held_out, *measured)
    for source in options.report_sources:
        metrics += source_metrics(result.held_out, source, *measured)
    calibration: dict[str, Any] = {
        "kind": "platt",
        "threshold_on": "probability",
        "labels": {label: list(pair) for label, pair in result.points.calibration.items()},
        "asserts": result.points.asserts,
        "graded": words_separate(result.held_out),
    }
    ages = np.array([age for age in images.age if age is not None])
    if len(ages) >= _FEWEST_AGES:
        calibration["ages"] = [round(float(age), 1) for age in np.percentile(ages, _AGES)]
    return Manifest(
        **made_today(model_id(options.id, out, "findings"), options.licence, LIBRARIES),
        task=Task.FINDINGS,
        kind=_kind(options),
        labels=config.labels,
        preprocessing=config.preprocessing.as_json(),
        thresholds=result.points.thresholds,
        calibration=calibration,
        metrics=metrics,
        training={
            **stated,
            "images": len(images),
            "groups": len(np.unique(images.group)),
            "best_epochs": [member.best_epoch for member in result.members],
            "rows_left_out": {str(reason): count for reason, count in images.left_out.items()},
            **dict(zip(("onnx_difference", "held_out_difference"), differences, strict=True)),
        },
    )


def _kind(options: TrainingOptions) -> str:
    if options.encoder is not None:
        return ENCODER
    return options.network if options.network in FAMILIES else HUGGING_FACE


_Fold = NDArray[np.int64] | None
"""(rows,), of all rows; None without folds."""


def scores_csv(held_out: HeldOut, names: Sequence[str], fold: _Fold) -> str:
    """One row an image: what was known, the score, the calibrated probability and the call of each label.

    The columns are `file`, `source`, `group`, `fold` (empty without folds), then for each label `truth:L` (1,
    0, -1 unknown), `score:L`, `probability:L`, `called:L` (empty where not assessed) and `stated:L`. They
    are those of rows that the network had not learned, so every figure can be computed again from them.
    """
    kinds = ("truth", "score", "probability", "called", "stated")
    header = ["file", "source", "group", "fold"]
    lines = []
    for place, row in enumerate(held_out.rows.tolist()):
        group, part = int(held_out.groups[place]), "" if fold is None else int(fold[row])
        cells: list[object] = [names[row], held_out.source[place], group, part]
        for truth, score, probability, called, stated in zip(
            held_out.truth[place].tolist(),
            held_out.scores[place].tolist(),
            held_out.probability[place].tolist(),
            held_out.called[place].tolist(),
            held_out.stated[place].tolist(),
            strict=True,
        ):
            cells += [
                truth,
                decimals(score),
                decimals(probability),
                "" if called < 0 else called,
                int(stated),
            ]
        lines.append(cells)
    return csv_text([*header, *(f"{kind}:{label}" for label in held_out.labels for kind in kinds)], lines)
