"""What the viewer shows of a case: its studies by series, the earlier studies, and how they are hung."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tetkik.errors import NotFound
from tetkik.language import Language, translate
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs, runs, studies
from tetkik.records.images.images import ImageMetadata, StoredImage
from tetkik.records.images.studies import StoredStudy
from tetkik.service.kit.rendering.words import body_part, modality
from tetkik.values import ImageTags, JobState, View

_RADIOGRAPHY = frozenset({"CR", "DX", "DR", "RG", "RF", "MG", "PX", "IO"})
"""Each of their images is looked at by itself; of all else a series is one stack."""
_PLAIN = frozenset({"CR", "DX", "DR", "RG"})
"""One kind of image under several names: a prior of one is a prior of the other."""
_PRESETS = {"CT": ("lung", "soft", "bone", "brain", "liver"), "MR": ("brain", "contrast")}
"""Window presets by modality, in the order of their keys; a radiograph's where there is none."""
_RADIOGRAPH_PRESETS = ("lung", "mediastinum", "bone")
_MOST_PRIORS = 20

HANGING = (
    ("1x2", "current stack", "prior stack"),
    ("1x1", "current stack"),
    ("2x2", "current frontal", "current lateral", "prior frontal", "prior lateral"),
    ("1x2", "current frontal", "current lateral"),
    ("1x2", "current image", "prior image"),
    ("1x1", "current image"),
)
"""The hanging protocol: the first layout (rows x columns) for which there is everything that it names."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What a thumbnail stands for: an image, the frames of one, or the images of a series in their order."""

    images: tuple[str, ...]
    title: str = field(repr=False)
    modality: str | None
    view: View | None
    rows: int
    columns: int
    frames: int
    """Of its one image; 1 for several."""
    presets: tuple[str, ...]
    locations: tuple[float, ...] = ()
    """Millimetres along the normal of the sections; empty where an image does not say."""
    preview: str = ""
    """Id of the image whose preview stands for it; empty without one."""
    shown: int = 1
    """The image or frame that is shown first, from 1."""
    read: int = 0
    """Which frame the model read; 0 for none."""
    asked: int = 0
    """Which frame it is to read; 0 for none."""

    @property
    def id(self) -> str:
        return self.images[0]

    @property
    def count(self) -> int:
        return self.frames if len(self.images) == 1 else len(self.images)

    @property
    def frontal(self) -> bool:
        return self.view in (View.PA, View.AP)

    def as_json(self) -> dict[str, Any]:
        """What the viewer's scripts read."""
        names = ("id", "images", "title", "modality", "rows", "columns", "frames", "count", "presets")
        more = ("locations", "preview", "shown", "read", "asked")
        return {name: getattr(self, name) for name in (*names, *more)}


@dataclass(frozen=True, slots=True)
class ViewerStudy:
    """A study with its stacks; of a prior that is not shown yet they are left out."""

    id: str
    case_id: str
    date: str
    kind: str
    """Modality in words."""
    about: str = field(repr=False)
    """Modality and body part in words, and what the scanner calls the study."""
    count: int
    """Of images."""
    stacks: tuple[Stack, ...] = ()

    def as_json(self) -> dict[str, Any]:
        names = ("id", "date", "kind", "about", "count")
        return {name: getattr(self, name) for name in names} | {
            "stacks": [stack.as_json() for stack in self.stacks]
        }


@dataclass(frozen=True, slots=True)
class Hanging:
    """A layout, `rows x columns`, and the ids of the stacks in its cells."""

    layout: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Everything that the viewer needs to begin."""

    case_id: str
    studies: tuple[ViewerStudy, ...]
    priors: tuple[ViewerStudy, ...]
    """Earlier studies of the patient that the actor may see, newest first."""
    relevant: ViewerStudy | None
    """The newest prior of the same kind, with its stacks."""
    hanging: Hanging
    lead: str
    """Id of the image that is shown first."""

    @property
    def stack(self) -> Stack:
        """That holds the image which is shown first."""
        return next(stack for study in self.studies for stack in study.stacks if self.lead in stack.images)

    @property
    def address(self) -> str:
        """Where the pixels come from that are shown first."""
        stack = self.stack
        if stack.frames > 1:
            return f"/api/v1/images/{stack.id}/pixels?frame={stack.shown}"
        return f"/api/v1/images/{stack.images[stack.shown - 1]}/pixels"

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case_id,
            "lead": self.lead,
            "studies": [study.as_json() for study in self.studies],
            "priors": [study.as_json() for study in self.priors],
            "relevant": self.relevant.as_json() if self.relevant else None,
            "hanging": {"layout": self.hanging.layout, "cells": self.hanging.cells},
        }


def load_viewer(
    tx: Transaction,
    image: StoredImage,
    found: Sequence[StoredImage],
    language: Language,
    *,
    asked: bool = False,
) -> Viewer:
    """What the viewer shows of a case whose images are `found`, with `image` first.

    `asked`: whether it was asked for; else a stack begins with its first image.
    """
    described = images.load_all_metadata(tx, found)
    rows = {row.id: row for row in studies.list_studies(tx, image.case_id)}
    by_study: dict[str, list[StoredImage]] = {image.study_id: []}
    for one in found:
        by_study.setdefault(one.study_id, []).append(one)
    wanted = image if asked else None
    shown = [_study(tx, rows[key], mine, described, language, wanted) for key, mine in by_study.items()]
    earlier = studies.list_other_studies(tx, image.case_id, image.patient_id)
    now = _when(rows[image.study_id])
    listed = [(row, *_prior(tx, row, language)) for row in earlier if _when(row) <= now][:_MOST_PRIORS]
    kind = _kind(tx, image, described.get(image.id))
    same = next((row for row, _, lead in listed if _kinds_match(kind, _kind_of_study(tx, lead))), None)
    relevant = load_prior(tx, image.patient_id, same.id, language) if same else None
    return Viewer(
        case_id=image.case_id,
        studies=tuple(shown),
        priors=tuple(prior for _, prior, _ in listed),
        relevant=relevant,
        hanging=hang(image.id, shown, relevant),
        lead=image.id,
    )


def load_prior(tx: Transaction, patient_id: str, study_id: str, language: Language) -> ViewerStudy:
    """A study of the same patient with its stacks.

    Raises:
        NotFound: it is none of this patient's.
        Forbidden: the actor may not see its case.
    """
    row = studies.load_study(tx, study_id)
    mine = images.list_study_images(tx, study_id)
    if not mine or not studies.same_patient(tx, row.patient_id, patient_id):
        raise NotFound("There is no such study of this patient; look at its case.")
    images.load_visible_image(tx, mine[0].id)
    return _study(tx, row, mine, images.load_all_metadata(tx, mine), language)


def hang(lead: str, shown: Sequence[ViewerStudy], prior: ViewerStudy | None) -> Hanging:
    """How the image `lead` and what belongs with it are shown at first."""
    own = [stack for study in shown for stack in study.stacks]
    first = next(stack for stack in own if lead in stack.images)
    mine = next(study.stacks for study in shown if first in study.stacks)
    places = _places("current", (first, *mine)) | _places("prior", prior.stacks if prior else ())
    for layout, *names in HANGING:
        cells = [places[name] for name in names if name in places]
        if len(cells) == len(names) and first.id in cells:
            return Hanging(layout, tuple(cells))
    return Hanging("1x1", (first.id,))


def _places(whose: str, stacks: Iterable[Stack]) -> dict[str, str]:
    """The first of each kind that the hanging protocol names."""
    found: dict[str, str] = {}
    for stack in stacks:
        kinds = {"stack": stack.count > 1, "frontal": stack.frontal, "lateral": stack.view is View.LATERAL}
        for kind in ("image", *(name for name, holds in kinds.items() if holds)):
            found.setdefault(f"{whose} {kind}", stack.id)
    return found


def _study(
    tx: Transaction,
    row: StoredStudy,
    found: Sequence[StoredImage],
    described: dict[str, ImageMetadata],
    language: Language,
    asked: StoredImage | None = None,
) -> ViewerStudy:
    previews = images.images_with_preview(tx, [image.id for image in found])
    grouped: dict[tuple[object, ...], list[StoredImage]] = {}
    for image in found:
        if image.id in described:
            grouped.setdefault(_series_of(image, described[image.id]), []).append(image)
    stacks = [_stack(tx, group, described, previews, language, asked) for group in grouped.values()]
    number = {group[0].id: described[group[0].id].tags.series_number for group in grouped.values()}
    # A frontal view first, then by the number that the scanner gave.
    stacks.sort(key=lambda stack: (not stack.frontal, number.get(stack.id) or 0))
    tags = described[found[0].id].tags if found[0].id in described else None
    kind, about = _words(row, tags, language)
    return ViewerStudy(row.id, row.case_id, _date(row), kind, about, len(found), tuple(stacks))


def _words(row: StoredStudy, tags: ImageTags | None, language: Language) -> tuple[str, str]:
    kind = modality(row.modality or (tags.modality if tags else None) or "", language)
    part = body_part(tags.body_part, language) if tags and tags.body_part else ""
    return kind, " · ".join(filter(None, (kind, part, row.description)))


def _series_of(image: StoredImage, described: ImageMetadata) -> tuple[object, ...]:
    """What the images of one stack share: a series of one size; a radiograph and a cine stand alone."""
    series, modality = described.identity.series_uid, described.tags.modality
    if series is None or image.frames > 1 or modality is None or modality in _RADIOGRAPHY:
        return (image.id,)
    return (series, image.rows, image.columns)


def _stack(
    tx: Transaction,
    group: list[StoredImage],
    described: dict[str, ImageMetadata],
    previews: frozenset[str],
    language: Language,
    wanted: StoredImage | None,
) -> Stack:
    about = {image.id: described[image.id].tags for image in group}
    located = len(group) > 1 and all(tags.location is not None for tags in about.values())

    def order(image: StoredImage) -> tuple[float, float, str]:
        tags = about[image.id]
        return ((tags.location or 0.0) if located else 0.0, tags.number or 0, image.id)

    group.sort(key=order)
    ids = [image.id for image in group]
    middle = group[len(group) // 2]
    lead = group[0]
    tags = about[lead.id]
    read = asked = 0
    if lead.frames > 1:
        run, work = runs.load_latest_run(tx, lead.id), jobs.newest_job(tx, lead.id)
        read = (run.frame or 0) if run else 0
        waits = work is not None and work.state in (JobState.QUEUED, JobState.RUNNING)
        asked = (work.frame or lead.middle) if work and waits else 0
    if len(group) > 1:
        shown = ids.index(wanted.id) + 1 if wanted is not None and wanted.id in ids else 1
    else:
        shown = read or lead.middle
    return Stack(
        images=tuple(ids),
        title=_title(lead, described[lead.id], language),
        modality=tags.modality,
        view=lead.view,
        rows=lead.rows,
        columns=lead.columns,
        frames=lead.frames if len(group) == 1 else 1,
        presets=_PRESETS.get(tags.modality or "", _RADIOGRAPH_PRESETS),
        locations=tuple(about[image_id].location or 0.0 for image_id in ids) if located else (),
        preview=next((one for one in (middle.id, *ids) if one in previews), ""),
        shown=shown,
        read=read,
        asked=asked,
    )


def _title(image: StoredImage, described: ImageMetadata, language: Language) -> str:
    view = {View.LATERAL: translate("Lateral", language), View.OTHER: ""}.get(
        image.view or View.OTHER, image.view or ""
    )
    side = described.tags.laterality
    name = view or described.tags.series or described.tags.modality or translate("Image", language)
    return " ".join(part for part in (name, side.value if side and side.value in "LR" else "") if part)


def _when(row: StoredStudy) -> str:
    """The day as `YYYYMMDD`: of the study, or on which it came."""
    digits = "".join(char for char in row.study_date or "" if char.isdigit())
    return digits if len(digits) == 8 else row.created_at.astimezone().strftime("%Y%m%d")


def _date(row: StoredStudy) -> str:
    day = _when(row)
    return f"{day[6:]}.{day[4:6]}.{day[:4]}"


def _prior(tx: Transaction, row: StoredStudy, language: Language) -> tuple[ViewerStudy, StoredImage]:
    """A prior as the list names it, and its first image."""
    mine = images.list_study_images(tx, row.id)
    kind, about = _words(row, images.load_metadata(tx, mine[0]).tags, language)
    return ViewerStudy(row.id, row.case_id, _date(row), kind, about, len(mine)), mine[0]


Kind = tuple[str | None, str | None, str | None]
"""Modality, body part, and what the quality gate took it for."""


def _kind_of_study(tx: Transaction, lead: StoredImage) -> Kind:
    return _kind(tx, lead, images.load_metadata(tx, lead))


def _kind(tx: Transaction, image: StoredImage, described: ImageMetadata | None) -> Kind:
    run = runs.load_latest_run(tx, image.id)
    modality = described.tags.modality if described else None
    part = described.tags.body_part if described else None
    return "plain" if modality in _PLAIN else modality, part, run.route if run else None


def _kinds_match(one: Kind, other: Kind) -> bool:
    """Whether two images show the same part in the same way, as far as both say."""
    if one[0] is not None and other[0] is not None and one[0] != other[0]:
        return False
    if one[1] is not None and other[1] is not None:
        return one[1] == other[1]
    return one[2] is not None and one[2] == other[2]
