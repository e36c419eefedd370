"""The sections of the model card of a fine-tuned encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tetkik.bundle import CardSection
from tetkik.lab.engine.card import cell, markdown_table
from tetkik.lab.triage.transformer.export import Parity
from tetkik.lab.triage.transformer.trainer import Epoch
from tetkik.lab.triage.transformer.tuning import Trial, trials_table
from tetkik.statistics import Ints

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers", "onnx", "onnxruntime", "numpy")


def epochs_table(epochs: Sequence[Epoch], best: int) -> str:
    """The epochs as a Markdown table, the best in bold."""
    return markdown_table(
        ("epoch", "training loss", "validation loss", "accuracy", "macro-F1", "macro-precision"),
        (
            (
                f"**{row.epoch}**" if row.epoch == best else row.epoch,
                *map(
                    cell,
                    (row.training_loss, row.validation_loss, row.accuracy, row.macro_f1, row.macro_precision),
                ),
            )
            for row in epochs
        ),
    )


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
    """The sections that only the training knows; `counts` names each part, with its rows by label."""
    rows = markdown_table(
        ("label", *(name for name, _ in counts)),
        [
            *((label, *(numbers[index] for _, numbers in counts)) for index, label in enumerate(labels)),
            ("all", *(np.sum(numbers) for _, numbers in counts)),
        ],
    )
    sections = [
        CardSection(
            "Data",
            "Complaints with the department that answered them. The split is by label and by group of "
            "duplicates: no complaint has a near-copy in another part. Epoch, temperature, abstention and "
            "tried settings were chosen on validation; the test rows were used once, for the figures above, "
            "with the int8 network that ships.\n\n" + rows,
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
