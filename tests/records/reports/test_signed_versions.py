"""Signed versions: no hand changes them, and one that was changed is not shown as signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DatabaseError

from tests.documents import sample
from tests.records.kit import made_user
from tests.records.reports_kit import (
    counts,
    made_report,
    signed_report,
)
from tetkik.errors import Conflict, NotFound, RecordsError
from tetkik.records import serialization
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.reports import reports, versions
from tetkik.records.reports.report_inputs import Picture
from tetkik.records.reports.versions import Sealed
from tetkik.records.schema import Blob, Case, ReportVersion, SignatureRow
from tetkik.values import (
    ReportContent,
    Role,
)

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("table", [ReportVersion, SignatureRow])
def test_the_database_itself_refuses_a_change(both_records, radiologist, table):
    signed_report(both_records, radiologist)
    column = {"corrected": True} if table is ReportVersion else {"name": "Başkası"}
    for statement in (update(table).values(**column), delete(table)):
        with pytest.raises((DatabaseError, Conflict, RecordsError)), both_records.write(radiologist) as tx:
            tx.session.execute(statement)
    with both_records.read() as tx:
        assert counts(tx) == (1, 1)


def altered(records, change):
    """Do what no function does: change rows behind the triggers' back."""
    with records.engine.begin() as connection:
        triggers = "DROP TRIGGER IF EXISTS {table}_update_refused"
        for table in ("report_versions", "signatures"):
            drop = triggers.format(table=table)
            connection.execute(text(drop if connection.dialect.name == "sqlite" else f"{drop} ON {table}"))
        connection.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        update(SignatureRow).values(name="Başka Biri"),
        update(SignatureRow).values(digest="0" * 64),
        update(SignatureRow).values(signed_at=datetime(2020, 1, 1, tzinfo=UTC)),
        update(ReportVersion).values(verification="0" * 64),
        update(ReportVersion).values(number=7),
        update(ReportVersion).values(document=b"x" * 40),
    ],
)
def test_an_altered_version_is_not_shown_as_the_signed_one(both_records, radiologist, change):
    made = signed_report(both_records, radiologist)
    altered(both_records, change)
    with both_records.read(radiologist) as tx:
        number = tx.session.scalar(select(ReportVersion.number))
        with pytest.raises(RecordsError, match="altered"):
            versions.version_of(tx, made.id, number)


def test_a_document_sealed_anew_by_somebody_with_the_key_shows(records, reader):
    made = signed_report(records, reader)
    with records.read(reader) as tx:
        row = tx.session.scalars(select(ReportVersion)).one()
        content = serialization.from_bytes(
            Sealed, tx.open(row.patient_id, "report_versions.document", row.id, row.document)
        )
        draft = replace(content.document.draft, sentences=content.document.draft.sentences[:3])
        document = replace(content.document, content=ReportContent(draft))
        other = serialization.to_bytes(replace(content, document=document))
        sealed = tx.seal(row.patient_id, "report_versions.document", row.id, other)
    altered(records, update(ReportVersion).values(document=sealed))
    with pytest.raises(RecordsError, match="altered"), records.read(reader) as tx:
        versions.version_of(tx, made.id)


def test_a_picture_that_is_another_one_shows(records, reader):
    made = signed_report(records, reader)
    with records.read(reader) as tx:
        row = tx.session.scalars(select(ReportVersion)).one()
        content = serialization.from_bytes(
            Sealed, tx.open(row.patient_id, "report_versions.document", row.id, row.document)
        )
        kinds = {item.what: item for item in content.pictures}
        assert all(isinstance(item, Picture) for item in content.pictures)
        swapped = tx.files.storage.path(kinds["image"].file)
        swapped.write_bytes(tx.files.storage.path(kinds["heatmap"].file).read_bytes())
        with pytest.raises(RecordsError):
            versions.version_of(tx, made.id)


def test_pictures_of_a_version_stay_when_the_draft_gets_others(records, reader):
    made = signed_report(records, reader)
    with records.read(reader) as tx:
        before = versions.version_of(tx, made.id).document.image
        labels = {blob.label for blob in tx.session.scalars(select(Blob)) if blob.kind.startswith("report-")}
        assert len(labels) == 2  # the draft's and the version's
    assert before == sample.picture(size=(300, 260))


def test_an_erased_patients_report_is_gone(records, reader):
    made = signed_report(records, reader)
    with records.engine.begin() as connection:
        drop = "DROP TRIGGER IF EXISTS patients_update_refused"
        connection.execute(text(drop if connection.dialect.name == "sqlite" else f"{drop} ON patients"))
        connection.execute(text("UPDATE patients SET key = NULL"))
    with pytest.raises(NotFound, match="erased"), records.read(reader) as tx:
        versions.version_of(tx, made.id)


def test_the_patients_name_corrected_later_does_not_change_what_was_signed(records, reader):
    made = signed_report(records, reader)
    reception = made_user(records, Role.RECEPTION)
    with records.write(reception) as tx:
        patient_id = tx.session.get_one(Case, made.case_id).patient_id
        patients.change(tx, patient_id, Person("Gülçin KAYA", "", "H-1"))
    with records.read(reader) as tx:
        assert versions.version_of(tx, made.id).document.identity.patient_name == "ŞAHİN^Gülçin"


def test_the_list_goes_on_where_it_ended(both_records, radiologist):
    made = [signed_report(both_records, radiologist) for _ in range(3)]
    draft = made_report(both_records)
    with both_records.read(radiologist) as tx:
        first = reports.list_reports(tx, reports.Wanted(), limit=2)
        last = (first[-1].signed_at, first[-1].report_id)
        rest = reports.list_reports(tx, reports.Wanted(own=True), limit=2, after=last)
        until = reports.list_reports(tx, reports.Wanted(until=first[-1].signed_at), limit=5)
    assert [item.report_id for item in (*first, *rest)] == [item.id for item in reversed(made)]
    assert [item.report_id for item in until] == [made[0].id]
    assert draft.id not in {item.report_id for item in (*first, *rest)}
    assert {item.person.name for item in first if item.person is not None} == {"Gülçin ŞAHİN"}


def test_a_code_leads_to_its_version(records, reader):
    made = signed_report(records, reader)
    with records.read(reader) as tx:
        code = versions.version_of(tx, made.id).info.verification
        assert reports.report_verified(tx, code) == (made.id, 1)
        assert reports.report_verified(tx, "0" * 64) is None
