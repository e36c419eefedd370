"""What a training says of itself: the metrics of its manifest and the sections of its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tetkik.bundle import CardSection
from tetkik.lab.triage.transformer.export import Parity
from tetkik.lab.triage.transformer.plan import Epoch
from tetkik.lab.triage.transformer.tune import Trial, trials_table
from tetkik.statistics import Ints

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "onnx", "onnxruntime", "numpy")


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
