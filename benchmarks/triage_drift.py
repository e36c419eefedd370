"""Whether triage's drift page cries where nothing moved, and is silent where something did.

    python benchmarks/triage_drift.py --data complaints.csv [--urgency urgency.csv] [--english reports.csv]
                                      [--seen FILE.jsonl] [--cost]

`--data` is the table that the built-in model learned (`text,label`). Same source: some of its complaints
against the others, each answered by models that had not learned it, which takes a few minutes of training.
Another source: complaints of other kinds against the reference that the shipped model carries; those that it
did not learn it answers itself. `--urgency` has one-line complaints (`text`), `--english` English texts
(`findings`). `--seen` keeps what was seen of the complaints of `--data`, without a word, for a second run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from drift_tables import (
    print_few_head,
    print_finds,
    print_moved,
    print_other_source_head,
    print_rates,
    print_same_source_head,
)
from figures import record
from tetkik.bundle import ComplaintReference, Task, read_reference, resolve
from tetkik.csv_rows import read_columns
from tetkik.lab.triage.data import Complaints, read_complaints, read_invented
from tetkik.lab.triage.linear.train import unlearned
from tetkik.lab.triage.reference import ReferenceComplaints, observe
from tetkik.language import Sentence
from tetkik.records.cases import complaints as complaint_drift
from tetkik.records.database import Records
from tetkik.statistics import Movement, SeenComplaint, Tally, compare_complaints, described
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import SYSTEM

MODEL = "triage-linear-tr"
DRAWS = 200
SIZES = (100, 200, 500)
FEW = 60
PARTS = 8
MOVED = "triage-drift-other-sources"
ROWS = {
    "Kadın Hastalıkları ve Doğum alone": "kadin-hastaliklari",
    "Dahiliye alone": "dahiliye",
    "Pediatri alone": "pediatri",
    "Üroloji alone": "uroloji",
    "at most 20 words": "short",
    "without Turkish letters": "ascii",
    "other specialities": "other-specialities",
    "invented, one line each": "invented",
    "English": "english",
}
"""The rows in docs/figures.json."""
INVENTED = Path(__file__).parent.parent / "data" / "invented-complaints" / "complaints.csv"
ENGLISH = 300
SHORT = 20
COSTED = 400
ALONE = ("Kadın Hastalıkları ve Doğum", "Dahiliye", "Pediatri", "Üroloji")


def out_of_fold(complaints: Complaints, file: Path | None) -> list[SeenComplaint]:
    """What was seen of each complaint by models that had not learned it, from `file` where it is there."""
    if file is not None and file.is_file():
        return [SeenComplaint(**json.loads(line)) for line in file.read_text("utf-8").splitlines()]
    bundle = resolve(MODEL, Task.TRIAGE)
    invented = read_invented(INVENTED, labels=bundle.manifest.labels)
    given = unlearned(
        bundle, complaints, (Sentence("-"),), lambda done, total: _tell("training", done, total), invented
    )
    seen = observe(load_triage(bundle), given, _tell)
    if file is not None:
        file.write_text("\n".join(json.dumps(asdict(one)) for one in seen) + "\n", encoding="utf-8")
    return seen


def _tell(step: str, done: int, total: int | None) -> None:
    print(f"\r{step} {done}/{total} ", end="" if done != total else "\n", file=sys.stderr)


def answered(triage: Triage, texts: Sequence[str]) -> list[SeenComplaint]:
    """What the shipped model says itself."""
    return observe(triage, ReferenceComplaints(tuple(texts), ("-",) * len(texts), (Sentence("-"),)))


def page_of(before: ComplaintReference, seen: Iterable[SeenComplaint]) -> Movement:
    """What the page would say of complaints."""
    return compare_complaints(before, _described(_counted(seen)))


def _counted(seen: Iterable[SeenComplaint]) -> Tally:
    tally = Tally()
    for one in seen:
        tally.add(one)
    return tally


def _described(tally: Tally) -> ComplaintReference:
    return described(tally, data="-", split=(Sentence("-"),), created="-")


def same_source(seen: Sequence[SeenComplaint]) -> None:
    """How often the page says something of complaints of the source that the reference is of."""
    print_same_source_head()
    everything, draw = _counted(seen), np.random.default_rng(0)
    order = draw.permutation(len(seen))
    parts = [_against_others(everything, seen, part.tolist()) for part in np.array_split(order, PARTS)]
    print_rates(
        f"one of {PARTS} parts, {len(seen) // PARTS} complaints, against the others",
        parts,
        "triage-drift-same-source/one-of-8",
    )
    for size in SIZES:
        drawn = (draw.choice(len(seen), size, replace=False).tolist() for _ in range(DRAWS))
        pages = [_against_others(everything, seen, rows) for rows in drawn]
        row = f"triage-drift-same-source/{size}"
        print_rates(f"{size} complaints drawn by chance, against the others", pages, row)


def _against_others(everything: Tally, seen: Sequence[SeenComplaint], rows: Iterable[int]) -> Movement:
    now = _counted(seen[row] for row in rows)
    others = {name: Counter(bins) for name, bins in everything.counts.items()}
    for name, bins in now.counts.items():
        others[name].subtract(bins)
    return compare_complaints(_described(Tally(others)), _described(now))


def kinds(
    options: argparse.Namespace, seen: Sequence[SeenComplaint], learned: Complaints, triage: Triage
) -> dict[str, list[SeenComplaint]]:
    """Complaints that are not as those of the reference, by what is other about them."""
    found = {f"{name} alone": [one for one in seen if one.known == name] for name in ALONE}
    found[f"at most {SHORT} words"] = [one for one in seen if one.words <= SHORT]
    found["without Turkish letters"] = [replace(one, plain=True) for one in seen]
    others = {text for text, _ in read_columns(options.data, ("text", "label")) if text.strip()}
    found["other specialities"] = answered(triage, sorted(others - set(learned.texts)))
    if options.urgency:
        lines = [text for (text,) in read_columns(options.urgency, ("text",)) if text.strip()]
        found["invented, one line each"] = answered(triage, lines)
    if options.english:
        lines = [text for (text,) in read_columns(options.english, ("findings",)) if text.strip()]
        found["English"] = answered(triage, list(dict.fromkeys(lines))[:ENGLISH])
    return found


def cost(triage: Triage, texts: Sequence[str]) -> None:
    """What a kept complaint costs beside its answer: measuring it, and counting it in a database."""
    measuring, counting = [], []
    with tempfile.TemporaryDirectory() as folder:
        records = Records(f"sqlite:///{folder}/tetkik.db", Path(folder))
        for text in texts:
            answer = triage.predict(text)
            begin = time.perf_counter()
            measured = triage.measure(text)
            measuring.append(time.perf_counter() - begin)
            with records.write(SYSTEM) as tx:
                begin = time.perf_counter()
                complaint_drift.count_complaint(tx, "0" * 64, answer, measured)
                counting.append(time.perf_counter() - begin)
        records.close()
    print("\n| what it costs | median | p95 | n |")
    print("|---|---|---|---|")
    for name, seconds in (("measuring", measuring), ("counting", counting)):
        half, most = (1000 * np.percentile(seconds, (50, 95))).tolist()
        print(f"| {name} | {half:.1f} ms | {most:.1f} ms | {len(seconds)} |")
        cells = {"median": f"{half:.1f} ms", "p95": f"{most:.1f} ms", "n": f"{len(seconds)}"}
        record(f"triage-drift-cost/{'measure' if name == 'measuring' else 'count'}", cells)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--urgency", type=Path)
    parser.add_argument("--english", type=Path)
    parser.add_argument("--seen", type=Path)
    parser.add_argument("--cost", action="store_true", help="measure what counting costs, and no more")
    options = parser.parse_args()
    triage = load_triage(MODEL)
    complaints = read_complaints(options.data, labels=triage.labels)
    if options.cost:
        cost(triage, complaints.texts[:COSTED])
        return 0
    seen = out_of_fold(complaints, options.seen)
    same_source(seen)
    reference = read_reference(resolve(MODEL, Task.TRIAGE))
    assert isinstance(reference, ComplaintReference)
    print_other_source_head()
    itself = answered(triage, complaints.texts)
    moved = page_of(reference, itself)
    print_moved("the very complaints that it learned", len(itself), 0, moved, f"{MOVED}/learned")
    others = kinds(options, seen, complaints, triage)
    for name, chosen in others.items():
        refused = sum(not one.probabilities for one in chosen)
        print_moved(name, len(chosen), refused, page_of(reference, chosen), f"{MOVED}/{ROWS[name]}")
    print_few_head(f"{FEW} complaints of")
    draw = np.random.default_rng(0)
    for name, chosen in others.items():
        drawn = (draw.choice(len(chosen), FEW, replace=False).tolist() for _ in range(DRAWS))
        print_finds(name, [page_of(reference, [chosen[row] for row in rows]) for rows in drawn])
    return 0


if __name__ == "__main__":
    sys.exit(main())
