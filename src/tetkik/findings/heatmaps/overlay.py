"""A heatmap as a picture: the image, the image with the heat over it, and a legend that says what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from tetkik.drawing.typeface import typeface, wrapped
from tetkik.findings.heatmaps.method import Heatmaps, Method, onto_image, scaled
from tetkik.findings.onnx_model import FindingsModel
from tetkik.findings.preprocess import PreparedImage
from tetkik.language import Language, Sentence, translate
from tetkik.values.common import DISCLAIMER
from tetkik.values.finding import Finding, ThresholdOn
from tetkik.values.finding_labels import label_name
from tetkik.values.radiograph import Flaw

SIDE = 640
"""Longer side of the image in the picture, in pixels."""
_OPAQUE = 0.62
_MARGIN = 20
_PAPER, _INK, _QUIET, _WARNING = (17, 17, 19), (236, 236, 236), (160, 160, 165), (240, 190, 80)
# Matplotlib's "inferno" (CC0) from 3/16 up at every sixteenth: even steps of lightness, readable in grey and
# with any colour vision. Its black end would hide the image and is left out.
_ANCHORS = np.array(
    [
        (61, 9, 101), (87, 16, 110), (113, 25, 110), (138, 34, 106), (163, 44, 97), (188, 55, 84),
        (210, 70, 68), (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17), (249, 203, 53),
        (242, 234, 105),        (252, 255, 164),
    ],
    np.float32,
)  # fmt: skip
_METHODS = {
    Method.CAM: Sentence("class activation map"),
    Method.GRAD_CAM: Sentence("Grad-CAM"),
    Method.OCCLUSION: Sentence("occlusion"),
}


@dataclass(frozen=True, slots=True)
class Legend:
    """What stands under the picture. Nothing here says whose image it is."""

    finding: Finding
    method: Method
    model: str
    language: Language
    blurred: bool = False


def coloured(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Heat as colours: (..., 3) for (...), 0 to 1."""
    place = np.clip(heat, 0, 1) * (len(_ANCHORS) - 1)
    steps = np.arange(len(_ANCHORS))
    channels = [np.interp(place, steps, _ANCHORS[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def blended(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The image, (rows, columns), with the heat, 0 to 1, over it: (rows, columns, 3).

    It is clear where there is little, so that the film stays readable.
    """
    cover = (_OPAQUE * _cover(heat))[..., None]
    mixed = picture[..., None] * (1 - cover) + coloured(heat) * cover
    return np.asarray(np.rint(mixed), np.uint8)


def _cover(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of the image the heat hides: nothing below a fifth of the peak, then rising evenly to 1."""
    return np.asarray(np.clip((heat - 0.2) / 0.6, 0, 1))


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image so soft that no text can be read in it: (rows, columns), uint8."""
    soft = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(max(picture.shape) / 40))
    return np.array(soft, np.uint8)


def draw(picture: NDArray[np.uint8], heat: NDArray[np.float32], legend: Legend) -> Image.Image:
    """The picture: the image as it should be looked at, the same with the heat over it, the legend."""
    left = _fitted(Image.fromarray(picture).convert("RGB"))
    right = panel(picture, heat)
    width = max(2 * left.width + 3 * _MARGIN, 560)
    words = _words(legend, width - 2 * _MARGIN)
    height = left.height + 2 * _MARGIN + sum(size * 14 // 10 for _, size, _ in words) + 60
    sheet = Image.new("RGB", (width, height), _PAPER)
    half = (width - 3 * _MARGIN) // 2
    sheet.paste(left, (_MARGIN + (half - left.width) // 2, _MARGIN))
    sheet.paste(right, (2 * _MARGIN + half + (half - right.width) // 2, _MARGIN))
    pen = ImageDraw.Draw(sheet)
    line = left.height + 2 * _MARGIN
    for number, (text, size, ink) in enumerate(words):
        if number == 2:
            _bar(sheet, line + 8, width, legend.language)
            line += 44
        pen.text((_MARGIN, line), text, font=typeface(size), fill=ink)
        line += size * 14 // 10
    return sheet


def panel(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """The image with the heat over it, its longer side `SIDE`: for a page that has its own words."""
    return _fitted(Image.fromarray(blended(picture, heat)))


def veil(heat: NDArray[np.float32], side: int = SIDE) -> Image.Image:
    """The heat alone in RGBA, to be laid over the image, its longer side at most `side`; clear where low."""
    scale = side / max(heat.shape)
    if scale < 1:
        size = max(1, round(heat.shape[1] * scale)), max(1, round(heat.shape[0] * scale))
        heat = np.array(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR), np.float32)
    cover = np.rint(255 * _cover(heat)).astype(np.uint8)
    return Image.fromarray(np.dstack([coloured(heat), cover]), "RGBA")


def _fitted(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)


def _words(legend: Legend, width: int) -> list[tuple[str, int, tuple[int, int, int]]]:
    """(line, size, colour); the colour bar comes after the second line."""
    language, finding = legend.language, legend.finding
    small = 15
    by = translate(
        "{model} · {method}",
        language,
        model=legend.model,
        method=_METHODS[legend.method].in_language(language),
    )
    warnings = [translate("Where the model looked, not where the disease is.", language)]
    if legend.blurred:
        warnings.append(translate("Blurred, because the text in the image may name the patient.", language))
    return [
        (label_name(finding.label, language), 26, _INK),
        (_figures(finding, language), 18, _INK),
        *((text, 18, _WARNING) for sentence in warnings for text in wrapped(sentence, 18, width)),
        *((text, small, _QUIET) for text in wrapped(by, small, width)),
        *((text, small, _QUIET) for text in wrapped(DISCLAIMER[language], small, width)),
    ]


def _figures(finding: Finding, language: Language) -> str:
    """The probability, or the score where none is calibrated; whether it reaches its threshold."""
    if finding.probability is None:
        value = translate("score {score:.2f}", language, score=finding.score)
    else:
        value = translate("probability {percent:.0f}%", language, percent=100 * finding.probability)
    if finding.uncertain:
        return f"{value} · {translate('unsure', language)}"
    on_score = finding.threshold_on is ThresholdOn.SCORE
    if on_score is not (finding.probability is None):  # a threshold on another scale than the value
        verdict = translate("threshold reached" if finding.positive else "threshold not reached", language)
        return f"{value} · {verdict}"
    limit = finding.threshold or 0.0
    threshold = (
        f"{limit:.2f}" if on_score else translate("{percent}%", language, percent=f"{100 * limit:.0f}")
    )
    verdict = translate(
        "threshold reached ({threshold})" if finding.positive else "threshold not reached ({threshold})",
        language,
        threshold=threshold,
    )
    return f"{value} · {verdict}"


def _bar(sheet: Image.Image, top: int, width: int, language: Language) -> None:
    """The colours from little to much, with the two words at their ends."""
    pen = ImageDraw.Draw(sheet)
    less, more = translate("little", language), translate("much", language)
    left = _MARGIN + int(typeface(15).getlength(less)) + 10
    right = min(width - _MARGIN - int(typeface(15).getlength(more)) - 10, left + 260)
    colours = coloured(np.linspace(0, 1, right - left, dtype=np.float32))
    sheet.paste(Image.fromarray(np.repeat(colours[None], 14, axis=0)), (left, top))
    pen.text((_MARGIN, top - 3), less, font=typeface(15), fill=_QUIET)
    pen.text((right + 10, top - 3), more, font=typeface(15), fill=_QUIET)


# The heat of single findings over the picture of their image.


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """Where the network looked for one finding: not where the disease is."""

    finding: Finding
    picture: NDArray[np.uint8]
    """(rows, columns), uint8, the image as it should be looked at."""
    values: NDArray[np.float32]
    """(rows, columns), float32, 0 to 1, over the picture."""
    blurred: bool = False
    """Whether the picture is, because text in it may name the patient."""

    def overlay(self) -> Image.Image:
        """The picture with the heat over it, in RGB."""
        return panel(self.picture, self.values)


def find_heat(
    model: FindingsModel,
    heatmaps: Heatmaps,
    prepared: PreparedImage,
    shown: Sequence[Finding],
    known: NDArray[np.float32] | None = None,
) -> tuple[Heat, ...]:
    """The heat of these findings; none of an image that was refused, or prepared without its picture.

    `known` are the network's own maps (labels, h, w), from the run that gave the findings.
    """
    picture, square = prepared.picture, prepared.square
    if not shown or picture is None or square is None:
        return ()
    hidden = any(reason.flaw is Flaw.BURNED_IN_TEXT for reason in prepared.gate_result.reasons)
    if hidden:
        picture = blurred(picture)
    columns = [model.manifest.labels.index(finding.label) for finding in shown]
    seen = model.preprocessing
    rows, width = picture.shape
    if known is not None and heatmaps.method is Method.CAM:
        maps = scaled(known[columns])
    else:
        maps = heatmaps.maps(square, columns)
    return tuple(
        Heat(finding, picture, onto_image(values, rows, width, seen.fit, seen.kept), hidden)
        for finding, values in zip(shown, maps, strict=True)
    )
