"""What to do about departments with few complaints: four losses on the same rows, as a Markdown table.

    python benchmarks/triage_imbalance.py complaints.csv [--base PATH] [--seeds 5] [--epochs 5]

Without `--base` the network is one layer over TF-IDF of words and letter groups (seconds); with it, that
encoder is fine-tuned. Each seed splits the rows anew into training, validation and test, by label and group
of duplicates; the figures are means over the seeds on test, with their standard deviation.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.lab.engine.precision import accelerator_for
from tetkik.lab.triage.data import read_complaints
from tetkik.lab.triage.summaries import decision_columns, decision_figures
from tetkik.lab.triage.transformer import train
from tetkik.lab.triage.transformer.data import Imbalance, TransformerOptions, prepare_data
from tetkik.lab.triage.transformer.trainer import figures_of
from tetkik.triage.calibration import ece, fit_temperature, softmax
from tetkik.values import DEPARTMENTS

_RARE = 5
"""The labels with fewest rows, whose mean F1 is reported separately."""
_SHRINKING = (0.3, 0.1, 0.03)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one run on test."""

    accuracy: float
    macro_f1: float
    rare_f1: float
    ece: float
    ece_scaled: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="a table with the columns text and label")
    parser.add_argument("--base", help="an encoder to fine-tune; default: a linear layer over TF-IDF")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    asked = parser.parse_args()
    complaints = read_complaints(asked.data, labels=DEPARTMENTS)
    found: dict[Imbalance, list[Figures]] = {imbalance: [] for imbalance in Imbalance}
    for seed in range(asked.seeds):
        prepared = prepare_data(complaints, seed)
        linear = None if asked.base else Linear(prepared)
        for imbalance in Imbalance:
            if linear is not None:
                logits = linear.logits(imbalance)
            else:
                options = TransformerOptions(
                    base=asked.base, epochs=asked.epochs, imbalance=imbalance, seed=seed
                )
                logits = encoder_logits(prepared, options)
            found[imbalance].append(figures(prepared, logits))
    print("| imbalance | accuracy | macro-F1 | F1 of the rare five | ECE | ECE after temperature |")
    print("|---|---|---|---|---|---|")
    for imbalance, runs in found.items():
        print(f"| {imbalance.value} | " + " | ".join(cell(runs, name) for name in Figures.__slots__) + " |")


def cell(found: list[Figures], name: str) -> str:
    values = [getattr(one, name) for one in found]
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def figures(prepared: Any, logits: NDArray[np.float32]) -> Figures:
    """Figures on test; the temperature is fitted on validation."""
    validation, test = prepared.split.validation, prepared.split.test
    truth = prepared.truth[test]
    probabilities = softmax(logits[test])
    measured = decision_figures(decision_columns(probabilities, truth).sum(axis=0))
    rare = np.argsort(np.bincount(prepared.truth))[:_RARE]
    temperature = fit_temperature(logits[validation], prepared.truth[validation])
    return Figures(
        float(measured.accuracy),
        float(measured.macro_f1),
        float(measured.f1[rare].mean()),
        ece(probabilities, truth),
        ece(softmax(logits[test], temperature), truth),
    )


class Linear:
    """One layer over TF-IDF, fitted on the training rows; its shrinking is chosen on validation."""

    def __init__(self, prepared: Any) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_union

        self._prepared = prepared
        rows = prepared.split.training
        texts = [turkish.lower(text) for text in prepared.complaints.texts]
        features = make_union(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=3),
        )
        features.fit([texts[row] for row in rows])
        self._table = features.transform(texts).tocsr().astype(np.float32)

    def logits(self, imbalance: Imbalance) -> NDArray[np.float32]:
        """Logits of every row, from the shrinking with the best macro-F1 on validation."""
        rows = self._prepared.split.validation
        truth = self._prepared.truth[rows]
        tried = [self._fitted(imbalance, shrinking) for shrinking in _SHRINKING]
        return max(tried, key=lambda logits: figures_of(logits[rows], truth)[1])

    def _fitted(self, imbalance: Imbalance, shrinking: float) -> NDArray[np.float32]:
        """The loss and its gradient come from torch by way of the logits; the features stay SciPy's."""
        import torch
        from scipy.optimize import minimize

        from tetkik.lab.triage.transformer.trainer import make_loss

        rows, labels = self._prepared.split.training, len(self._prepared.labels)
        truth = torch.from_numpy(self._prepared.truth[rows])
        loss = make_loss(imbalance, np.bincount(self._prepared.truth[rows]), torch.device("cpu"))
        training = self._table[rows]

        def value(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(-1, labels).astype(np.float32)
            logits = torch.from_numpy(training @ weights).requires_grad_()
            total = loss(logits, truth)
            (slope,) = torch.autograd.grad(total, logits)
            gradient = training.T @ slope.numpy() + shrinking * weights
            penalty = 0.5 * shrinking * float((flat**2).sum())
            return float(total.detach()) + penalty, gradient.ravel().astype(np.float64)

        start = np.zeros(training.shape[1] * labels)
        found = minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
        weights = found.x.reshape(-1, labels).astype(np.float32)
        logits: NDArray[np.float32] = self._table @ weights
        return logits


def encoder_logits(prepared: Any, options: TransformerOptions) -> NDArray[np.float32]:
    """Logits of every validation and test row from a fine-tuned encoder; the other rows stay 0."""
    import torch

    from tetkik.lab.engine.checkpoint import WorkFolder
    from tetkik.triage.transformer import padded

    logits = np.zeros((len(prepared.truth), len(prepared.labels)), dtype=np.float32)
    with (
        tempfile.TemporaryDirectory() as folder,
        accelerator_for(options.precision, find_unused=True) as (accelerator, _),
    ):
        trained = train.fine_tune(accelerator, prepared, options, WorkFolder(Path(folder)), lambda *_: None)
        model = trained.model.eval()
        reader = trained.base.reader()
        for row in [*prepared.split.validation, *prepared.split.test]:
            ids, mask = padded(reader.read([prepared.complaints.texts[row]]), trained.base.pad_id)
            with torch.no_grad():
                output = model(
                    input_ids=torch.from_numpy(ids).to(model.device),
                    attention_mask=torch.from_numpy(mask).to(model.device),
                )
            logits[row] = output.logits[0].float().cpu().numpy()
    return logits


if __name__ == "__main__":
    main()
