"""How the built-in model of urgency is made, and how well it judges beside the rules.

    python benchmarks/urgency_reader.py --real DIR [--out BUNDLE] [--held-out]

It learns from the invented complaints of the split `train` (data/invented-complaints); three times each, for
they are few, from the short phrases there, from those of a nurse who tried the program, and from the labelled
rows `urgency.csv` and `urgency_more.csv` of DIR; and from those of `complaints.csv` in DIR whose level was
judged by reading (data/real-complaint-levels). Rows of DIR are judged by five-fold cross-validation by
duplicate group, unseen writers and judges by a model that learned all of these. `--held-out` judges the half
of the judges' sentences that is for judging once.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures import interval, judged, record
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.triage.data import Complaints, folds
from tetkik.lab.triage.urgency.train import (
    UrgencyFigures,
    UrgencyOptions,
    fit_reader,
    read_texts,
    train_urgency,
)
from tetkik.statistics import wilson_interval
from tetkik.triage.calibration import softmax
from tetkik.triage.linear.model import LinearModel
from tetkik.triage.urgency import assess
from tetkik.triage.urgency.assess import LEVELS, UrgencyReader, level_of
from triage_urgency import HEAD, levels_of, macro_interval, read_table, show

DATA = Path(__file__).parent.parent / "data"
FOLDS = 5
REPEATED = 3
OPTIONS = UrgencyOptions(
    id="urgency-linear-tr", licence="cc-by-nc-4.0", data_name="invented and labelled rows"
)
Ints = NDArray[np.int64]
Table = tuple[list[str], Ints]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--held-out", action="store_true")
    asked = parser.parse_args()
    seen, writers, unseen, short = invented()
    labelled = joined([read_table(asked.real / name) for name in ("urgency.csv", "urgency_more.csv")])
    forum = [row["text"] for row in rows_of(asked.real / "complaints.csv")]
    real = read_real(forum)
    print(HEAD)
    crossed, chances = cross_validated(seen, labelled, real, forum)
    show("labelled rows, rules alone", labelled[1], levels_of(labelled[0], None))
    show("labelled rows, with the model", labelled[1], crossed)
    record_share("labelled-recall", labelled[1], crossed, 0, at_least=0.93)
    record_macro("labelled-macro-f1", labelled[1], crossed, 0.74)
    place = {text: row for row, text in enumerate(forum)}
    rules = levels_of(forum, None)
    both = with_model(rules, chances)
    rows = np.array([place[text] for text in real[0]])
    show("real complaints judged by reading, rules alone", real[1], rules[rows])
    show("real complaints judged by reading, with the model", real[1], both[rows])
    found = wilson_interval(int((both == 0).sum()), len(both))
    assert found is not None
    share = float((both == 0).mean())
    print(f"\nreal complaints called kırmızı: rules {(rules == 0).mean():.3f}, with the model {share:.3f}\n")
    cells = {"reached": judged(f"{share:.3f}", met=share <= 0.05), "n": str(len(both))}
    record("urgency/real-red", {**cells, "95% interval": interval(found.low, found.high)})
    texts = [*seen[0], *labelled[0] * REPEATED, *real[0]]
    truth = np.concatenate([seen[1], *[labelled[1]] * REPEATED, real[1]])
    if asked.out:
        names = [*writers, *[""] * (len(texts) - len(writers))]
        table = Complaints(tuple(texts), tuple(LEVELS[level].value for level in truth), {})
        reader = UrgencyReader.load(train_urgency(table, names, asked.out, OPTIONS, lambda *_: None))
    else:
        reader = UrgencyReader(fitted(texts, truth), OPTIONS.thresholds)
    print(HEAD)
    judge("unseen writers", unseen, reader)
    judge("unseen writer of short phrases", short, reader)
    judge("judges, development half", read_judges("judges-development.csv"), reader)
    if asked.held_out:
        whole = read_judges("judges-held-out.csv")
        said = judge("judges, held-out half", whole, reader)
        record_share("judges-recall", whole[1], said, 0, at_least=0.95)
        record_share("judges-green-as-red", whole[1], said, 2, at_most=0.05)
        record_macro("judges-macro-f1", whole[1], said, 0.80)
    seconds = []
    for text in forum[:500]:
        start = time.perf_counter()
        assess(text, reader=reader)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds) * 1e3
    print(f"\nmedian time for one text: {median:.2f} ms")
    record("urgency/time", {"reached": f"{median:.1f} ms", "n": str(len(seconds))})


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def joined(tables: list[Table]) -> Table:
    return [text for texts, _ in tables for text in texts], np.concatenate([levels for _, levels in tables])


def invented() -> tuple[Table, list[str], Table, Table]:
    """The rows of the split `train`, who wrote each; complaints and short phrases of the split `test`."""
    long, short = (
        rows_of(DATA / "invented-complaints" / f"{name}.csv") for name in ("complaints", "short-phrases")
    )
    nurse = rows_of(DATA / "invented-complaints" / "nurse-phrases.csv")
    split = {
        "train": [row for row in (*long, *(*short, *nurse) * REPEATED) if row["split"] == "train"],
        "test": [row for row in long if row["split"] == "test"],
        "short": [row for row in short if row["split"] == "test"],
    }
    tables = {
        name: ([row["text"] for row in part], np.array([LEVELS.index(row["level"]) for row in part]))
        for name, part in split.items()
    }
    return tables["train"], [row["writer"] for row in split["train"]], tables["test"], tables["short"]


def read_judges(name: str) -> Table:
    return read_table(DATA / "invented-complaints" / name, "level")


def read_real(forum: list[str]) -> Table:
    """The real complaints whose level was judged by reading, known by the SHA-256 of the text."""
    known = {row["sha256"]: row["level"] for row in rows_of(DATA / "real-complaint-levels" / "levels.csv")}
    digests = {text: hashlib.sha256(text.encode()).hexdigest() for text in dict.fromkeys(forum)}
    texts = [text for text, digest in digests.items() if digest in known]
    return texts, np.array([LEVELS.index(known[digests[text]]) for text in texts])


def fitted(texts: list[str], truth: Ints) -> LinearModel:
    return fit_reader(read_texts(texts), truth, duplicate_texts(texts), OPTIONS)


def cross_validated(
    seen: Table, labelled: Table, real: Table, forum: list[str]
) -> tuple[Ints, NDArray[np.float64]]:
    """The levels of the labelled rows, and the probabilities of each real complaint, (forum, 3), each from a
    model that learned neither it nor a duplicate of it.
    """
    every = [*labelled[0], *forum]
    fold = folds(every, duplicate_texts(every))
    of_text = dict(zip(every, fold.tolist(), strict=True))
    chances = np.zeros((len(every), len(LEVELS)))
    read = read_texts(every)
    for number in range(FOLDS):
        kept = [row for row, text in enumerate(labelled[0]) if of_text[text] != number] * REPEATED
        known = [row for row, text in enumerate(real[0]) if of_text[text] != number]
        texts = [*seen[0], *(labelled[0][row] for row in kept), *(real[0][row] for row in known)]
        model = fitted(texts, np.concatenate([seen[1], labelled[1][kept], real[1][known]]))
        rows = np.flatnonzero(fold == number)
        logits = model.featuriser.scores([read[row] for row in rows], model.weights)
        chances[rows] = softmax(logits[:, : len(LEVELS)])
    count = len(labelled[0])
    return with_model(levels_of(labelled[0], None), chances[:count]), chances[count:]


def with_model(rules: Ints, chances: NDArray[np.float64]) -> Ints:
    """The levels of rules and model together, (rows,)."""
    said = [
        level_of(LEVELS[level].severity, red, yellow, OPTIONS.thresholds)
        for level, (red, yellow, _) in zip(rules, chances.tolist(), strict=True)
    ]
    return np.array([LEVELS.index(level) for level in said])


def judge(name: str, table: Table, reader: UrgencyReader) -> Ints:
    said = levels_of(table[0], reader)
    show(f"{name}, rules alone", table[1], levels_of(table[0], None))
    show(f"{name}, with the model", table[1], said)
    return said


def record_share(
    name: str, truth: Ints, said: Ints, level: int, *, at_least: float = 0.0, at_most: float = 1.0
) -> None:
    """Keep the share of a level that is called kırmızı."""
    hits = said[truth == level] == 0
    found, share = wilson_interval(int(hits.sum()), len(hits)), float(hits.mean())
    assert found is not None
    text = judged(f"{share:.3f} ({hits.sum()} of {len(hits)})", met=at_least <= share <= at_most)
    record(
        f"urgency/{name}",
        {"reached": text, "95% interval": interval(found.low, found.high), "n": str(len(hits))},
    )


def record_macro(name: str, truth: Ints, said: Ints, goal: float) -> None:
    value = UrgencyFigures.of(truth, said).macro_f1
    low, high = macro_interval(truth, said)
    cells = {"reached": judged(f"{value:.3f}", met=value >= goal), "95% interval": interval(low, high)}
    record(f"urgency/{name}", {**cells, "n": str(len(truth))})


if __name__ == "__main__":
    main()
