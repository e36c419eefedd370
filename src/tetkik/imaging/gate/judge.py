"""The gate: which models may read an image, and whether any should, with reasons in words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import Bundle, ModelCache, open_bundle, resolve
from tetkik.errors import BundleCorrupt, TetkikError
from tetkik.imaging.burned_in import burned_in_text
from tetkik.imaging.prepare import Preprocessing, prepare
from tetkik.language import Sentence
from tetkik.networks.onnx_session import onnx_session
from tetkik.values.radiograph import Flaw, GateResult, Radiograph, Reason, Route, View

# The learned part of the gate, as it runs: one small network on ONNX Runtime.


BUILT_IN = "gate-image"
OUTPUTS = (
    "chest",
    "brain_mri",
    "neither",
    "upright",
    "turned_90",
    "turned_180",
    "turned_270",
    "inverted",
    "cropped",
)
"""What the network's outputs mean, in order; a bundle for the gate has these labels."""


_MIRRORED = [0, 1, 2, 3, 6, 5, 4, 7, 8]
"""Where each output of an image stands among those of its mirror image."""


@dataclass(frozen=True, slots=True)
class GatePrediction:
    """What the network makes of an image, as probabilities; 1 less their sum is neither route, or upright.

    `turned`: on the left side (by 90 degrees counter-clockwise), upside down, on the right side, mirrored or
    not; `cropped`: a large part of the chest is cut off.
    """

    routes: dict[Route, float]
    turned: tuple[float, float, float]
    inverted: float
    cropped: float


@dataclass(frozen=True, slots=True)
class GateLimits:
    """From which probability on the gate says what; `sure` overrules a tag that contradicts it."""

    accept: float = 0.8
    accept_brain: float = 0.6
    tagged: float = 0.1
    sure: float = 0.95
    turned: float = 0.8
    inverted: float = 0.8
    cropped: float = 0.9


class Classifier:
    """The network of a bundle for the gate."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        try:
            if manifest.labels != OUTPUTS:
                raise ValueError("labels")
            self.limits = GateLimits(**manifest.thresholds)
            self.preprocessing = Preprocessing.from_json(manifest.preprocessing)
            graph = bundle.file("model.onnx").read_bytes()
            # A network this small loses more in handing work to threads than it gains.
            self._session: Any = onnx_session(graph, threads=1)
        except (TetkikError, OSError, ImportError):
            raise
        # ONNX Runtime has an exception of its own for each way to be no network, below no common one.
        except Exception as error:
            raise BundleCorrupt(
                "{path} is no model for the gate ({fault}); install Tetkik again, or train it again with "
                "benchmarks/imaging_gate_training.py.",
                path=bundle.path,
                fault=type(error).__name__,
            ) from None

    def predict(self, image: Radiograph) -> GatePrediction:
        square = prepare(image, self.preprocessing)
        both = self.logits(np.stack([square, square[..., ::-1]]))
        # The mean with the mirrored image, in which left and right turns change places, is steadier.
        return prediction_from_logits((both[0] + both[1][_MIRRORED]) / 2)

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 1, size, size) to (n, 9)."""
        (logits,) = self._session.run(None, {"image": batch})
        found: NDArray[np.float32] = logits
        return found


def prediction_from_logits(logits: NDArray[np.float32]) -> GatePrediction:
    """The nine logits of one image as probabilities."""
    chest, brain, _ = _softmax(logits[:3])
    _, left, over, right = _softmax(logits[3:7])
    inverted, cropped = 1 / (1 + np.exp(-logits[7:].astype(np.float64)))
    return GatePrediction(
        routes={Route.CHEST: float(chest), Route.BRAIN_MRI: float(brain)},
        turned=(float(left), float(over), float(right)),
        inverted=float(inverted),
        cropped=float(cropped),
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def load_classifier(path: Path) -> Classifier:
    """The classifier of a bundle in the folder `path`."""
    return Classifier(open_bundle(path, Task.GATE))


_MODELS = ModelCache(lambda name: Classifier(resolve(name, Task.GATE)))


def built_in() -> Classifier:
    """The classifier that comes with Tetkik."""
    return _MODELS.get(BUILT_IN).model


# What a DICOM file's tags say of the kind of image, before anyone looks at its pixels.
#
# Modality and SOP Class are written by machines and are believed. Body part and descriptions are chosen by
# people in a hurry, often from a list that opens at CHEST: they lean one way, and the pixels may overrule
# them.


class ModalityGroup(Enum):
    """What made the image."""

    PROJECTION = auto()
    """A radiograph: computed, digital or film that was scanned."""
    MAGNETIC = auto()
    """Magnetic resonance."""
    OTHER = auto()
    """Anything else: CT, ultrasound, mammography, a camera, a document."""
    UNKNOWN = auto()
    """No tag, or one that stands for several kinds, such as a secondary capture."""


class BodyPart(Enum):
    """Which part of the body."""

    CHEST = auto()
    HEAD = auto()
    OTHER = auto()
    UNKNOWN = auto()
    """Nothing is said, or several parts are named."""


@dataclass(frozen=True, slots=True)
class TagClaims:
    """What the tags say, taken together: `mixed_views` where view and description disagree."""

    modality_group: ModalityGroup
    modality: str
    part: BodyPart
    lateral: bool
    mixed_views: bool


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    modality_groups: dict[str, ModalityGroup]
    sop_classes: dict[str, str]
    parts: dict[BodyPart, re.Pattern[str]]
    frontal: re.Pattern[str]
    lateral: re.Pattern[str]


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Of any of the words; one that ends with `*` stands for all that begin so."""
    return re.compile("|".join(re.escape(word).replace(r"\*", ".*") for word in words))


def _any_in(pattern: re.Pattern[str], tokens: Iterable[str]) -> bool:
    return any(map(pattern.fullmatch, tokens))


def read_tag_claims(image: Radiograph) -> TagClaims:
    """What the tags of `image` say; everything unknown for a raster file."""
    words, tags = _vocabulary(), image.tags
    modality = (tags.modality or words.sop_classes.get(tags.sop_class or "", "")).strip().upper()
    by_class = words.sop_classes.get(tags.sop_class or "", "")
    modality_group = _modality_group(modality)
    if _modality_group(by_class) is ModalityGroup.OTHER:
        # A CT cannot be stored as anything else by mistake, whatever was typed into the modality.
        modality_group, modality = ModalityGroup.OTHER, by_class
    described = turkish.fold(tags.description or "").split()
    lateral = _any_in(words.lateral, described) and not _any_in(words.frontal, described)
    return TagClaims(
        modality_group=modality_group,
        modality=modality,
        part=_part(turkish.fold(tags.body_part or "").split(), described),
        lateral=image.view is View.LATERAL or (lateral and image.view is None),
        mixed_views=lateral and image.view in (View.PA, View.AP),
    )


def _modality_group(modality: str) -> ModalityGroup:
    if not modality:
        return ModalityGroup.UNKNOWN
    return _vocabulary().modality_groups.get(modality, ModalityGroup.OTHER)


def _part(body_part: list[str], described: list[str]) -> BodyPart:
    """The one part that is named; a body part and a description that disagree say nothing."""
    parts = _vocabulary().parts.items()
    named = {part for tokens in (body_part, described) for part, words in parts if _any_in(words, tokens)}
    return named.pop() if len(named) == 1 else BodyPart.UNKNOWN


@cache
def _vocabulary() -> _Vocabulary:
    table = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
    groups = (ModalityGroup.PROJECTION, ModalityGroup.MAGNETIC, ModalityGroup.UNKNOWN)
    return _Vocabulary(
        modality_groups={code: group for group in groups for code in table["modality"][group.name.lower()]},
        sop_classes=table["sop_class"],
        parts={
            part: _pattern(table["part"][part.name.lower()])
            for part in (BodyPart.CHEST, BodyPart.HEAD, BodyPart.OTHER)
        },
        frontal=_pattern(table["view"]["frontal"]),
        lateral=_pattern(table["view"]["lateral"]),
    )


LEAST_SIDE = 128
"""Pixels. Below it a network of 224 pixels is shown more guesses than image."""
LONGEST_SHAPE = 3.0
"""Longer side over shorter: no film and no slice is a strip."""


_ONE_GREY = 0.45
"""Share of the pixels that one grey other than black may have in a film; paper and screens have more."""
_PRINTED = 0.3
"""Contrast from which on a picture of mostly one grey is a page, and not a film without contrast."""


# Shares beyond which nothing can be recognised: of white the 95th and the 5th percentile, of the pixels black
# and white ones.
_LIMITS = {
    Route.CHEST: (0.2, 0.85, 0.8, 0.5),
    # A slice is mostly air, and air is black.
    Route.BRAIN_MRI: (0.1, 0.6, 0.95, 0.4),
}
_LEAST_CONTRAST, _LEAST_LEVELS = 0.1, 16
_SAMPLE = 1 << 16


def size_flaws(image: Radiograph) -> Iterator[Reason]:
    short, long = sorted((image.rows, image.columns))
    if short < LEAST_SIDE:
        yield Reason(
            Flaw.TOO_SMALL,
            Sentence(
                "The picture has {columns} x {rows} pixels, and at least {least} are needed on each side; "
                "send the original, not a thumbnail.",
                {"columns": image.columns, "rows": image.rows, "least": LEAST_SIDE},
            ),
        )
    if long > LONGEST_SHAPE * short:
        yield Reason(Flaw.CROPPED, Sentence("The picture is a narrow strip; send the whole image."))


def exposure_flaws(image: Radiograph, route: Route) -> Iterator[Reason]:
    """Whether the image is so dark, bright or flat that nothing can be recognised; one reason at most."""
    least_bright, most_dark, most_black, most_white = _LIMITS[route]
    pixels = _some_pixels(image)
    low, dark, bright, high = np.percentile(pixels, (0.5, 5, 95, 99.5)) / image.white
    flaw = None
    if bright < least_bright or (pixels <= 0.02 * image.white).mean() > most_black:
        flaw = Sentence("The picture is nearly black; send the original, with its window set.")
    elif dark > most_dark or (pixels >= 0.98 * image.white).mean() > most_white:
        flaw = Sentence("The picture is nearly white; send the original, with its window set.")
    elif high - low < _LEAST_CONTRAST or len(np.unique(pixels)) < _LEAST_LEVELS:
        flaw = Sentence("The picture has hardly any contrast; send the original, with its window set.")
    if flaw is not None:
        yield Reason(Flaw.EXPOSURE, flaw)


def is_page(image: Radiograph) -> bool:
    """Whether a picture that could be a film is mostly of one grey, as documents, plots and screens are."""
    levels = np.floor(_some_pixels(image) * (256 / (image.white + 1.0))).astype(np.int64)
    share = np.bincount(levels, minlength=256) / len(levels)
    low, high = np.percentile(levels, (0.5, 99.5))
    # Three neighbouring levels are one grey in a compressed picture; the lowest ones are black.
    one_grey = np.convolve(share[5:], np.ones(3), "same").max()
    return bool(one_grey > _ONE_GREY and high - low >= _PRINTED * 256)


def _some_pixels(image: Radiograph) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Some tens of thousands of them, which say as much as ten million."""
    pixels = image.pixels.ravel()
    return pixels[:: max(1, pixels.size // _SAMPLE)]


COLOURFUL = 0.1
"""From here on (`Radiograph.colour`) a picture is taken for one in colour, not for a tinted film."""
_PARTS = {Route.CHEST: BodyPart.CHEST, Route.BRAIN_MRI: BodyPart.HEAD}
_ROUTES = {
    ModalityGroup.PROJECTION: (Route.CHEST,),
    ModalityGroup.MAGNETIC: (Route.BRAIN_MRI,),
    ModalityGroup.UNKNOWN: (Route.CHEST, Route.BRAIN_MRI),
}
_TURNED = (
    "The film is turned by 90° to the left; turn it upright and send it again.",
    "The film is upside down; turn it upright and send it again.",
    "The film is turned by 90° to the right; turn it upright and send it again.",
)


def judge(
    image: Radiograph, ages: tuple[float, float] | None = None, classifier: Classifier | None = None
) -> GateResult:
    """Say which route an image takes, and everything that speaks against reading it, gravest first.

    The tags of a DICOM file come first (modality, SOP class, body part, view, the words of its descriptions);
    where they are silent, or the pixels plainly disagree with a tag that people fill in, a small network
    decides. A lateral film is known by its tags alone: no lateral film was there to learn from, so one
    without tags may pass. A film that is mirrored left to right cannot be distinguished from one that is not,
    nor can the orientation of a brain slice. `ages` are those in years that the model of findings was trained
    on; None asks nothing. Without a route only size and exposure are said besides.
    """
    claims = read_tag_claims(image)
    if claims.modality_group is ModalityGroup.OTHER:
        return GateResult(
            None, (Reason(Flaw.NOT_A_RADIOGRAPH, Sentence(_WRONG_MODALITY, {"modality": claims.modality})),)
        )
    if (
        claims.lateral
        and claims.part is BodyPart.CHEST
        and claims.modality_group is not ModalityGroup.MAGNETIC
    ):
        # The network was taught frontal films alone: what it would say of this one means nothing.
        return GateResult(Route.CHEST, (_LATERAL, *size_flaws(image)))
    classifier = classifier or built_in()
    seen = classifier.predict(image)
    route, doubt = _route(image, claims, seen, classifier.limits)
    reasons = list(size_flaws(image))
    reasons += exposure_flaws(image, route or Route.CHEST)
    if route is None:
        return GateResult(None, (*doubt, *reasons))
    reasons += _pose_flaws(route, claims, seen, classifier.limits)
    reasons += [*doubt, *_circumstances(image, ages)]
    return GateResult(route, tuple(sorted(reasons, key=lambda reason: _GRAVITY[reason.flaw])))


_LATERAL = Reason(
    Flaw.LATERAL, Sentence("The file says that this is a lateral film; send the frontal one (PA or AP).")
)
_GRAVITY = {flaw: place for place, flaw in enumerate(Flaw)}


def _route(
    image: Radiograph, claims: TagClaims, seen: GatePrediction, limits: GateLimits
) -> tuple[Route | None, tuple[Reason, ...]]:
    """The route, with a doubt or, where there is none, the refusal."""
    possible = _ROUTES[claims.modality_group]
    route = max(possible, key=lambda name: seen.routes[name])
    chance = seen.routes[route]
    named = claims.part is _PARTS[route]
    against = (claims.part is not BodyPart.UNKNOWN and not named) or (
        image.colour >= COLOURFUL and not image.degraded
    )
    accept = limits.accept if route is Route.CHEST else limits.accept_brain
    needed = limits.sure if against else limits.tagged if named else accept
    if chance < needed:
        return None, (Reason(Flaw.NOT_A_RADIOGRAPH, _why_not(claims, named)),)
    if route is Route.CHEST and is_page(image):
        return None, (Reason(Flaw.NOT_A_RADIOGRAPH, _PAGE),)
    if against and claims.part is not BodyPart.UNKNOWN:
        return route, (Reason(Flaw.DOUBTFUL, _OTHER_PART),)
    if chance < limits.sure or against or claims.mixed_views:
        return route, (Reason(Flaw.DOUBTFUL, _DOUBTS[route]),)
    return route, ()


_WRONG_MODALITY = (
    "The file says that it is of the kind {modality}, and only chest radiographs and slices of a brain MRI "
    "can be read."
)
_DOUBTS = {
    Route.CHEST: Sentence("It is not certain that this is a frontal chest radiograph; check the picture."),
    Route.BRAIN_MRI: Sentence("It is not certain that this is a slice of a brain MRI; check the picture."),
}
_OTHER_PART = Sentence("The file names another part of the body than the picture shows; check it.")
_PAGE = Sentence("The picture looks like a document or a screen; send the film itself.")


def _why_not(claims: TagClaims, named: bool) -> Sentence:
    if named or claims.part is BodyPart.UNKNOWN:
        return Sentence(
            "The picture looks like neither a frontal chest radiograph nor a slice of a brain MRI; check "
            "that it is the right file."
        )
    return Sentence(
        "The file names a part of the body that cannot be read; only chest radiographs and slices of a brain "
        "MRI can."
    )


def _pose_flaws(
    route: Route, claims: TagClaims, seen: GatePrediction, limits: GateLimits
) -> Iterator[Reason]:
    """How the image was taken, stored or cut. A brain slice may be shown from any side: no pose is wrong."""
    if seen.inverted >= limits.inverted:
        yield Reason(
            Flaw.INVERTED,
            Sentence("Black and white are exchanged; send the picture with bone white and air black."),
        )
    if route is not Route.CHEST:
        return
    if claims.lateral:
        yield _LATERAL
    if sum(seen.turned) >= limits.turned:
        yield Reason(Flaw.ROTATED, Sentence(_TURNED[seen.turned.index(max(seen.turned))]))
    if seen.cropped >= limits.cropped:
        yield Reason(
            Flaw.CROPPED, Sentence("A large part of the chest seems to be cut off; send the whole film.")
        )


def _circumstances(image: Radiograph, ages: tuple[float, float] | None) -> Iterator[Reason]:
    age = image.identity.age_years
    if ages is not None and age is not None and not ages[0] <= age <= ages[1]:
        yield Reason(
            Flaw.AGE,
            Sentence(
                "The patient's age is outside the {low:.0f} to {high:.0f} years that the model was trained "
                "on.",
                {"low": ages[0], "high": ages[1]},
            ),
        )
    if image.tags.burned_in:
        yield Reason(
            Flaw.BURNED_IN_TEXT,
            Sentence("The file says that there is text in the picture, which may name the patient."),
        )
    elif burned_in_text(image):
        # A file that says there is none is not believed: the tag is often set by habit.
        yield Reason(
            Flaw.BURNED_IN_TEXT,
            Sentence("There seems to be text in the picture, which may name the patient."),
        )
    if image.degraded:
        yield Reason(
            Flaw.PHOTOGRAPH,
            Sentence(
                "Fine signs may be lost in a photograph of a film; send the original where there is one."
            ),
        )
