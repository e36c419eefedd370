"""`tetkik findings train-gate`: the small network that the quality gate asks about pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tetkik.bundle import Metric, bundle_id
from tetkik.cli.config import configurable
from tetkik.cli.console import print_line, progress, t, writing
from tetkik.cli.options import BundleFolder, Licence, ModelName, argument, option
from tetkik.errors import DataError, MissingExtra
from tetkik.language import Sentence

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.gate.examples import Collection


@configurable
def train_gate(
    labels: Annotated[
        Path,
        argument(
            "A table of chest radiographs and slices of brain MRI, as `findings train` takes it.",
            "LABELS.csv",
        ),
    ],
    *,
    others: Annotated[Path, option("A folder of images that are no chest radiograph.")],
    folder: BundleFolder,
    images: Annotated[
        Path | None, option("The folder of the table's images; without it the table's own.")
    ] = None,
    name: ModelName = None,
    steps: Annotated[int, option("Batches of 64 images to learn from.", min=1)] = 1200,
    scenes: Annotated[int, option("Pictures to draw that are neither, beside real ones.", min=0)] = 2000,
    seed: Annotated[int, option("Of the weights and every draw.", min=0)] = 0,
    workers: Annotated[int, option("How many images are read at once.", min=1)] = 2,
    figures: Annotated[
        Path | None, option("What `benchmarks/imaging_gate.py --json` wrote, for the card.")
    ] = None,
    licence: Licence = "unknown",
    data_name: Annotated[str, option("What the card calls the data.")] = "training images",
) -> None:
    """A bundle with its card; nothing is written where the training does not end well."""
    from tetkik.imaging.gate.judge import BUILT_IN
    from tetkik.lab.findings.data import read_labels
    from tetkik.lab.gate.examples import gather, read_others

    try:
        from tetkik.lab.gate.train import GateOptions, Schedule
        from tetkik.lab.gate.train import train_gate as train
    except ImportError as error:
        raise MissingExtra(
            "Training a network needs the package {name}; `pip install 'tetkik[torch]'`.", name=error.name
        ) from None

    options = GateOptions(
        id=name or bundle_id(folder.resolve().name) or BUILT_IN,
        scenes=scenes,
        schedule=Schedule(steps=steps, seed=seed),
        licence=licence,
        data_name=data_name,
        metrics=() if figures is None else read_figures(figures),
    )
    collection = films_of(read_labels(labels, images)).with_more(read_others(others))
    with progress(t("train")) as report, writing(folder):
        bundle = train(gather(collection, workers, report), folder, options, report)
    print_line("The model is in {path}.", path=bundle.path)


def films_of(images: LabelledImages) -> Collection:
    """A table of findings as the gate's kinds: a brain slice where a brain label is, else a chest."""
    from tetkik.lab.gate.examples import BRAIN, CHEST, Collection
    from tetkik.values import BRAIN_LABELS

    columns = [place for place, label in enumerate(images.labels) if label in BRAIN_LABELS]
    brain = (images.truth[:, columns] == 1).any(axis=1)
    numbers = {key: number for number, key in enumerate(sorted(set(images.group.tolist())))}
    return Collection(
        files=images.files,
        kind=tuple(BRAIN if is_brain else CHEST for is_brain in brain.tolist()),
        group=tuple(numbers[key] for key in images.group.tolist()),
        source=images.source,
    )


def read_figures(file: Path) -> tuple[Metric, ...]:
    """The rows of the benchmark as metrics of a manifest."""
    try:
        return tuple(
            Metric(
                name=row["row"],
                value=row["rate"],
                low=row["low"],
                high=row["high"],
                n=row["n"],
                data=row["source"],
                split=(Sentence("each source, or its cases, left out of the training"),),
            )
            for row in json.loads(file.read_text("utf-8"))
        )
    except (KeyError, TypeError, ValueError):
        raise DataError(
            "{path} is not what benchmarks/imaging_gate.py writes with --json; give that file.", path=file
        ) from None
