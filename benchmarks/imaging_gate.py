"""The gate's rates on images of sources that it was not trained on.

    python benchmarks/imaging_gate.py --data labels.csv --others FOLDER [--workers 2] [--json FILE]

Four gates are trained, each without some of the sources of chest radiographs, without every patient and
duplicate that these share with other sources, and without a quarter of the cases of CT and MR slices; two of
them also without one of the two sources of brain slices. The whole gate (`judge`) is then asked about all of
that. The limits are the ones that ship. What is drawn comes from other painters than those of the training.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - after the threads
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402

import imaging_gate_scenes as scenes  # noqa: E402
from figures import judged, record  # noqa: E402
from imaging_gate_examples import (  # noqa: E402
    BRAIN,
    CHEST,
    NOT_CHEST,
    OTHER,
    Collection,
    Examples,
    films_of,
    gather,
    read_others,
)
from tetkik.imaging.gate import judge  # noqa: E402
from tetkik.imaging.gate.judge import Classifier, load_classifier  # noqa: E402
from tetkik.imaging.read import read_image  # noqa: E402
from tetkik.lab.findings.data import read_labels  # noqa: E402
from tetkik.statistics import share_interval  # noqa: E402
from tetkik.values import FileFormat, Flaw, GateResult, Radiograph, Route  # noqa: E402

RUNS = 4
DRAWN = 250
VARIANTS = 60
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the gate did what the row asks, of one image.

    Attributes:
        row: what was asked.
        source: where the image is from.
        group: rows of one patient or case count as one.
        right: whether it did.
    """

    row: str
    source: str
    group: int
    right: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One training and what is asked afterwards.

    Attributes:
        number: of the run, and the seed of what is drawn.
        train: rows of the examples to learn from.
        films: chest radiographs of the sources left out.
        brains: brain slices of a source left out.
        slices: CT and MR slices of cases left out.
    """

    number: int
    train: NDArray[np.int64]
    films: NDArray[np.int64]
    brains: NDArray[np.int64]
    slices: NDArray[np.int64]


def grey(pixels: Pixels | NDArray[np.uint16], white: int = 255, colour: float = 0.0) -> Radiograph:
    """Pixels as an image without a tag."""
    return Radiograph(pixels=pixels.copy(), white=white, file_format=FileFormat.PNG, sha256="", colour=colour)


def spoilt(pixels: Pixels, random: np.random.Generator) -> Iterator[tuple[str, Flaw, Radiograph]]:
    """The film with one fault each: the name of the row, what should be said, the image."""
    rows, columns = pixels.shape
    yield "inverted film named so", Flaw.INVERTED, grey(255 - pixels)
    yield "film turned 90° left named so", Flaw.ROTATED, grey(np.rot90(pixels))
    yield "film turned 90° right named so", Flaw.ROTATED, grey(np.rot90(pixels, 3))
    yield "film upside down named so", Flaw.ROTATED, grey(np.rot90(pixels, 2))
    yield "film mirrored upside down named so", Flaw.ROTATED, grey(pixels[::-1])
    yield (
        "left or right half of a film named cropped",
        Flaw.CROPPED,
        grey(pixels[:, : columns // 2] if random.random() < 0.5 else pixels[:, columns // 2 :]),
    )
    yield (
        "upper or lower half of a film named cropped",
        Flaw.CROPPED,
        grey(pixels[: rows // 2] if random.random() < 0.5 else pixels[rows // 2 :]),
    )
    yield "nearly black film named so", Flaw.EXPOSURE, grey((pixels * 0.12).astype(np.uint8))
    yield "nearly white film named so", Flaw.EXPOSURE, grey((225 + pixels * 0.11).astype(np.uint8))
    yield "film without contrast named so", Flaw.EXPOSURE, grey((110 + pixels * 0.06).astype(np.uint8))
    small = Image.fromarray(pixels).resize((100, max(1, round(100 * rows / columns))))
    yield "thumbnail named too small", Flaw.TOO_SMALL, grey(np.asarray(small))


def _refused(question: str) -> str:
    """The weaker question: whether the film was refused, for whatever reason."""
    return question.partition(" named")[0] + " refused for any reason"


def photographed(pixels: Pixels, random: np.random.Generator) -> Radiograph:
    """As a phone sees a film on a light box, not quite straightened: perspective, glare, grain."""
    image = Image.fromarray(pixels)
    wide, high = image.size
    corners = np.array([(0, 0), (0, high), (wide, high), (wide, 0)]) + random.normal(0, 0.03, (4, 2)) * (
        wide,
        high,
    )
    bent = image.transform(
        image.size, Image.Transform.QUAD, tuple(corners.ravel()), Image.Resampling.BILINEAR
    )
    y, x = np.mgrid[0:high, 0:wide] / max(wide, high)
    glare = 60 * np.exp(-((x - random.random()) ** 2 + (y - random.random()) ** 2) / 0.05)
    seen = 0.75 * np.asarray(bent, float) + 25 + glare + random.normal(0, 4, (high, wide))
    clipped: Pixels = np.clip(seen, 0, 255).astype(np.uint8)
    return grey(clipped)


def variants(pixels: Pixels) -> Iterator[tuple[str, Radiograph]]:
    """The same film in other shapes."""
    rows, columns = pixels.shape
    yield "16 bit", grey(pixels.astype(np.uint16) * 257, 65535)
    for side in (512, 2500):
        size = (round(columns * side / max(rows, columns)), round(rows * side / max(rows, columns)))
        large = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        yield f"{side} pixels", grey(np.asarray(large))


def flaws(verdict: GateResult) -> set[Flaw]:
    """What the verdict says."""
    return {reason.flaw for reason in verdict.reasons}


def ask_films(run: Run, collection: Collection, classifier: Classifier) -> Iterator[Answer]:
    """Everything about the chest radiographs of the source left out."""
    random = np.random.default_rng(run.number)
    for place, row in enumerate(run.films.tolist()):
        file, group, source = collection.files[row], collection.group[row], collection.source[row]
        image = read_image(file)
        verdict = judge(image, classifier=classifier)

        def answer(question: str, right: bool, source: str = source, group: int = group) -> Answer:
            return Answer(question, source, group, right)

        yield answer("good film accepted as chest", verdict.route is Route.CHEST)
        yield answer("good film refused for any reason", not verdict.suitable)
        yield answer("good film called doubtful", Flaw.DOUBTFUL in flaws(verdict))
        for flaw in (Flaw.INVERTED, Flaw.ROTATED, Flaw.CROPPED, Flaw.EXPOSURE, Flaw.TOO_SMALL):
            yield answer(f"good film called {flaw.value}", flaw in flaws(verdict))
        pixels = image.pixels.astype(np.uint8)
        for question, flaw, changed in spoilt(pixels, random):
            spoken = judge(changed, classifier=classifier)
            yield answer(question, flaw in flaws(spoken))
            yield answer(_refused(question), not spoken.suitable)
        seen = judge(photographed(pixels, random), classifier=classifier)
        yield answer("film bent and glaring as in a photograph accepted as chest", seen.suitable)
        for question, variant in variants(pixels) if place < VARIANTS else ():
            same = judge(variant, classifier=classifier)
            alike = same.route is verdict.route and same.suitable is verdict.suitable
            yield answer(f"same verdict: {question}", alike)


def ask_slices(run: Run, collection: Collection, classifier: Classifier) -> Iterator[Answer]:
    """CT and MR slices of cases left out, and brain slices of a source left out."""
    names = {OTHER: "CT or MR slice that is no brain MRI", NOT_CHEST: "MR slice of the head, brain or not"}
    for row in run.slices.tolist():
        kind, group = collection.kind[row], collection.group[row]
        route = judge(read_image(collection.files[row]), classifier=classifier).route
        name, as_brain = names.get(kind, "brain MRI slice"), route is Route.BRAIN_MRI
        yield Answer(f"{name} taken for chest", "others", group, route is Route.CHEST)
        if kind == BRAIN:
            yield Answer("brain MRI slice of a case left out accepted", "others", group, as_brain)
        elif kind == OTHER:
            yield Answer(f"{name} taken for brain MRI", "others", group, as_brain)
    for row in run.brains.tolist():
        verdict = judge(read_image(collection.files[row]), classifier=classifier)
        group, source = collection.group[row], collection.source[row]
        as_brain = verdict.route is Route.BRAIN_MRI
        yield Answer("brain MRI slice of a source left out accepted", source, group, as_brain)
        yield Answer("brain MRI slice of a source left out refused", source, group, not verdict.suitable)


def ask_drawn(run: Run, classifier: Classifier) -> Iterator[Answer]:
    """What is no medical image at all."""
    random = np.random.default_rng(1000 + run.number)
    makers: dict[str, Callable[[np.random.Generator, int], list[scenes.Colour]]] = {
        "document or screen": scenes.documents,
        "noise or blank frame": scenes.noise,
        "traced scene in colour": scenes.traced,
        "crop of one of three photographs": scenes.photographs,
    }
    for question, make in makers.items():
        for number, picture in enumerate(make(random, DRAWN)):
            group = number % 3 if make is scenes.photographs else run.number * DRAWN + number
            channels = picture.astype(float)
            tint = np.abs(channels - channels.mean(axis=2, keepdims=True)).mean() / 255
            plain = np.asarray(Image.fromarray(picture).convert("L"))
            for words, colour in (("", float(tint)), (", made grey", 0.0)):
                verdict = judge(grey(plain, colour=colour), classifier=classifier)
                for route in Route:
                    taken = verdict.route is route
                    yield Answer(f"{question}{words} taken for {route.value}", "drawn", group, taken)


def work(run: Run, examples: Examples, collection: Collection) -> list[Answer]:
    """Train without what the run leaves out, then ask."""
    from imaging_gate_training import GateOptions, train_gate

    with TemporaryDirectory() as folder:
        out = Path(folder) / "gate"
        train_gate(examples.only(run.train), out, GateOptions(), lambda step, done, total: None)
        classifier = load_classifier(out)
        return [
            *ask_films(run, collection, classifier),
            *ask_slices(run, collection, classifier),
            *ask_drawn(run, classifier),
        ]


def plan(collection: Collection) -> list[Run]:
    """Few runs, each without several sources of films, about as many films in each, and a share of the cases.

    A source of brain slices is left out in one run each as well.
    """
    kind, group = np.array(collection.kind), np.array(collection.group)
    source = np.array([name.split(":")[0] for name in collection.source])
    film_sources, counts = np.unique(source[kind == CHEST], return_counts=True)
    brain_sources = sorted(set(source[kind == BRAIN]))
    sliced = np.isin(source, source[(kind == OTHER) | (kind == NOT_CHEST)]) & (kind != CHEST)
    parts: list[list[str]] = [[] for _ in range(RUNS)]
    loads = [0] * RUNS
    for place in np.argsort(-counts):
        lightest = loads.index(min(loads))
        parts[lightest].append(str(film_sources[place]))
        loads[lightest] += int(counts[place])
    runs = []
    for number, names in enumerate(parts):
        films = (kind == CHEST) & np.isin(source, names)
        brains = (kind == BRAIN) & (source == (brain_sources[number] if number < len(brain_sources) else ""))
        slices = sliced & (group % RUNS == number) & ~brains
        train = ~(films | brains | slices | np.isin(group, group[films | slices]))
        runs.append(
            Run(
                number,
                train=np.flatnonzero(train),
                films=np.flatnonzero(films),
                brains=np.flatnonzero(brains),
                slices=np.flatnonzero(slices),
            )
        )
    return runs


def table(answers: Iterable[Answer], by_source: tuple[str, ...]) -> list[dict[str, object]]:
    """One line for each question, and for some for each source too."""
    sorted_out: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in answers:
        sorted_out[answer.row, ""].append(answer)
        if answer.row in by_source:
            sorted_out[answer.row, answer.source.split(":")[0]].append(answer)
    lines: list[dict[str, object]] = []
    for (row, source), found in sorted(sorted_out.items()):
        right = np.array([answer.right for answer in found])
        interval = share_interval(right, np.array([answer.group for answer in found]))
        lines.append(
            {
                "row": row,
                "source": source or "all",
                "hits": int(right.sum()),
                "n": len(right),
                "rate": float(right.mean()),
                "low": interval.low if interval else 0.0,
                "high": interval.high if interval else 1.0,
            }
        )
    return lines


BY_SOURCE = (
    "good film accepted as chest",
    "good film refused for any reason",
    "inverted film named so",
    "film turned 90° left named so",
    "film turned 90° right named so",
    "brain MRI slice of a source left out accepted",
)


RECORDED = {
    "chest-accepted": ("good film accepted as chest", 0.99, 1.0),
    "ct-mr": ("CT or MR slice that is no brain MRI taken for chest", 0.0, 0.01),
    "noise": ("noise or blank frame taken for chest", 0.0, 0.01),
    "documents": ("document or screen taken for chest", 0.0, 0.01),
    "inverted": ("inverted film named so", 0.9, 1.0),
}
"""The rows in docs/figures.json: what is asked of a gate, the least and the greatest share."""
TOGETHER = {
    "turned": {
        "film turned 90° left named so": "90° left",
        "film turned 90° right named so": "90° right",
        "film upside down named so": "180°",
    },
    "cropped": {
        "left or right half of a film named cropped": "left or right half",
        "upper or lower half of a film named cropped": "upper or lower",
    },
}
"""Rows with several shares."""


def keep(lines: Sequence[Mapping[str, Any]]) -> None:
    """Record the figures of the table that are one rate with one goal."""
    whole = {line["row"]: line for line in lines if line["source"] == "all"}
    for row, (title, least, most) in RECORDED.items():
        rate = whole[title]["rate"]
        cells = {"reached": judged(f"{rate:.1%}", met=least <= rate <= most)}
        record(f"image-gate/{row}", {**cells, "n": f"{whole[title]['n']:,}"})
    for row, titles in TOGETHER.items():
        rates = [(words, whole[title]["rate"]) for title, words in titles.items()]
        text = ", ".join(f"{rate:.1%} ({words})" for words, rate in rates)
        record(f"image-gate/{row}", {"reached": judged(text, met=min(rate for _, rate in rates) >= 0.9)})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    collection = films_of(read_labels(arguments.data)).with_more(read_others(arguments.others))
    examples = gather(collection, arguments.workers, lambda step, done, total: None)
    assert len(examples) == len(collection), "an image cannot be read"
    runs = plan(collection)
    answers: list[Answer] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        for found in pool.map(work, runs, [examples] * len(runs), [collection] * len(runs)):
            answers += found
    lines = table(answers, BY_SOURCE)
    print("| asked | source left out | n | rate | 95% interval |\n|---|---|---|---|---|")
    for line in lines:
        share = f"{line['rate']:.3f} | {line['low']:.3f} to {line['high']:.3f}"
        print(f"| {line['row']} | {line['source']} | {line['n']} | {share} |")
    keep(lines)
    if arguments.json:
        arguments.json.write_text(json.dumps(lines, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
