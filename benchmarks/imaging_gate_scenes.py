"""Pictures of anything but an X-ray film, drawn by other means than those that the gate was trained with.

Photographs: crops of the few that scikit-learn and matplotlib carry. Noise: fractal, Worley cells, JPEG
wreckage, speckle in a fan. Documents: pages in Turkish and English with tables, curves and handwriting.
Scenes: traced ray by ray.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = NDArray[np.uint8]

_TEXT = {
    "tr": (
        "T.C. Sağlık Bakanlığı · Radyoloji İstek Formu\nHastanın adı soyadı: ............  Dosya no: 48213\n"
        "İstenen tetkik: PA akciğer grafisi\nKlinik bilgi: Üç haftadır öksürük, gece terlemesi, çarpıntı.\n"
        "Özgeçmiş: Hipertansiyon, şeker hastalığı.\nSonuç: Kardiyotorasik oran sınırda. Sinüsler açık."
    ),
    "en": (
        "Discharge summary\nAdmission: shortness of breath, fever for four days\nChest radiograph: no focal\n"
        "consolidation, costophrenic angles are sharp.\nMedication: amoxicillin 1 g twice daily\n"
        "Follow-up in the outpatient clinic in two weeks.\nSigned: ____________________"
    ),
}


def documents(random: np.random.Generator, count: int) -> list[Colour]:
    """Forms, letters, laboratory tables, curves and screens."""
    return [_page(random) for _ in range(count)]


def noise(random: np.random.Generator, count: int) -> list[Colour]:
    """Noise of five kinds, and blank frames."""
    makers: tuple[Callable[[np.random.Generator], NDArray[np.float64]], ...] = (
        _fractal,
        _cells,
        _rings,
        _wreck,
        _walk,
        _blank,
    )
    return [_three(makers[index % len(makers)](random)) for index in range(count)]


def traced(random: np.random.Generator, count: int) -> list[Colour]:
    """Lit balls on a checked floor under a sky, in colour."""
    return [_trace(random) for _ in range(count)]


@cache
def _photographs() -> tuple[Colour, ...]:
    import matplotlib
    from sklearn.datasets import load_sample_images

    portrait = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    with Image.open(portrait) as image:
        return (*load_sample_images().images, np.asarray(image.convert("RGB")))


def photographs(random: np.random.Generator, count: int) -> list[Colour]:
    """Crops of three photographs: a flower, a temple, a portrait."""
    crops = []
    for index in range(count):
        whole = _photographs()[index % len(_photographs())]
        side = int(min(whole.shape[:2]) * random.uniform(0.4, 1))
        top, left = (int(random.integers(0, edge - side + 1)) for edge in whole.shape[:2])
        crops.append(whole[top : top + side, left : left + side])
    return crops


def _page(random: np.random.Generator) -> Colour:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    paper = str(random.choice(["white", "ivory", "#e8f0ff", "#202028"]))
    ink = "white" if paper.startswith("#20") else "black"
    figure = Figure(figsize=(random.uniform(4, 8), random.uniform(4, 9)), dpi=60, facecolor=paper)
    text = _TEXT[str(random.choice(list(_TEXT)))]
    family = str(random.choice(["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"]))
    figure.text(0.05, 0.97, text, va="top", size=random.uniform(7, 15), family=family, color=ink, wrap=True)
    match random.integers(6):
        case 5:
            axes = figure.add_axes((0.25, 0.1, 0.5, 0.4))
            axes.axis("off")
            axes.imshow(random.random((25, 25)) < 0.5, cmap="gray", interpolation="nearest")
        case 4:
            axes = figure.add_axes((0.1, 0.08, 0.8, 0.4))
            bumps = np.cumsum(np.cumsum(random.normal(size=(30, 30)), axis=0), axis=1)
            axes.contourf(bumps, cmap=str(random.choice(["terrain", "gray", "viridis"])))
        case 0:
            axes = figure.add_axes((0.1, 0.08, 0.8, 0.4))
            axes.axis("off")
            cells = [[f"{value:.1f}" for value in row] for row in random.random((7, 4)) * 100]
            axes.table(cells, colLabels=["glukoz", "üre", "Hb", "CRP"], loc="center")
        case 1:
            axes = figure.add_axes((0.1, 0.08, 0.8, 0.4))
            beat = np.linspace(0, 12, 400)
            axes.plot(beat, np.sin(beat) + 4 * np.exp(-(((beat % 2) - 1) ** 2) * 90), color=ink, lw=0.8)
            axes.grid(color="pink")
        case 2:
            axes = figure.add_axes((0.1, 0.05, 0.8, 0.5))
            axes.axis("off")
            for row in range(6):
                steps = np.cumsum(random.normal(0, 1, (60, 2)), axis=0)
                axes.plot(np.arange(60) + steps[:, 0] / 3, steps[:, 1] / 6 - 3 * row, color="navy")
        case _:
            axes = figure.add_axes((0.12, 0.1, 0.8, 0.4))
            axes.bar(range(8), random.random(8), color=str(random.choice(["grey", "teal", "black"])))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    page: Colour = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(page[..., :3])


def _fractal(random: np.random.Generator) -> NDArray[np.float64]:
    """Noise whose power falls with frequency, like clouds or film grain."""
    side = int(random.integers(150, 400))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    frequency[0, 0] = 1
    waves = np.fft.fft2(random.normal(size=(side, side))) / frequency ** random.uniform(0, 2)
    field = np.real(np.fft.ifft2(waves))
    return np.asarray((field - field.min()) / np.ptp(field))


def _cells(random: np.random.Generator) -> NDArray[np.float64]:
    """Distance to the nearest of some points (Worley)."""
    side = 220
    points = random.random((int(random.integers(3, 60)), 2)) * side
    y, x = np.mgrid[0:side, 0:side]
    away = np.min([np.hypot(x - px, y - py) for px, py in points], axis=0)
    return np.asarray(away / away.max() if random.random() < 0.5 else 1 - away / away.max())


def _rings(random: np.random.Generator) -> NDArray[np.float64]:
    """Speckle within a fan, as of ultrasound."""
    side = 240
    y, x = np.mgrid[0:side, 0:side] / side
    speckle = random.rayleigh(0.25, (side, side)) * (0.5 + 0.5 * np.sin(np.hypot(x - 0.5, y) * 60))
    return np.asarray(np.where(np.abs(x - 0.5) < 0.6 * y + 0.03, speckle, 0))


def _wreck(random: np.random.Generator) -> NDArray[np.float64]:
    """A JPEG of noise at the lowest quality: blocks."""
    page = Image.fromarray((random.random((180, 240)) * 255).astype(np.uint8))
    buffer = io.BytesIO()
    page.resize((60, 45)).resize((240, 180)).save(buffer, "JPEG", quality=2)
    return np.asarray(Image.open(buffer), float) / 255


def _walk(random: np.random.Generator) -> NDArray[np.float64]:
    """Sums along rows: streaks."""
    field = np.cumsum(random.normal(size=(200, 200)), axis=int(random.integers(2)))
    return np.asarray((field - field.min()) / np.ptp(field))


def _blank(random: np.random.Generator) -> NDArray[np.float64]:
    """One grey, with the noise of an empty detector."""
    return np.asarray(random.random() + random.normal(0, random.choice([0, 0.004, 0.03]), (256, 256)))


def _three(field: NDArray[np.float64]) -> Colour:
    grey = (np.clip(field, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _trace(random: np.random.Generator) -> Colour:
    rows, columns = int(random.integers(160, 260)), int(random.integers(160, 260))
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(1, -1, rows) * rows / columns)
    rays = np.stack([x, y + random.uniform(-0.2, 0.2), np.full_like(x, 1.5)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    sky = np.array([random.uniform(0.3, 0.9), 0.7, 1.0])
    picture = sky * (0.4 + 0.6 * np.clip(rays[..., 1:2], 0, 1))
    below = rays[..., 1] < -0.02
    ground = np.where(below, -1 / np.where(below, rays[..., 1], -1), 0)
    check = (np.floor(rays[..., 0] * ground * 2) + np.floor(rays[..., 2] * ground * 2)) % 2
    tiles = np.where(check[..., None] > 0, random.random(3), random.random(3))
    picture = np.where(below[..., None], tiles * np.exp(-ground / 12)[..., None], picture)
    light = np.array([random.uniform(-1, 1), 1, -0.6])
    light /= np.linalg.norm(light)
    nearest = np.full((rows, columns), np.inf)
    for _ in range(int(random.integers(1, 7))):
        radius = random.uniform(0.2, 1.2)
        centre = np.array([random.uniform(-2, 2), random.uniform(-0.8, 1), random.uniform(2.5, 7)])
        along = rays @ centre
        inside = along**2 - centre @ centre + radius**2
        away = along - np.sqrt(np.clip(inside, 0, None))
        hit = (inside > 0) & (away > 0) & (away < nearest)
        normal = (rays * away[..., None] - centre) / radius
        shade = 0.15 + 0.85 * np.clip(normal @ light, 0, 1)
        picture = np.where(hit[..., None], random.random(3) * shade[..., None], picture)
        nearest = np.where(hit, away, nearest)
    grain = random.normal(0, 0.02, picture.shape)
    return (np.clip(picture + grain, 0, 1) * 255).astype(np.uint8)
