"""Measurements, arrows and texts in an image: kept with the draft under the same rules as its text.

Each change names the revision that it was made on, is sealed with the draft, and has the sentences checked
again: a size that somebody measured may be said, and one whose measurement was moved or taken away may not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tetkik.errors import InputError, NotFound
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import images
from tetkik.records.images.images import StoredImage
from tetkik.records.reports import drafts
from tetkik.records.reports.drafts import Known
from tetkik.records.reports.edit_conflicts import WorkingDraft, for_change, row_of
from tetkik.records.schema import Report
from tetkik.rules.draft_state import DraftState
from tetkik.rules.editing import Change
from tetkik.values import MeasuredImage, Measurement, MeasurementKind, RegionStatistics, middle_frame
from tetkik.values.common import one_line
from tetkik.values.measurement import Point

MOST = 50
"""Measurements of a report."""
LONGEST_LABEL = 60
"""Characters of a label."""
_LEAST = 1.0
"""Pixels: what is shorter was a slip of the hand."""
_DECIMALS = 2
"""Of a coordinate: a hundredth of a pixel is beyond any screen."""


@dataclass(frozen=True, slots=True)
class NewMeasurement:
    kind: MeasurementKind
    image_id: str
    """In which image: the report's own, or an earlier one of the same patient."""
    points: Sequence[Point]
    """In pixels of the image."""
    label: str = ""
    frame: int | None = None
    statistics: RegionStatistics | None = None
    """Of a region of interest, counted in the file itself; never what a browser says."""


def add(
    tx: Transaction, report_id: str, revision: int, new: NewMeasurement, known: Known = ()
) -> WorkingDraft:
    """Keep a new measurement; how large a pixel is comes from the image, never from whoever measures."""
    row, state = for_change(tx, report_id, revision)
    return drafts.keep(tx, row, added(_measured(tx, row, new), state), known)


def measured(tx: Transaction, report_id: str, new: NewMeasurement) -> Measurement:
    """A new measurement as `add` keeps it."""
    return _measured(tx, row_of(tx, report_id), new)


def _measured(tx: Transaction, row: Report, new: NewMeasurement) -> Measurement:
    image = describe_image(tx, row, new.image_id, new.frame)
    points = exact_points(new.kind, image, new.points)
    return _measurement(new_id(), new.kind, image, points, _label(new.label, new.kind), new.statistics)


def added(made: Measurement, state: DraftState) -> Change:
    """The rule by which a draft has one more measurement."""
    there = state.working.content.measurements
    if len(there) >= MOST:
        raise InputError("A report has at most {most} measurements; remove one and measure again.", most=MOST)
    return _with(state, (*there, made))


def change(
    measurement_id: str,
    state: DraftState,
    *,
    points: Sequence[Point] | None = None,
    label: str | None = None,
    statistics: RegionStatistics | None = None,
) -> Change:
    """The rule by which the points of a measurement move, or it is named; what is None stays.

    `statistics` are those of a region of interest at these points.
    """
    there = state.working.content.measurements
    found = _found(there, measurement_id)
    exact = found.points if points is None else exact_points(found.kind, found.image, points)
    counted = found.statistics if points is None else statistics
    name = found.label if label is None else _label(label, found.kind)
    after = _measurement(found.id, found.kind, found.image, exact, name, counted)
    return _with(state, tuple(after if item is found else item for item in there))


def remove(measurement_id: str, state: DraftState) -> Change:
    """The rule by which a measurement is taken away."""
    there = state.working.content.measurements
    found = _found(there, measurement_id)
    return _with(state, tuple(item for item in there if item is not found))


def _with(state: DraftState, measurements: tuple[Measurement, ...]) -> Change:
    return Change(state.with_content(replace(state.working.content, measurements=measurements)))


def _found(there: Sequence[Measurement], measurement_id: str) -> Measurement:
    for item in there:
        if item.id == measurement_id:
            return item
    raise NotFound("There is no such measurement any more; look at the draft as it is now.")


def find_measurement(tx: Transaction, report_id: str, measurement_id: str) -> Measurement:
    """A measurement of a draft as it stands."""
    return _found(drafts.draft_of(tx, report_id).measurements, measurement_id)


def describe_image(tx: Transaction, row: Report, image_id: str, frame: int | None = None) -> MeasuredImage:
    """An image, or a frame of one, that a report may point into."""
    image = images.load_visible_image(tx, image_id)
    images.check_frame(image, frame)
    if image.removed_at is not None:
        raise InputError("This image was removed already; load the page again.")
    own = images.load_image(tx, row.image_id)
    there = {one.id for one in drafts.images_of_report(tx, own)}
    earlier = image.id not in there
    if image.patient_id != row.patient_id or (earlier and image.created_at > own.created_at):
        raise InputError(
            "A report holds measurements of the images of its study and of earlier ones of the same patient; "
            "measure in one of these."
        )
    described = measured_image(tx, image, frame)
    return replace(described, earlier=earlier)


def measured_image(tx: Transaction, image: StoredImage, frame: int | None = None) -> MeasuredImage:
    """What a document needs in order to point into an image, or a frame of one."""
    described = images.load_metadata(tx, image)
    identity = described.identity
    return MeasuredImage(
        id=image.id,
        rows=image.rows,
        columns=image.columns,
        spacing=described.spacing,
        plane=described.plane,
        study_date=identity.study_date,
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        instance_uid=identity.instance_uid,
        sop_class=described.tags.sop_class,
        frame=(frame or middle_frame(image.frames)) if image.frames > 1 else None,
    )


def exact_points(kind: MeasurementKind, image: MeasuredImage, points: Sequence[Point]) -> tuple[Point, ...]:
    """The points to a hundredth of a pixel."""
    kept = tuple((round(column, _DECIMALS), round(row, _DECIMALS)) for column, row in points)
    if len(kept) != kind.points or not all(image.holds(point) for point in kept):
        raise InputError(
            "A measurement has as many points as its kind takes (a length two, an angle three), all of them "
            "in the image; measure it again."
        )
    lines = ((kept[:2], kept[2:]) if kind.points == 4 else (kept,))  # fmt: skip
    pairs = [pair for line in lines for pair in itertools.pairwise(line)]
    if any(math.dist(one, other) < _LEAST for one, other in pairs):
        raise InputError("The points of the measurement lie on top of each other; measure it again.")
    return kept


def _measurement(
    name: str,
    kind: MeasurementKind,
    image: MeasuredImage,
    points: tuple[Point, ...],
    label: str,
    statistics: RegionStatistics | None,
) -> Measurement:
    try:
        return Measurement(name, kind, image, points, label, statistics)
    except ValueError:
        if kind is not MeasurementKind.CARDIOTHORACIC:
            raise
        raise InputError(
            "The heart is measured wider than the thorax; set the borders of the heart first, then the inner "
            "chest wall."
        ) from None


def _label(text: str, kind: MeasurementKind) -> str:
    label = one_line(text)
    if len(label) > LONGEST_LABEL:
        raise InputError(
            "The name of a measurement has at most {longest} characters; shorten it.", longest=LONGEST_LABEL
        )
    if not label and kind is MeasurementKind.TEXT:
        raise InputError("A text in the image needs words; write them, or remove it.")
    return label
