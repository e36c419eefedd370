"""Heads over a frozen encoder against fine-tuning all of it, on the same images and folds: time and AUROC.

    python benchmarks/findings_encoder.py --data DIR --backbone FILE

`--data` is the folder that `benchmarks/findings_embedded.py` takes; used are its unselected NIH images with
their 14 labels. The encoder is the MobileNetV2 of `--backbone`. Every training learns the labels alone, by
the recipe of the built-in model without its teacher; one of a head counts the encoder's answers to the images
that it learns from, which folds and settings would share. Time is the processor's, on one thread: other work
on the machine does not count, nor do threads that wait for each other. No setting of a head was chosen on
these rows. AUROC is taken within each fold, since networks of two folds need not share a scale, and averaged.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from figures import interval, judged, record
from findings_embedded import KNOWN, UNSELECTED, rows_of
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.engine.session import Session, silence
from tetkik.lab.findings.data import join
from tetkik.lab.findings.sources import Reading, SourceSpec
from tetkik.lab.findings.sources.label_coverage import parse_rule
from tetkik.lab.findings.summaries import mean_auroc
from tetkik.lab.findings.training.options import EncoderHead, TrainingOptions
from tetkik.lab.findings.training.runs import mean_scores, prepare_training, train_network, with_encoder
from tetkik.statistics import ClusterBootstrap, auroc_replicates, percentile_interval
from tetkik.values import NIH_LABELS

FOLDS = 3
COMMON: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 16,
    "weight_decay": 0.01,
    "stretch": True,
    "folds": FOLDS,
}
WAYS: dict[str, dict[str, Any]] = {
    "linear": {"encoder": "mobilenet_v2", "learning_rate": 1e-3},
    "attention": {
        "encoder": "mobilenet_v2",
        "learning_rate": 1e-3,
        "encoder_head": EncoderHead.ATTENTION,
    },
    "fine-tuning": {"network": "mobilenet_v2", "learning_rate": 3e-4, "head_rate": 5.0},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    rows = [row for row in rows_of(arguments.data) if row["source"] == UNSELECTED]
    print("| way | processor seconds a training | mean AUROC | 95% interval | n |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "labels.csv"
        with table.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        spec = SourceSpec("csv", table, {"images": str(arguments.data)})
        images = join([spec], Reading(known=(parse_rule(KNOWN[0]),)))
        measured: dict[str, tuple[float, dict[str, str]]] = {}
        for name, changes in WAYS.items():
            options = TrainingOptions(
                weights=str(arguments.backbone), threads=arguments.threads, **{**COMMON, **changes}
            )
            with accelerator_for(options.precision, threads=options.threads) as (accelerator, precision):
                work = WorkFolder.beside(Path(folder) / name)
                session = Session(accelerator, replace(options, precision=precision), work, silence)
                work.begin({}, resume=False)
                store = Path(folder) / "store"
                prepared = prepare_training(images, session.options, store, silence)
                begun = time.process_time()
                prepared = with_encoder(prepared, store, accelerator.device, silence)
                encoding, training = time.process_time() - begun, 0.0
                config, every = prepared.config, np.arange(len(prepared.images))
                scores = np.zeros((len(every), len(config.labels)))
                for number in range(FOLDS):
                    begun = time.process_time()
                    learn, judge = every[prepared.fold != number], every[prepared.fold == number]
                    trained = train_network(session, config, (learn, None), run=f"{name}-{number}", seed=0)
                    training += time.process_time() - begun
                    scores[judge] = mean_scores(session, config, [trained], judge)
            columns = [config.labels.index(label) for label in NIH_LABELS]
            found, truth = scores[:, columns], images.truth[:, columns].astype(np.int64)
            of_folds = [np.flatnonzero(prepared.fold == number) for number in range(FOLDS)]
            areas = [mean_auroc(found[rows], images.truth[rows][:, columns]) for rows in of_folds]
            draws = [
                np.nanmean(
                    auroc_replicates(found[rows], truth[rows], ClusterBootstrap(images.group[rows])), axis=1
                )
                for rows in of_folds
            ]
            area, between = (
                float(np.mean([area or np.nan for area in areas])),
                percentile_interval(np.mean(draws, axis=0)),
            )
            assert between is not None
            # One training learns from all folds but one, and needs the encoder's answers to those images.
            seconds = encoding * (1 - 1 / FOLDS) + training / FOLDS
            print(
                f"| {name} | {seconds:.1f} (encoding all: {encoding:.1f}) | {area:.3f} "
                f"| {interval(between.low, between.high)} | {len(every)} |",
                flush=True,
            )
            cells = {"mean AUROC": f"{area:.3f}", "n": str(len(every))}
            measured[name] = seconds, cells | {"95% interval": interval(between.low, between.high)}
    full, _ = measured["fine-tuning"]
    for name, (seconds, cells) in measured.items():
        share = judged(f"{seconds / full:.3f}", met=seconds <= full / 10) if seconds != full else "1"
        record(f"findings-encoder/{name}", cells | {"training time": share})


if __name__ == "__main__":
    main()
