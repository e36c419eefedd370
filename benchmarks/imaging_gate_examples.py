"""What the gate learns from: small squares of whole images, with what is known of each."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tetkik.errors import DataError, InputError
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.findings.data import LabelledImages
from tetkik.statistics.intervals import Ints
from tetkik.values import BRAIN_LABELS
from tetkik.values.common import ProgressCallback
from tetkik.values.radiograph import FileFormat, Fit, Radiograph

# Pictures of anything but an X-ray film, drawn: what the gate learns to refuse beside real CT and MR slices.
#
# Each painter takes a generator and gives one picture of a kind; nothing here is meant to be pretty, only
# to be different each time. The benchmark has painters of its own, so that it does not ask what was taught.


Grey = NDArray[np.uint8]
Painter = Callable[[np.random.Generator, int, int], Grey]

_WORDS = Path(__file__).with_name("imaging_gate_words.txt").read_text("utf-8").split()


def draw_scene(random: np.random.Generator) -> Grey:
    """One picture of a random kind: (rows, columns), uint8, sides of 120 to 260 pixels."""
    rows, columns = (int(random.integers(120, 260)) for _ in range(2))
    painter = PAINTERS[random.integers(len(PAINTERS))]
    return painter(random, rows, columns)


def _font(random: np.random.Generator, low: int, high: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(int(random.integers(low, high)))


def _sentence(random: np.random.Generator, words: int) -> str:
    chosen = [str(word) for word in random.choice(_WORDS, words)]
    if random.random() < 0.4:
        chosen[-1] = f"{random.integers(1, 2000) / 10}"
    return " ".join(chosen)


def _document(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Lines of print on paper, or light on dark."""
    page = Image.new("L", (columns, rows), int(random.integers(215, 256)))
    draw = ImageDraw.Draw(page)
    font, ink = _font(random, 6, 15), int(random.integers(0, 90))
    step, left = int(random.integers(8, 22)), int(random.integers(2, 30))
    for top in range(int(random.integers(3, 30)), rows, step):
        if random.random() < 0.85:
            draw.text((left, top), _sentence(random, int(random.integers(2, 12))), fill=ink, font=font)
    for _ in range(int(random.integers(0, 8))):
        x, y = random.uniform(0, columns), random.uniform(0, rows)
        draw.rectangle((x, y, x + random.uniform(10, 120), y + random.uniform(1, 60)), outline=ink)
    grey = np.asarray(page)
    return grey if random.random() < 0.75 else 255 - grey


def _table(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """A laboratory report: ruled cells, some shaded."""
    page = Image.new("L", (columns, rows), 250)
    draw = ImageDraw.Draw(page)
    font = _font(random, 6, 12)
    wide, high = int(random.integers(25, 80)), int(random.integers(9, 24))
    for y in range(int(random.integers(0, 40)), rows, high):
        for x in range(int(random.integers(0, 10)), columns, wide):
            shade = int(random.choice([250, 250, 225, 170]))
            draw.rectangle((x, y, x + wide, y + high), fill=shade, outline=90)
            draw.text((x + 2, y + 1), _sentence(random, 1), fill=20, font=font)
    return np.asarray(page)


def _chart(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """A page with a figure: bars, curves or sectors in a box, and a little text."""
    paper, ink = (int(random.integers(200, 256)), int(random.integers(0, 90)))
    if random.random() < 0.4:
        paper, ink = ink, paper
    page = Image.new("L", (columns, rows), paper)
    draw = ImageDraw.Draw(page)
    left, right = columns * random.uniform(0.05, 0.2), columns * random.uniform(0.75, 0.97)
    top, bottom = rows * random.uniform(0.1, 0.5), rows * random.uniform(0.7, 0.97)
    draw.text((left, 4), _sentence(random, int(random.integers(2, 9))), fill=ink, font=_font(random, 7, 16))
    draw.rectangle((left, top, right, bottom), fill=int(random.choice([paper, 235])), outline=ink)
    wide, high = right - left, bottom - top
    steps = int(random.integers(3, 13))
    values = random.random(steps)
    match random.integers(3):
        case 0:
            for place, value in enumerate(values):
                x = left + wide * (place + 0.15) / steps
                box = (x, bottom - high * value, x + 0.7 * wide / steps, bottom)
                draw.rectangle(box, fill=int(random.integers(0, 220)))
        case 1:
            for _ in range(int(random.integers(1, 6))):
                heights = np.cumsum(random.normal(0, 0.05, 60)) + random.random()
                points = [
                    (left + wide * x / 60, bottom - high * float(y) % high) for x, y in enumerate(heights)
                ]
                draw.line(points, fill=ink, width=int(random.integers(1, 4)))
        case _:
            r, start = min(wide, high) / 2.2, 0.0
            centre = ((left + right) / 2, (top + bottom) / 2)
            box = (centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r)
            for value in values / values.sum():
                draw.pieslice(box, start, start + 360 * value, fill=int(random.integers(0, 256)))
                start += 360 * value
    return np.asarray(page)


def _fan(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """A sector of speckle with dark holes on black, as ultrasound shows it."""
    y, x = np.mgrid[0 : 1 : rows * 1j, -0.5 : 0.5 : columns * 1j]
    depth, angle = np.hypot(x, y + 0.1), np.arctan2(x, y + 0.1)
    inside = (np.abs(angle) < random.uniform(0.4, 0.9)) & (depth > 0.15) & (depth < random.uniform(0.8, 1.1))
    echo = random.gamma(random.uniform(1, 4), 0.12, (rows, columns)) * random.uniform(0.6, 1.8)
    for _ in range(int(random.integers(1, 6))):
        cx, cy = random.uniform(-0.3, 0.3), random.uniform(0.2, 0.9)
        hole = np.hypot((x - cx) / random.uniform(0.03, 0.25), (y - cy) / random.uniform(0.03, 0.2)) < 1
        echo = np.where(hole, echo * random.uniform(0, 1.8), echo)
    return _photographed(random, Image.fromarray(_grey(np.where(inside, echo, 0))))


def _screen(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Windows of a program, with buttons, text and a picture in a frame."""
    page = Image.new("L", (columns, rows), int(random.integers(20, 240)))
    draw = ImageDraw.Draw(page)
    for _ in range(int(random.integers(2, 9))):
        x, y = int(random.integers(-20, columns - 10)), int(random.integers(-20, rows - 10))
        wide, high = int(random.integers(30, columns)), int(random.integers(15, rows))
        shade = int(random.integers(0, 256))
        draw.rectangle((x, y, x + wide, y + high), fill=shade, outline=255 - shade)
        draw.rectangle((x, y, x + wide, y + 7), fill=(shade + 90) % 256)
        font = _font(random, 6, 12)
        for line in range(y + 10, y + high, 11):
            draw.text((x + 3, line), _sentence(random, 3), fill=(shade + 128) % 256, font=font)
    return np.asarray(page)


def _noise(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """White noise, salt and pepper, speckle or bars."""
    match random.integers(5):
        case 0:
            field = random.random((rows, columns))
        case 1:
            field = random.normal(0.5, random.uniform(0.03, 0.3), (rows, columns))
        case 2:
            field = (random.random((rows, columns)) < random.uniform(0.02, 0.98)).astype(float)
        case 3:
            field = random.exponential(0.3, (rows, columns))
        case _:
            field = np.broadcast_to(random.random(columns if random.random() < 0.5 else 1), (rows, columns))
            field = field * random.random((rows, 1))
    return _grey(field)


def _clouds(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Noise smoothed at several scales."""
    field = np.zeros((rows, columns))
    for scale in random.choice([2, 4, 8, 16, 32, 64], int(random.integers(1, 5)), replace=False):
        coarse = random.random((rows // scale + 2, columns // scale + 2))
        layer = Image.fromarray(coarse.astype(np.float32)).resize((columns, rows), Image.Resampling.BICUBIC)
        field += np.asarray(layer) * scale ** random.uniform(0, 1)
    low, high = np.percentile(field, (1, 99))
    return _grey((field - low) / max(high - low, 1e-6))


def _gradient(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Nothing at all, or a slope of brightness."""
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    match random.integers(4):
        case 0:
            field = np.full((rows, columns), random.random())
        case 1:
            field = x * random.uniform(-1, 1) + y * random.uniform(-1, 1) + random.random()
        case 2:
            field = np.hypot(x - random.random(), y - random.random()) * random.uniform(0.4, 1.5)
        case _:
            field = 1 - np.hypot(x - 0.5, (y - 0.5) * random.uniform(0.6, 1.5)) * random.uniform(0.8, 3)
    return _grey(field + random.normal(0, random.choice([0, 0.01, 0.05]), field.shape))


def _pattern(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Stripes, checks, rings."""
    y, x = np.mgrid[0:rows, 0:columns] / float(random.integers(4, 60))
    angle = random.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    match random.integers(4):
        case 0:
            field = np.sin(along)
        case 1:
            field = np.sin(along) * np.sin(across)
        case 2:
            field = np.sign(np.sin(along) * np.sin(across))
        case _:
            field = np.sin(np.hypot(x - random.uniform(0, 5), y - random.uniform(0, 5)))
    return _grey(0.5 + random.uniform(0.1, 0.5) * field)


def _landscape(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Sky, hills, a sun, buildings: the tones of a photograph taken outside."""
    page = Image.fromarray(_gradient_down(random, rows, columns))
    draw = ImageDraw.Draw(page)
    horizon = rows * random.uniform(0.3, 0.8)
    for _ in range(int(random.integers(1, 5))):
        knots = np.cumsum(random.normal(0, rows / 12, 9)) + horizon
        points = [(columns * i / 8, float(height)) for i, height in enumerate(knots)]
        draw.polygon([(0, rows), *points, (columns, rows)], fill=int(random.integers(20, 200)))
        horizon += rows / 12
    for _ in range(int(random.integers(0, 7))):
        x, y = random.uniform(0, columns), random.uniform(rows / 4, rows)
        wide, high = random.uniform(5, 60), random.uniform(5, 90)
        draw.rectangle((x, y - high, x + wide, y), fill=int(random.integers(0, 256)))
    for _ in range(int(random.integers(0, 60))):
        x, y = random.uniform(0, columns), random.uniform(0, rows)
        r = random.uniform(1, 14)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=int(random.integers(0, 256)))
    return _photographed(random, page)


def _things(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Overlapping bodies with a lit and a dark side: objects on a table, a face, a crowd."""
    y, x = np.mgrid[0:rows, 0:columns].astype(float)
    field = np.full((rows, columns), random.random()) + (x * random.uniform(-1, 1)) / columns / 2
    for _ in range(int(random.integers(1, 14))):
        cx, cy = random.uniform(0, columns), random.uniform(0, rows)
        a, b = random.uniform(6, columns / 2), random.uniform(6, rows / 2)
        turn = random.uniform(0, np.pi)
        u = ((x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)) / a
        v = ((y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)) / b
        inside = (np.hypot(u, v) < 1) if random.random() < 0.7 else (np.maximum(abs(u), abs(v)) < 0.8)
        shading = random.random() + random.uniform(-0.5, 0.5) * u + random.uniform(-0.5, 0.5) * v
        field = np.where(inside, shading, field)
    return _photographed(random, Image.fromarray(_grey(field)))


def _limb(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """Bright shafts in a grey sleeve on black: an arm, a knee, a hand, a spine."""
    page = Image.new("L", (columns, rows), int(random.integers(0, 40)))
    draw = ImageDraw.Draw(page)
    shafts = int(random.choice([1, 1, 2, 2, 5]))
    lean = random.uniform(-0.25, 0.25) * columns
    for index in range(shafts):
        x = columns * (index + 1) / (shafts + 1)
        flesh, bone = random.uniform(0.12, 0.3) * columns, random.uniform(0.03, 0.09) * columns
        joints = sorted(random.uniform(0, rows, int(random.integers(1, 4))))
        draw.line((x, -9, x + lean, rows + 9), fill=int(random.integers(60, 130)), width=int(2 * flesh))
        draw.line((x, -9, x + lean, rows + 9), fill=int(random.integers(160, 240)), width=int(2 * bone))
        draw.line((x, -9, x + lean, rows + 9), fill=int(random.integers(130, 200)), width=int(bone))
        for joint in joints:
            at, r = x + lean * joint / rows, bone * random.uniform(1.3, 2.2)
            draw.ellipse((at - r, joint - r, at + r, joint + r), fill=int(random.integers(160, 235)))
            draw.line((at - r, joint, at + r, joint), fill=90, width=max(1, int(r / 8)))
    turned = page.transpose(Image.Transpose.ROTATE_90) if random.random() < 0.4 else page
    return _photographed(random, turned)


def _slab(random: np.random.Generator, rows: int, columns: int) -> Grey:
    """A round or oval section with organs on black: the look of any cross-section that is not a head."""
    y, x = np.mgrid[-1.2 : 1.2 : rows * 1j, -1.2 : 1.2 : columns * 1j]
    wide, high = random.uniform(0.6, 1.15, 2)
    body = np.hypot(x / wide, y / high)
    field = np.where(body < 1, random.uniform(0.3, 0.6), 0.0)
    field = np.where((body > 0.9) & (body < 1), random.uniform(0.05, 0.9), field)
    for _ in range(int(random.integers(3, 16))):
        cx, cy = random.uniform(-0.7, 0.7) * wide, random.uniform(-0.7, 0.7) * high
        part = np.hypot((x - cx) / random.uniform(0.05, 0.4), (y - cy) / random.uniform(0.05, 0.4))
        field = np.where((part < 1) & (body < 0.92), random.random(), field)
    return _photographed(random, Image.fromarray(_grey(field)))


def _gradient_down(random: np.random.Generator, rows: int, columns: int) -> Grey:
    ends = random.uniform(60, 255, 2)
    column: Grey = np.linspace(ends[0], ends[1], rows).astype(np.uint8)
    return np.repeat(column[:, None], columns, axis=1)


def _photographed(random: np.random.Generator, page: Image.Image) -> Grey:
    """With the blur and the grain of a camera."""
    soft = np.asarray(page.filter(ImageFilter.GaussianBlur(random.uniform(0, 2.5))), float) / 255
    return _grey(soft + random.normal(0, random.uniform(0, 0.06), soft.shape))


def _grey(field: NDArray[np.floating]) -> Grey:
    grey: Grey = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return grey


PAINTERS: tuple[Painter, ...] = (
    _document,
    _table,
    _chart,
    _fan,
    _screen,
    _noise,
    _clouds,
    _gradient,
    _pattern,
    _landscape,
    _things,
    _limb,
    _slab,
)

CHEST, BRAIN, OTHER, NOT_CHEST = range(4)
"""Kinds of examples; `NOT_CHEST` may be a slice of a brain MRI or not."""
DRAWN = "drawn"
"""The source of scenes."""

SIDE = 128
"""Side of the squares kept, a little more than the network's input."""
_SQUEEZED = Preprocessing(size=SIDE, mean=(0.0,), std=(1.0,), fit=Fit.SQUASH)


@dataclass(frozen=True, slots=True)
class Collection:
    """Files with their kind and source; rows of a patient, a case or of duplicates share a group."""

    files: tuple[Path, ...]
    kind: tuple[int, ...]  # `CHEST`, `BRAIN`, `OTHER` or `NOT_CHEST`
    group: tuple[int, ...]
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({len(self.files), len(self.kind), len(self.group), len(self.source)}) != 1:
            raise ValueError("columns differ in length")

    def __len__(self) -> int:
        return len(self.files)

    def with_more(self, other: Collection) -> Collection:
        """These and `other`, whose groups stay apart."""
        offset = max(self.group, default=-1) + 1
        return Collection(
            self.files + other.files,
            self.kind + other.kind,
            self.group + tuple(group + offset for group in other.group),
            self.source + other.source,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Images of known kind, with group and source as in `Collection`."""

    squares: NDArray[np.uint8]  # (n, SIDE, SIDE), uint8: whole images squeezed into a square
    aspect: NDArray[np.float32]  # (n,), float32, width over height of each image
    kind: Ints
    group: Ints
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.squares)

    def only(self, rows: Ints) -> Examples:
        return Examples(
            self.squares[rows],
            self.aspect[rows],
            self.kind[rows],
            self.group[rows],
            tuple(self.source[row] for row in rows),
        )

    def with_more(self, other: Examples) -> Examples:
        """These and `other`, whose groups stay apart."""
        offset = int(self.group.max(initial=-1)) + 1
        return Examples(
            np.concatenate([self.squares, other.squares]),
            np.concatenate([self.aspect, other.aspect]),
            np.concatenate([self.kind, other.kind]),
            np.concatenate([self.group, other.group + offset]),
            self.source + other.source,
        )


def square_of(image: Radiograph) -> NDArray[np.uint8]:
    """An image as (SIDE, SIDE), uint8, stretched to its own range: 16-bit films may use little of it."""
    square = to_square(image, _SQUEEZED)
    low, high = float(square.min()), float(square.max())
    return np.round((square - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def gather(collection: Collection, workers: int, progress: ProgressCallback) -> Examples:
    """Read every image of a collection; what cannot be read is left out."""
    squares, aspects, rows = [], [], []
    with ThreadPoolExecutor(workers) as pool:
        for row, found in enumerate(pool.map(_read, collection.files)):
            progress("images", row + 1, len(collection))
            if found is not None:
                squares.append(found[0])
                aspects.append(found[1])
                rows.append(row)
    return Examples(
        np.array(squares, np.uint8).reshape(-1, SIDE, SIDE),
        np.array(aspects, np.float32),
        np.array(collection.kind, np.int64)[rows],
        np.array(collection.group, np.int64)[rows],
        tuple(collection.source[row] for row in rows),
    )


def drawn(count: int, seed: int) -> Examples:
    """Scenes of the project's own drawing, each a group of its own."""
    random = np.random.default_rng(seed)
    images = [
        Radiograph(pixels=draw_scene(random), white=255, file_format=FileFormat.PNG, sha256="")
        for _ in range(count)
    ]
    return Examples(
        np.array([square_of(image) for image in images], np.uint8).reshape(-1, SIDE, SIDE),
        np.array([image.columns / image.rows for image in images], np.float32),
        np.full(count, OTHER, np.int64),
        np.arange(count),
        (DRAWN,) * count,
    )


def _read(file: Path) -> tuple[NDArray[np.uint8], float] | None:
    try:
        image = read_image(file)
    except InputError:
        return None
    return square_of(image), image.columns / image.rows


def films_of(images: LabelledImages) -> Collection:
    """A table of findings as the gate's kinds: a brain slice where a brain label is, else a chest."""
    columns = [place for place, label in enumerate(images.labels) if label in BRAIN_LABELS]
    brain = (images.truth[:, columns] == 1).any(axis=1)
    numbers = {key: number for number, key in enumerate(sorted(set(images.group.tolist())))}
    return Collection(
        files=images.files,
        kind=tuple(BRAIN if is_brain else CHEST for is_brain in brain.tolist()),
        group=tuple(numbers[key] for key in images.group.tolist()),
        source=images.source,
    )


TABLE = "captions.csv"
_SLICES = frozenset({"Axial", "Coronal", "Sagittal", "Transverse"})
_PROJECTED = re.compile(
    r"scout|topogram|locali[sz]er|plain (?:film|radio)|radiograph|x-?ray|photograph|ultraso", re.IGNORECASE
)
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"})


def read_others(folder: Path) -> Collection:
    """The images of `folder` that are known to be no chest radiograph.

    With a `captions.csv` (columns file, concepts, caption, case; concepts such as
    `MR|MR - T2 weighted|Axial|Brain and Neuro|Head|ACR 1.3`) only cross-sections count: rows that are not
    axial, coronal, sagittal or transverse, or whose caption speaks of a scout view, a radiograph, an
    ultrasound or a photograph, are left out, since a scout view of the chest is a chest radiograph. An MR
    slice of the head under "Brain and Neuro" with the ACR code of the skull and its contents is a brain
    slice, unless it is an angiogram; any other MR of the head may be one or not.
    Without the table every image in the folder is one of its own, and is neither.

    Raises:
        DataError: there is no image, or the table lacks a column.
    """
    table = folder / TABLE
    found = _of_table(table) if table.is_file() else _of_folder(folder)
    if not len(found):
        raise DataError("{path} holds no image that could be learned from; check the path.", path=folder)
    return found


def _of_table(table: Path) -> Collection:
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"file", "concepts", "caption", "case"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(
                "{path} lacks the columns {columns}; add them, or give a folder without the table.",
                path=table,
                columns=", ".join(sorted(missing)),
            )
        rows = [(row, kind) for row in reader if (kind := _kind(row["concepts"], row["caption"])) is not None]
    cases = {case: number for number, case in enumerate(dict.fromkeys(row["case"] for row, _ in rows))}
    return Collection(
        files=tuple(table.parent / row["file"] for row, _ in rows),
        kind=tuple(kind for _, kind in rows),
        group=tuple(cases[row["case"]] for row, _ in rows),
        source=(table.parent.name,) * len(rows),
    )


def _kind(concepts: str, caption: str) -> int | None:
    words = concepts.split("|")
    if _SLICES.isdisjoint(words) or _PROJECTED.search(caption):
        return None
    if words[0] != "MR" or "Head" not in words:
        return OTHER
    brain = "Brain and Neuro" in words and words[-1].startswith("ACR 1.") and "MRA" not in words[1]
    return BRAIN if brain else NOT_CHEST


def _of_folder(folder: Path) -> Collection:
    files = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS))
    return Collection(files, (OTHER,) * len(files), tuple(range(len(files))), (folder.name,) * len(files))
