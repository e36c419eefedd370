"""Whether the drift page cries where nothing moved, and is silent where something did.

    python benchmarks/findings_drift.py --data DIR --log findings-mobilenet-cxr-log [--images FILE.jsonl]

`--data` is the folder of findings_embedded.py; `--log` what it left beside the bundle. Same source: the
chest images of some components against those of the others, each scored by networks that had not learned it.
Another source: the shipped model, through the gate as the service runs it, against its own reference.
`--images` keeps what was seen of each image, for a second run.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
from findings_embedded import UNSELECTED
from tetkik.bundle import ImageReference, read_reference, resolve
from tetkik.errors import InputError
from tetkik.findings.predict import Findings, load_findings
from tetkik.imaging.read import read_image
from tetkik.language import Sentence
from tetkik.statistics import Movement, Observation, compare, describe
from tetkik.values import FindingsResult, Radiograph

MODEL = "findings-mobilenet-cxr"
DRAWS = 200
SIZES = (100, 250, 500)
FEW, LEAST = 60, 100
INVERTED = "inverted"
SAME, OTHER = "findings-drift-same-source", "findings-drift-other-sources"
ROWS = {"armiro", "generalblockchain", "dilara-benli", "ml-workgroup", "muhammedtalo"}
"""Sources with a row of their own in docs/figures.json."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One image of the data, and what was seen of it.

    Attributes:
        file: its name; with `inverted:` before it where black and white were exchanged.
        source: where it comes from.
        view: that the table names.
        observation: as the service would keep it.
    """

    file: str
    source: str
    view: str
    observation: Observation


def observed(findings: Findings, image: Radiograph) -> Observation:
    """What a hospital would keep of an image."""
    answer: FindingsResult = findings.read(image)
    measured = answer.measured
    assert measured is not None
    return Observation(
        answer.route.value if answer.route else "",
        not answer.suitable,
        measured.spacing,
        measured.modality or "",
        tuple(flaw.value for flaw in answer.flaws),
        measured.brightness,
        measured.contrast,
        measured.side,
        {one.label: (one.score, one.positive) for one in answer.findings if one.score is not None},
    )


def look(data: Path) -> Iterator[Seen]:
    """Every image, and the unselected ones once more with black and white exchanged."""
    findings = load_findings(MODEL)
    with (data / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows):
        print(f"\r{number}/{len(rows)}", end="", file=sys.stderr)
        try:
            image = read_image(data / row["file"])
        except InputError:
            continue
        yield Seen(row["file"], row["source"], row["view"], observed(findings, image))
        if row["source"] == UNSELECTED:
            exchanged = (image.white - image.pixels.astype(np.int32)).astype(np.uint16)
            seen = observed(findings, replace(image, pixels=exchanged))
            yield Seen(f"{INVERTED}:{row['file']}", INVERTED, row["view"], seen)
    print(file=sys.stderr)


def kept(file: Path | None, data: Path) -> list[Seen]:
    """What was seen of each image, from `file` where it is there."""
    if file is not None and file.is_file():
        lines = file.read_text("utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        return [Seen(**{**one, "observation": _observation(one["observation"])}) for one in found]
    seen = list(look(data))
    if file is not None:
        file.write_text("\n".join(json.dumps(asdict(one)) for one in seen) + "\n", encoding="utf-8")
    return seen


def _observation(content: Mapping[str, object]) -> Observation:
    found = Observation(**content)  # type: ignore[arg-type]
    scores = {label: (pair[0], pair[1]) for label, pair in found.scores.items()}
    return replace(found, flaws=tuple(found.flaws), scores=scores)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Images with scores of networks that had not learned them.

    Attributes:
        seen: the images.
        group: (n,), component of each.
        fold: (n,), which networks scored it.
    """

    seen: list[Observation]
    group: np.ndarray[tuple[int], np.dtype[np.int64]]
    fold: np.ndarray[tuple[int], np.dtype[np.int64]]

    @classmethod
    def read(cls, log: Path, seen: Sequence[Seen]) -> HeldOut:
        """The chest images of a training's log."""
        by_name = {one.file: one.observation for one in seen}
        with (log / "scores.csv").open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if by_name[row["file"]].route == "chest"]
        return cls(
            [_scored(by_name[row["file"]], row) for row in rows],
            np.array([int(row["group"]) for row in rows]),
            np.array([int(row["fold"]) for row in rows]),
        )

    def moved(self, now: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Movement:
        """These images against all others."""
        before = [one for one, later in zip(self.seen, now, strict=True) if not later]
        after = [one for one, later in zip(self.seen, now, strict=True) if later]
        return compare(_reference(before), after)


def _scored(seen: Observation, row: Mapping[str, str]) -> Observation:
    return replace(seen, scores={label: (float(row[f"score:{label}"]), False) for label in seen.scores})


def _reference(before: Sequence[Observation]) -> ImageReference:
    spread = describe(before)
    return ImageReference(
        data="-",
        split=(Sentence("-"),),
        images=len(before),
        created="-",
        labels=spread.labels,
        inputs=spread.inputs,
    )


def same_source(held: HeldOut) -> None:
    """How often the page says something of images of the source that the reference is of."""
    print_same_source_head()
    folds = [held.moved(held.fold == fold) for fold in np.unique(held.fold)]
    sizes = np.bincount(held.fold)
    print_rates(f"a fold of {sizes.min()} to {sizes.max()} images against the others", folds, f"{SAME}/fold")
    draw = np.random.default_rng(0)
    groups = np.unique(held.group)
    for size in SIZES:
        pages = []
        for _ in range(DRAWS):
            order = draw.permutation(groups)
            counts = np.cumsum([int((held.group == group).sum()) for group in order])
            pages.append(held.moved(np.isin(held.group, order[: int(np.searchsorted(counts, size)) + 1])))
        print_rates(f"{size} images by component, drawn by chance", pages, f"{SAME}/{size}")


def other_source(reference: ImageReference, seen: Sequence[Seen], learned: frozenset[str]) -> None:
    """What the page says of other sources, of exchanged black and white, and of one projection alone."""
    print_other_source_head()
    for source in sorted({one.source for one in seen} - {INVERTED}):
        row = source.partition("/")[0].lower()
        chosen = [one for one in seen if one.source == source and one.file not in learned]
        _said(reference, source, chosen, row if row in ROWS else "")
    own = [one for one in seen if one.file in learned and one.observation.route == "chest"]
    _said(reference, "the very images that the shipped network learned", own, "learned")
    exchanged = [one for one in seen if one.source == INVERTED]
    _said(reference, "black and white exchanged", exchanged, "inverted")


def few(reference: ImageReference, seen: Sequence[Seen], learned: frozenset[str]) -> None:
    """How often a few images of another source are enough."""
    print_few_head(f"{FEW} images of")
    draw = np.random.default_rng(0)
    for source in sorted({one.source for one in seen}):
        chosen = [one.observation for one in seen if one.source == source and one.file not in learned]
        if source == INVERTED or len(chosen) < LEAST:
            continue
        pages = []
        for _ in range(DRAWS):
            rows = draw.choice(len(chosen), FEW, replace=False).tolist()
            pages.append(compare(reference, [chosen[row] for row in rows]))
        print_finds(source, pages)


def projections(held: HeldOut, views: Sequence[str]) -> None:
    """One projection alone against the other: the same source, another kind of patient."""
    for view in ("AP", "PA"):
        now = np.array([one == view for one in views])
        moved = held.moved(now)
        row = f"{OTHER}/{view.lower()}"
        print_moved(f"{view} alone against the others, same source", int(now.sum()), 0, moved, row)


def _said(reference: ImageReference, name: str, chosen: Sequence[Seen], row: str) -> None:
    if chosen:
        now = [one.observation for one in chosen]
        refused = sum(one.refused for one in now)
        print_moved(name, len(now), refused, compare(reference, now), row and f"{OTHER}/{row}")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    seen = kept(options.images, options.data)
    held = HeldOut.read(options.log, seen)
    same_source(held)
    with (options.log / "scores.csv").open(encoding="utf-8", newline="") as stream:
        learned = frozenset(row["file"] for row in csv.DictReader(stream))
    reference = read_reference(resolve(MODEL))
    assert isinstance(reference, ImageReference)
    other_source(reference, seen, learned)
    by_name = {one.file: one for one in seen}
    with (options.log / "scores.csv").open(encoding="utf-8", newline="") as stream:
        names = [row["file"] for row in csv.DictReader(stream)]
    chest = [by_name[name].view for name in names if by_name[name].observation.route == "chest"]
    projections(held, chest)
    few(reference, seen, learned)
    return 0


if __name__ == "__main__":
    sys.exit(main())
