"""Measurements: kept with the draft, checked against its text, frozen by the signature, carried on."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from io import BytesIO

import pytest
from sqlalchemy import select

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_image, made_report, sign
from tetkik.errors import InputError, NotFound
from tetkik.language import Language
from tetkik.records.images import images
from tetkik.records.people import access
from tetkik.records.reports import drafts, measurements, signing, versions
from tetkik.records.reports.edit_conflicts import EditConflict
from tetkik.records.reports.measurements import MOST, NewMeasurement
from tetkik.records.schema import AuditRow, Report
from tetkik.rules.comparison import Change, compared_measurements
from tetkik.rules.editing import DraftEdit
from tetkik.rules.marks import sayings
from tetkik.values import (
    SYSTEM,
    Author,
    Draft,
    DraftSentence,
    FileFormat,
    MeasuredImage,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    Role,
    Section,
    SpacingPlane,
)

SPACING = (0.5, 0.25)


def measured_image(records, case_id: str, frames: int = 1) -> str:
    """An image of 100 rows and 80 columns at the detector."""
    with records.write(SYSTEM) as tx:
        patient_id = access.load_visible_case(tx, case_id).patient_id
        stored = images.store_file(tx, patient_id, BytesIO(case_id.encode() + bytes([frames])))
        described = images.ImageMetadata(
            FileFormat.DICOM,
            100,
            80,
            SPACING,
            identity=replace(sample.IDENTITY, study_uid=f"2.25.{frames}"),
            tags=replace(sample.TAGS, frames=frames),
            plane=SpacingPlane.DETECTOR,
        )
        return images.add_image(tx, case_id, stored, described).image.id


@pytest.fixture
def made(records, reader):
    """A report begun by hand about such an image."""
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    image_id = measured_image(records, case_id)
    with records.write(reader) as tx:
        return drafts.write_by_hand(tx, image_id, Language.TR, identity=sample.IDENTITY, tags=sample.TAGS)


def length(image_id: str, label: str = "", end=(48.0, 50.0)) -> NewMeasurement:
    return NewMeasurement(MeasurementKind.LENGTH, image_id, [(8.0, 20.0), end], label)


def test_it_is_kept_and_comes_back_moved_named_and_removed(records, reader, made):
    other = made_user(records, Role.RADIOLOGIST)
    with records.write(reader) as tx:
        after = measurements.add(tx, made.report_id, 1, length(made.image_id, "  nodül \n"))
    with records.read(other) as tx:
        (item,) = drafts.draft_of(tx, made.report_id).measurements
    assert (item.label, item.points, item.image.spacing) == ("nodül", ((8, 20), (48, 50)), SPACING)
    assert item.value == pytest.approx(((40 * 0.25) ** 2 + (30 * 0.5) ** 2) ** 0.5)
    assert item.image.plane is SpacingPlane.DETECTOR and item.image.frame is None and not item.image.earlier
    assert item.image.instance_uid == sample.IDENTITY.instance_uid
    with records.write(other) as tx:
        points = [(8.0, 20.0), (8.004, 60.0)]
        moved = changes.move(tx, made.report_id, after.revision, item.id, points=points)
        assert (moved.measurements[0].rounded, moved.measurements[0].label) == (20.0, "nodül")
        assert moved.measurements[0].points[1] == (8.0, 60.0)
        named = changes.move(tx, made.report_id, moved.revision, item.id, label="")
        assert (named.measurements[0].label, named.measurements[0].id) == ("", item.id)
        gone = changes.unmeasure(tx, made.report_id, named.revision, item.id)
        assert (gone.measurements, gone.revision) == ((), made.revision + 4)
    with pytest.raises(NotFound), records.write(reader) as tx:
        changes.unmeasure(tx, made.report_id, gone.revision, item.id)
    with records.read() as tx:
        rows = tx.session.scalars(select(AuditRow).where(AuditRow.action == "draft.changed")).all()
        assert len(rows) == 4


def test_who_measures_second_overwrites_nothing(records, reader, made):
    with records.write(reader) as tx:
        measurements.add(tx, made.report_id, 1, length(made.image_id))
    with pytest.raises(EditConflict) as result, records.write(reader) as tx:
        measurements.add(tx, made.report_id, 1, length(made.image_id, "second"))
    assert [item.label for item in result.value.current.measurements] == [""]


def test_nothing_of_it_is_readable_in_the_database(records, reader, made):
    with records.write(reader) as tx:
        measurements.add(tx, made.report_id, 1, length(made.image_id, "gizli nodül"))
        assert b"gizli" not in (tx.session.get_one(Report, made.report_id).draft or b"")


@pytest.mark.parametrize(
    "points",
    [
        [(8.0, 20.0)],
        [(8.0, 20.0), (9.0, 20.0), (30.0, 20.0)],
        [(8.0, 20.0), (80.1, 20.0)],
        [(8.0, 20.0), (8.0, 100.5)],
        [(-1.0, 20.0), (8.0, 20.0)],
        [(8.0, 20.0), (float("nan"), 20.0)],
        [(8.0, 20.0), (8.5, 20.0)],
    ],
)
def test_points_lie_in_the_image_and_apart(records, reader, made, points):
    with pytest.raises(InputError, match="measure it again"), records.write(reader) as tx:
        measurements.add(tx, made.report_id, 1, NewMeasurement(MeasurementKind.LENGTH, made.image_id, points))


def test_only_in_the_reports_own_image_and_in_earlier_ones_of_the_patient(records, reader):
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    earlier, own, later = (measured_image(records, case_id, frames) for frames in (3, 1, 2))
    other = made_image(records, made_case(records, made_user(records, Role.RECEPTION)))
    with records.write(reader) as tx:
        made = drafts.write_by_hand(tx, own, Language.TR)
        (item,) = measurements.add(tx, made.report_id, 1, length(earlier)).measurements
    assert item.image.earlier and item.image.frame == 2  # the middle one of three
    with records.write(reader) as tx:
        taken = replace(length(earlier), frame=3)
        assert measurements.add(tx, made.report_id, 2, taken).measurements[1].image.frame == 3
    for taken in (length(later), length(other), replace(length(earlier), frame=4)):
        with pytest.raises(InputError), records.write(reader) as tx:
            measurements.add(tx, made.report_id, 3, taken)


def test_there_is_an_end_to_them(records, reader, made):
    with records.write(reader) as tx:
        revision = made.revision
        for place in range(MOST):
            taken = length(made.image_id, end=(48.0, 21.0 + place))
            revision = measurements.add(tx, made.report_id, revision, taken).revision
        with pytest.raises(InputError, match="at most 50"):
            measurements.add(tx, made.report_id, revision, length(made.image_id))


# ---- the text and what was measured


def faults(draft: Draft) -> list[str]:
    return [mark.fault.value for sentence in draft.sentences for mark in sentence.marks]


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("Nodül 18,0 mm çapındadır.", False),
        ("Nodül 18 mm çapındadır.", False),
        ("Nodül 1,8 cm çapındadır.", False),
        ("Nodül 18 x 18 mm boyutundadır.", False),
        ("Nodül 18 x 9 mm boyutundadır.", True),
        ("Nodül 18,4 mm çapındadır.", True),
        ("Nodül 18 cm çapındadır.", True),
    ],
)
def test_a_sentence_may_say_what_was_measured_and_nothing_else(records, reader, words, marked):
    made = made_report(records)
    with records.write(reader) as tx:
        row = tx.session.get_one(Report, made.id)
        own = images.load_image(tx, row.image_id)
        assert own.spacing is None  # in pixels, which no sentence may say
        pixels = NewMeasurement(MeasurementKind.LENGTH, own.id, [(0.0, 0.0), (18.0, 0.0)])
        in_pixels = measurements.add(tx, made.id, 1, pixels)
        sentence = [DraftSentence(words, Section.FINDINGS, ("finding:Effusion",), author=Author.EDITED)]
        assert "measurement" in faults(
            changes.save(tx, made.id, in_pixels.revision, DraftEdit(sentence)).draft
        )
    calibrated = Measurement(
        "0" * 26,
        MeasurementKind.LENGTH,
        MeasuredImage("1" * 26, 100, 100, (1.0, 1.0), SpacingPlane.PATIENT),
        ((0.0, 0.0), (18.0, 0.0)),
    )
    with records.write(reader) as tx:
        kept = drafts.change(tx, made.id, 3, partial(measurements.added, calibrated))
        assert ("measurement" in faults(kept.draft)) is marked
        gone = changes.unmeasure(tx, made.id, kept.revision, calibrated.id)
        assert "measurement" in faults(gone.draft)


def test_the_ways_of_saying_a_size():
    image = MeasuredImage("1" * 26, 100, 100, (1.0, 1.0), SpacingPlane.PATIENT)
    said = Measurement("0" * 26, MeasurementKind.LENGTH, image, ((0.0, 0.0), (12.5, 0.0)))
    assert {"12,5 mm", "12.5 mm", "12 mm", "13 mm", "1,25 cm"} <= {*sayings(said)}
    angle = Measurement("0" * 26, MeasurementKind.ANGLE, image, ((9.0, 0.0), (0.0, 0.0), (9.0, 9.0)))
    assert angle.unit is MeasurementUnit.DEGREE and {"45°", "45,0 derece"} <= {*sayings(angle)}


def test_a_draft_written_afresh_keeps_them(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        taken = NewMeasurement(MeasurementKind.LENGTH, made.image_id, [(0.0, 0.0), (18.0, 0.0)])
        before = measurements.add(tx, made.id, 1, taken)
        after = drafts.rewrite(tx, made.id, before.revision, sample.draft(Language.EN))
    assert after.measurements == before.measurements and after.draft.language is Language.EN


# ---- signed


def test_they_are_frozen_into_the_version_and_carried_on_by_an_amendment(records, reader, made):
    with records.write(reader) as tx:
        sentence = [DraftSentence("Akciğerlerde nodül.", Section.FINDINGS)]
        changes.save(tx, made.report_id, 1, DraftEdit(sentence))
        taken = measurements.add(tx, made.report_id, 2, length(made.image_id, "nodül"))
        sign(tx, made.report_id, reader)
        first = versions.version_of(tx, made.report_id)
    assert first.document.measurements == taken.measurements
    with records.write(reader) as tx:
        begun = signing.begin_amendment(tx, made.report_id, "Ölçüm düzeltildi.")
        assert begun.measurements == taken.measurements
        (item,) = begun.measurements
        moved = changes.move(tx, made.report_id, begun.revision, item.id, points=[(8.0, 20.0), (48.0, 20.0)])
        added = measurements.add(tx, made.report_id, moved.revision, length(made.image_id, "ikinci"))
        sign(tx, made.report_id, reader)
        assert versions.version_of(tx, made.report_id, 1).document == first.document
        second = versions.version_of(tx, made.report_id, 2)
    assert second.document.measurements == added.measurements
    assert second.info.verification != first.info.verification
    found = compared_measurements(first.document.measurements, second.document.measurements)
    assert [(one.change, one.measurement.label, one.measurement.rounded) for one in found] == [
        (Change.REMOVED, "nodül", 18.0),
        (Change.ADDED, "nodül", 10.0),
        (Change.ADDED, "ikinci", 18.0),
    ]
    same = compared_measurements(second.document.measurements, second.document.measurements)
    assert {one.change for one in same} == {Change.SAME}
