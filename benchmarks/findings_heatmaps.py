"""Do the heatmaps show what the model looks at, and is that where the finding is?

    python benchmarks/findings_heatmaps.py --data DIR [--model M] [--images 150] [--method auto|occlusion]

`DIR` has `labels.csv` (file, labels, patient_id, original), the images, and `tables/BBox_List_2017.csv.gz`,
the boxes that radiologists drew on some images of NIH ChestX-ray14. Three questions:

- Boxes: what share of the heat lies in the box of a finding, against the box's share of the image (chance)
  and against a bell in the middle of the image (a map that knows where findings usually are, nothing else).
- Blanking: does blurring the hottest tenth lower the finding's logit more than blurring as large a piece
  elsewhere, of the same shape? Paired, on images that have the finding.
- Random weights: how alike are the maps of the model and of the same model with its weights shuffled
  (Adebayo et al., NeurIPS 2018)? A method that draws edges would draw them for both.

Intervals are 95%, by bootstrap over patients.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from figures import record
from tetkik.bundle import Bundle, Task, open_bundle, resolve, write_manifest
from tetkik.findings.heatmaps import Heatmaps, Method, Occlusion, heatmaps_for, onto_image
from tetkik.findings.onnx_model import FindingsModel
from tetkik.findings.predict import load_model
from tetkik.imaging.prepare import normalise, to_square
from tetkik.imaging.read import read_image
from tetkik.settings import settings
from tetkik.values import Radiograph

Field = NDArray[np.floating]
BOX_SCALE = 1024
"""Boxes are in pixels of the original images, which are squares of this side."""
NAMES = {"Infiltrate": "Infiltration"}
HOT = 0.1
ELSEWHERE = 8
REPLICATES = 2000
SHUFFLES = 3


@dataclass(frozen=True)
class Row:
    """An image with the findings it has, and the boxes that were drawn on it, as shares of its sides."""

    file: Path
    patient: str
    labels: tuple[str, ...]
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...]


def read_rows(data: Path) -> list[Row]:
    """The images of NIH ChestX-ray14."""
    boxes: dict[str, list[tuple[str, tuple[float, float, float, float]]]] = {}
    with gzip.open(data / "tables" / "BBox_List_2017.csv.gz", "rt", encoding="utf-8") as file:
        for name, label, *numbers in list(csv.reader(file))[1:]:
            x, y, width, height = (float(number) / BOX_SCALE for number in numbers[:4])
            boxes.setdefault(name, []).append((NAMES.get(label, label), (x, y, width, height)))
    with (data / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [
            Row(
                data / row["file"],
                row["patient_id"],
                tuple(row["labels"].split(";")),
                tuple(boxes.get(row["original"], ())),
            )
            for row in csv.DictReader(file)
            if row["patient_id"].startswith("NIH")
        ]


class Mapper:
    """Maps of one model, on the image."""

    def __init__(self, model: FindingsModel, heatmaps: Heatmaps) -> None:
        self.model, self.heatmaps = model, heatmaps
        self.columns = {label: place for place, label in enumerate(model.manifest.labels)}

    def heat(self, image: Radiograph, label: str) -> NDArray[np.float32]:
        """(rows, columns), 0 to 1."""
        (raw,) = self.heatmaps.maps(to_square(image, self.model.preprocessing), [self.columns[label]])
        return onto_image(raw, image.rows, image.columns, self.model.preprocessing.fit)

    def logits(self, images: Sequence[Radiograph], label: str) -> Field:
        """(images,)."""
        squares = np.stack([to_square(image, self.model.preprocessing) for image in images])
        scores = self.model.scores(normalise(squares, self.model.preprocessing))[:, self.columns[label]]
        clipped = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
        return np.log(clipped) - np.log1p(-clipped)


def by_patient(values: Sequence[float], patients: Sequence[str], seed: int = 0) -> str:
    """The mean and its 95% interval, as text."""
    known = np.asarray(values, float)
    _, members = np.unique(np.asarray(patients), return_inverse=True)
    total = np.bincount(members, weights=known)
    count = np.bincount(members)
    draws = np.random.default_rng(seed).integers(0, len(total), (REPLICATES, len(total)))
    means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{known.mean():.3f} [{low:.3f}, {high:.3f}]"


def centre_prior(rows: int, columns: int) -> Field:
    """A bell in the middle whose deviation is a quarter of each side."""
    y = (np.arange(rows) + 0.5) / rows - 0.5
    x = (np.arange(columns) + 0.5) / columns - 0.5
    return np.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.25**2))


def share_in(heat: Field, box: tuple[float, float, float, float]) -> float:
    """Share of the heat within the box; NaN for an empty map."""
    x, y, width, height = box
    rows, columns = heat.shape
    part = heat[
        round(y * rows) : round((y + height) * rows), round(x * columns) : round((x + width) * columns)
    ]
    return float(part.sum() / heat.sum()) if heat.sum() > 0 else float("nan")


def boxes_table(mapper: Mapper, rows: Sequence[Row]) -> None:
    """Energy in the boxes."""
    found = []
    empty = 0
    for row in rows:
        for label, box in row.boxes:
            if label not in mapper.columns:
                continue
            image = read_image(row.file)
            heat = mapper.heat(image, label)
            if heat.max() == 0:
                empty += 1
                continue
            peak = np.zeros_like(heat)
            peak[np.unravel_index(heat.argmax(), heat.shape)] = 1
            shares = (share_in(heat, box), box[2] * box[3], share_in(centre_prior(*heat.shape), box))
            found.append((row.patient, *shares, share_in(peak, box)))
    if not found:
        print("No image has a box of a label that this model has.")
        return
    patients = [item[0] for item in found]
    columns = np.array([item[1:] for item in found], float)
    files = len({row.file for row in rows if row.boxes})
    print(
        f"{files} images with {len(found)} boxes of {len(set(patients))} patients; {empty} maps were empty.\n"
    )
    print("| share of the heat in the box | mean [95%] |")
    print("|---|---|")
    for title, values in (
        ("heatmap", columns[:, 0]),
        ("the box's share of the image: chance", columns[:, 1]),
        ("a bell in the middle of the image", columns[:, 2]),
        ("heatmap less chance", columns[:, 0] - columns[:, 1]),
        ("heatmap less the bell", columns[:, 0] - columns[:, 2]),
        ("the hottest point lies in the box", columns[:, 3]),
    ):
        print(f"| {title} | {by_patient(values.tolist(), patients)} |")
    centre = by_patient(columns[:, 2].tolist(), patients).partition(" ")[0]
    share = by_patient(columns[:, 0].tolist(), patients)
    cells = {"reached": f"{share}; a Gaussian in the middle of the image has {centre}"}
    cells["chance"] = f"{columns[:, 1].mean():.3f} (the box itself)"
    record("heatmaps/in-box", {**cells, "n": f"{files} images, {len(found)} boxes"})


def blurred_where(image: Radiograph, mask: NDArray[np.bool_]) -> Radiograph:
    """The image without detail within the mask."""
    grey = Image.fromarray(image.pixels.astype(np.float32))
    small = grey.resize((8, 8), Image.Resampling.BOX).resize(grey.size, Image.Resampling.BICUBIC)
    soft = np.clip(np.asarray(small), 0, image.white)
    pixels = image.pixels.copy()
    pixels[mask] = soft[mask]
    return replace(image, pixels=pixels)


def blanking_table(mapper: Mapper, rows: Sequence[Row], most: int) -> None:
    """Blank the hot region, or as much elsewhere."""
    rng = np.random.default_rng(0)
    pairs = [
        (row, label) for row in rows for label in row.labels if label in mapper.columns and label != "Normal"
    ]
    chosen = [pairs[place] for place in rng.permutation(len(pairs))[:most]]
    hits, misses, patients = [], [], []
    for row, label in chosen:
        image = read_image(row.file)
        heat = mapper.heat(image, label)
        if heat.max() == 0:
            continue
        # Ties are broken at random, so that every mask has the same area.
        order = np.argsort((heat + 1e-6 * rng.random(heat.shape)).ravel())
        mask = np.zeros(heat.shape, bool)
        mask.flat[order[-round(HOT * heat.size) :]] = True
        others = [other for _ in range(200) if (other := _moved(mask, rng)) is not None][:ELSEWHERE]
        if not others:
            continue
        logits = mapper.logits([image, *(blurred_where(image, part) for part in (mask, *others))], label)
        hits.append(float(logits[0] - logits[1]))
        misses.append(float(logits[0] - logits[2:].mean()))
        patients.append(row.patient)
    difference = np.array(hits) - np.array(misses)
    print(f"\n{len(hits)} findings in images of {len(set(patients))} patients.\n")
    print("| the logit falls by, on average | mean [95%] |")
    print("|---|---|")
    print(f"| hottest tenth blurred | {by_patient(hits, patients)} |")
    print(f"| as much elsewhere, same shape | {by_patient(misses, patients)} |")
    print(f"| difference, paired | {by_patient(difference.tolist(), patients)} |")
    further = by_patient((difference > 0).astype(float).tolist(), patients)
    print(f"| hottest falls further | {further} |")
    record("heatmaps/blurring", {"reached": further, "n": f"{len(hits)}"})


def _moved(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """The mask shifted around the edges, where it hardly meets itself."""
    other = np.roll(mask, (int(rng.integers(mask.shape[0])), int(rng.integers(mask.shape[1]))), axis=(0, 1))
    return other if (mask & other).sum() <= 0.2 * mask.sum() else None


def shuffled(bundle: Bundle, folder: Path, seed: int) -> Bundle:
    """The bundle with the values of every weight in another order."""
    import onnx
    from onnx import numpy_helper

    rng = np.random.default_rng(seed)
    network = onnx.load(bundle.file("model.onnx"))
    for weights in network.graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.ndim >= 2 and values.dtype.kind == "f":
            mixed = rng.permutation(values.ravel()).reshape(values.shape)
            weights.CopyFrom(numpy_helper.from_array(mixed, weights.name))
    folder.mkdir()
    onnx.save(network, folder / "model.onnx")
    write_manifest(folder, bundle.manifest)
    return open_bundle(folder)


def ranks(values: Field) -> Field:
    """Ranks, ties at their mean."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def random_table(mapper: Mapper, bundle: Bundle, rows: Sequence[Row], most: int, method: str) -> None:
    """Rank correlation with the maps of shuffled weights."""
    pairs = [
        (row, label) for row in rows for label in row.labels if label in mapper.columns and label != "Normal"
    ]
    order = np.random.default_rng(1).permutation(len(pairs))
    values, patients, empty = [], [], 0
    with TemporaryDirectory() as place:
        others = [
            mapper_of(load_model(shuffled(bundle, Path(place) / str(seed), seed)), method)
            for seed in range(SHUFFLES)
        ]
        for row, label in (pairs[number] for number in order[:most]):
            image = read_image(row.file)
            own = mapper.heat(image, label)
            for other in others:
                theirs = other.heat(image, label)
                if min(own.std(), theirs.std()) == 0:
                    empty += 1
                    continue
                values.append(float(np.corrcoef(ranks(own), ranks(theirs))[0, 1]))
                patients.append(row.patient)
    print(f"\n{len(values)} pairs of maps ({SHUFFLES} shuffles); {empty} more were flat.\n")
    print("| rank correlation with the maps of shuffled weights | mean [95%] |")
    print("|---|---|")
    print(f"| as it is | {by_patient(values, patients)} |")
    record("heatmaps/shuffled", {"reached": f"{by_patient(values, patients)} rank correlation"})
    print(f"| without its sign | {by_patient(np.abs(values).tolist(), patients)} |")


def mapper_of(model: FindingsModel, method: str) -> Mapper:
    """The model with the wanted method."""
    return Mapper(model, Occlusion(model) if method == Method.OCCLUSION else heatmaps_for(model))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=settings().findings_model)
    parser.add_argument("--images", type=int, default=150, help="for blanking and for random weights")
    parser.add_argument("--method", choices=("auto", "occlusion"), default="auto")
    arguments = parser.parse_args()
    bundle = resolve(arguments.model, Task.FINDINGS)
    mapper = mapper_of(load_model(bundle), arguments.method)
    rows = read_rows(arguments.data)
    print(f"{bundle.manifest.name}, {mapper.heatmaps.method.value}.\n")
    boxes_table(mapper, rows)
    blanking_table(mapper, rows, arguments.images)
    random_table(mapper, bundle, rows, arguments.images // SHUFFLES, arguments.method)


if __name__ == "__main__":
    main()
