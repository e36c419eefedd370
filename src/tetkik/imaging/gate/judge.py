"""The gate: which models may read an image, and whether any should, with reasons in words."""

from __future__ import annotations

from collections.abc import Iterator

from tetkik.imaging.burned_in import burned_in_text
from tetkik.imaging.gate.classifier import Classifier, GatePrediction, Limits, built_in
from tetkik.imaging.gate.rules import exposure_flaws, is_page, size_flaws
from tetkik.imaging.gate.tags import ModalityGroup, Part, TagClaims, read_tag_claims
from tetkik.language import Sentence
from tetkik.values import Flaw, GateResult, Radiograph, Reason, Route

COLOURFUL = 0.1
"""From here on (`Radiograph.colour`) a picture is taken for one in colour, not for a tinted film."""
_PARTS = {Route.CHEST: Part.CHEST, Route.BRAIN_MRI: Part.HEAD}
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
    if claims.lateral and claims.part is Part.CHEST and claims.modality_group is not ModalityGroup.MAGNETIC:
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
    image: Radiograph, claims: TagClaims, seen: GatePrediction, limits: Limits
) -> tuple[Route | None, tuple[Reason, ...]]:
    """The route, with a doubt or, where there is none, the refusal."""
    possible = _ROUTES[claims.modality_group]
    route = max(possible, key=lambda name: seen.routes[name])
    chance = seen.routes[route]
    named = claims.part is _PARTS[route]
    against = (claims.part is not Part.UNKNOWN and not named) or (
        image.colour >= COLOURFUL and not image.degraded
    )
    accept = limits.accept if route is Route.CHEST else limits.accept_brain
    needed = limits.sure if against else limits.tagged if named else accept
    if chance < needed:
        return None, (Reason(Flaw.NOT_A_RADIOGRAPH, _why_not(claims, named)),)
    if route is Route.CHEST and is_page(image):
        return None, (Reason(Flaw.NOT_A_RADIOGRAPH, _PAGE),)
    if against and claims.part is not Part.UNKNOWN:
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
    if named or claims.part is Part.UNKNOWN:
        return Sentence(
            "The picture looks like neither a frontal chest radiograph nor a slice of a brain MRI; check "
            "that it is the right file."
        )
    return Sentence(
        "The file names a part of the body that cannot be read; only chest radiographs and slices of a brain "
        "MRI can."
    )


def _pose_flaws(route: Route, claims: TagClaims, seen: GatePrediction, limits: Limits) -> Iterator[Reason]:
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
