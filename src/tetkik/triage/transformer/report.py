"""What a training says of itself: the metrics of its manifest and the sections of its card."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

import numpy as np

from tetkik.bundle import CardSection, Metric
from tetkik.triage.bootstrap import ClusterBootstrap, percentile_interval
from tetkik.triage.calibration import brier_skill, ece
from tetkik.triage.metrics import (
    Floats,
    Ints,
    decision_columns,
    decision_figures,
    predicted_labels,
    rank_of_truth,
)
from tetkik.triage.transformer.export import Parity
from tetkik.triage.transformer.plan import Epoch
from tetkik.triage.transformer.tune import Trial, trials_table

_DECISIONS = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "top3_accuracy")
_LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "onnx", "onnxruntime", "numpy")


def test_metrics(probabilities: Floats, truth: Ints, groups: Ints, split: str) -> tuple[Metric, ...]:
    """The figures on the test rows, those of decisions with a 95% interval from a bootstrap of groups.

    Args:
        probabilities: (rows, labels), calibrated, from the network that ships.
        truth: (rows,).
        groups: (rows,), duplicate group of each row.
        split: how the rows were chosen.
    """
    in_top3 = rank_of_truth(probabilities, truth) <= 3
    columns = decision_columns(truth, predicted_labels(probabilities), probabilities.shape[1], in_top3)
    figures = decision_figures(columns.sum(axis=0))
    draws = ClusterBootstrap(groups)
    replicates = decision_figures(draws.sums(columns)) if draws.possible else None
    found = []
    for name in _DECISIONS:
        interval = percentile_interval(getattr(replicates, name)) if replicates is not None else None
        found.append(
            Metric(
                name=name,
                value=float(getattr(figures, name)),
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                n=len(truth),
                data="training table",
                split=split,
            )
        )
    plain = {"ece": ece(probabilities, truth), "brier_skill": brier_skill(probabilities, truth)}
    found += [
        Metric(name=name, value=value, n=len(truth), data="training table", split=split)
        for name, value in plain.items()
    ]
    return tuple(found)


def libraries() -> dict[str, str]:
    """Versions of the libraries that have a part in the result."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def epochs_table(epochs: Sequence[Epoch], best: int) -> str:
    """The epochs as a Markdown table, the best in bold."""
    rows = [
        "| epoch | training loss | validation loss | accuracy | macro-F1 | macro-precision |",
        "|---|---|---|---|---|---|",
    ]
    for row in epochs:
        name = f"**{row.epoch}**" if row.epoch == best else str(row.epoch)
        rows.append(
            f"| {name} | {row.training_loss:.4f} | {row.validation_loss:.4f} | {row.accuracy:.4f} "
            f"| {row.macro_f1:.4f} | {row.macro_precision:.4f} |"
        )
    return "\n".join(rows)


def card_sections(
    base: str,
    counts: Sequence[tuple[str, Ints]],
    labels: Sequence[str],
    epochs: Sequence[Epoch],
    best: int,
    *,
    parity: Parity,
    trials: Sequence[Trial],
) -> list[CardSection]:
    """The sections of the card that only the training knows.

    Args:
        base: the encoder that it started from.
        counts: for each part its name and its rows by label, (labels,).
        labels: in the order of the outputs.
        epochs: the table of epochs.
        best: the epoch whose weights were kept.
        parity: how far the exports are from torch.
        trials: what `--tune` tried.
    """
    head = "| label | " + " | ".join(name for name, _ in counts) + " |\n|---|" + "---|" * len(counts)
    rows = [
        f"| {label} | " + " | ".join(str(int(numbers[index])) for _, numbers in counts) + " |"
        for index, label in enumerate(labels)
    ]
    total = "| all | " + " | ".join(str(int(np.sum(numbers))) for _, numbers in counts) + " |"
    sections = [
        CardSection(
            "Data",
            "Complaints with the department that answered them. The split is by label and by group of "
            "duplicates: no complaint has a near-copy in another part. Epoch, temperature, abstention and "
            "tried settings were chosen on validation; the test rows were used once, for the figures above, "
            "with the int8 network that ships.\n\n" + "\n".join([head, *rows, total]),
        ),
        CardSection(
            "Epochs",
            f"Fine-tuned from `{base}`. Losses are those that were trained on; the other figures are on "
            f"validation. The epoch in bold was kept.\n\n{epochs_table(epochs, best)}",
        ),
        CardSection(
            "Exports",
            f"On {parity.texts} validation complaints the largest difference of a probability is "
            f"{parity.fp32:.1e} between torch and ONNX fp32 and {parity.int8:.3f} between torch and ONNX "
            f"int8 (`model.onnx`); int8 names the same first label for {parity.int8_same_label:.1%}.",
        ),
        CardSection(
            "Limits",
            "The label is who answered, not the proven right department. Probabilities are calibrated for "
            "complaints like those of the training table. It was not tried on patients.",
        ),
    ]
    if trials:
        sections.insert(2, CardSection("Settings tried", trials_table(trials)))
    return sections
