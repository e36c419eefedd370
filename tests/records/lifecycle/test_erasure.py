"""Erasure: what the law keeps stays until its day, everything else goes at once, and nobody comes back."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from sqlalchemy import LargeBinary, delete, func, select, update
from sqlalchemy.exc import DBAPIError

from tests.records.kit import made_case, made_user
from tests.records.whole import OTHER, SCAN, made_whole
from tetkik.errors import Conflict, Forbidden, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.lifecycle import erasure_log
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase, erase_again
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.lifecycle.retention import RetentionTerms, apply_retention, is_due, remove_orphaned_files
from tetkik.records.reports import versions
from tetkik.records.schema import (
    AuditRow,
    Base,
    Blob,
    BrowserSession,
    Case,
    Complaint,
    Image,
    Patient,
    PatientIndex,
    Report,
    ReportVersion,
    Run,
    Score,
    SignatureRow,
)
from tetkik.records.trail.verify import verify
from tetkik.values import CaseState, LinkReason, Method, Role
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow import patients as patient_merge

pytestmark = pytest.mark.both_databases


def count(records, table):
    with records.read() as tx:
        return tx.session.scalar(select(func.count()).select_from(table))


def whole(records):
    with records.read() as tx:
        trail, stored = verify(tx), verify_stored(tx)
    return trail.whole and stored.faults == ()


def pass_time(records, patient_id):
    """Let the law's time be over."""
    with records.engine.begin() as connection:
        when = connection.scalar(select(Patient.created_at)) - timedelta(days=1)
        connection.execute(update(Patient).where(Patient.id == patient_id).values(erase_after=when))


def sealed_columns(records, patient_id, case_id):
    """Everything in bytes that still stands in a row of the patient."""
    left = []
    with records.engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            whose = {"patient_id": patient_id, "case_id": case_id}
            named = [table.c[key] == value for key, value in whose.items() if key in table.c]
            if table.name == "patients":
                named = [table.c.id == patient_id]
            if not named or table.name == "audit":
                continue
            binary = [column for column in table.c if isinstance(column.type, LargeBinary)]
            for row in connection.execute(select(*binary).where(*named[:1])) if binary else ():
                left += [
                    (table.name, column.name) for column, value in zip(binary, row, strict=True) if value
                ]
    return left


def test_without_a_signed_report_everything_goes_at_once(both_records):
    there = made_whole(both_records, signed=False)
    done = erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20, reference="KVKK-2026/12")
    assert (done.complete, done.kept_until, done.kept_reports) == (True, None, 0)
    assert sealed_columns(both_records, there.patient_id, there.case_id) == []
    assert list(both_records.files.storage.names()) == [] and done.files >= 2
    assert count(both_records, PatientIndex) == 0
    with both_records.read() as tx:
        assert patients.find(tx, "10000000146") == ()
        with pytest.raises(NotFound):
            patients.load_person(tx, there.patient_id)
        case = tx.session.get_one(Case, there.case_id)
        assert (case.state, case.emptied_at is not None) == (CaseState.CLOSED, True)
    assert whole(both_records)


def test_the_figures_of_the_models_stay_without_a_patient(both_records):
    there = made_whole(both_records, signed=False)
    before = count(both_records, Score), count(both_records, Run), count(both_records, Complaint)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert (count(both_records, Score), count(both_records, Run), count(both_records, Complaint)) == before
    assert before[0] > 0
    with both_records.read() as tx:
        row = tx.session.scalars(select(Complaint)).one()
        assert row.department_chosen == "Göğüs Hastalıkları" and row.text is None
        assert (row.urgency_chosen, row.urgency_reason) == ("sari", "chronic")


def test_the_trail_is_emptied_and_stays_whole(both_records):
    there = made_whole(both_records, signed=False)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    with both_records.read() as tx:
        trail = verify(tx)
        assert trail.whole and trail.erased > 3
        of_patient = tx.session.scalars(
            select(AuditRow).where(AuditRow.patient_id == there.patient_id).order_by(AuditRow.seq)
        ).all()
        assert [row.content is None for row in of_patient] == [True] * trail.erased + [False]
        assert of_patient[-1].action == Action.PATIENT_ERASED


def test_a_signed_report_is_kept_with_its_image_and_the_rest_goes(both_records):
    there = made_whole(both_records)
    done = erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert (done.complete, done.kept_reports) == (False, 1)
    with both_records.read() as tx:
        signed = tx.session.scalars(select(ReportVersion.created_at)).one()
        assert 20 * 365 <= (done.kept_until - signed).days <= 20 * 366
        assert tx.session.get_one(Patient, there.patient_id).erase_after == done.kept_until
        version = versions.version_of(tx, there.report_id)
        assert version.document.draft.sentences and version.document.image
        kept = images.load_image(tx, there.signed_image)
        assert images.read_content(tx, kept) == SCAN
        assert tx.session.get_one(Image, there.other_image).file.startswith("-")
        assert tx.session.scalars(select(Complaint.text)).all() == [None]
        assert tx.session.scalars(select(Run.answer)).all() == [None, None]
        assert tx.session.scalars(select(Report.draft)).all() == [None, None]
        assert set(tx.session.scalars(select(Blob.label))) == {version.info.id}
        assert tx.session.get_one(Case, there.case_id).restricted
    stored = [
        both_records.files.storage.path(name).read_bytes() for name in both_records.files.storage.names()
    ]
    assert len(stored) == 2, "the image, and the report's picture of it"
    assert not any(OTHER in content for content in stored)
    assert whole(both_records)


def test_kept_for_the_law_is_found_by_no_daily_search(both_records):
    there = made_whole(both_records)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    with both_records.read() as tx:
        for words in ("Gülçin", "ŞAHİN", "10000000146", "H-1"):
            assert patients.find(tx, words) == ()
    with pytest.raises(Conflict, match="kept until"):
        erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)


def test_kept_for_the_law_is_open_to_no_desk_and_takes_nothing_new(both_records):
    there = made_whole(both_records)
    desk = made_user(both_records, Role.RECEPTION)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    for change in (
        lambda tx: cases.load_case(tx, there.case_id),
        lambda tx: cases.restrict(tx, there.case_id, False),
        lambda tx: cases.change_person(tx, there.case_id, patients.Person("Gülçin ŞAHİN", "10000000146")),
        lambda tx: cases.reopen(tx, there.case_id),
    ):
        with pytest.raises(Forbidden), both_records.write(desk) as tx:
            change(tx)
    with pytest.raises(NotFound), both_records.write(desk) as tx:
        cases.open_case(tx, there.patient_id)
    with both_records.read() as tx:
        assert patients.find(tx, "10000000146") == ()


def test_retention_of_another_case_leaves_what_the_law_keeps(both_records):
    there = made_whole(both_records)
    with both_records.write(there.reader) as tx:
        late = cases.open_case(tx, there.patient_id)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    with both_records.write(there.reader) as tx:  # as after a restored backup, or by another program
        case = tx.session.get_one(Case, late)
        case.emptied_at, case.state, case.updated_at = None, CaseState.CLOSED, tx.now - timedelta(days=100)
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).cases == 1
    with both_records.read() as tx:
        assert versions.version_of(tx, there.report_id).document.draft.sentences
        assert tx.session.get_one(Patient, there.patient_id).key is not None
    assert whole(both_records)


def test_the_database_does_not_let_the_key_go_before_its_day(both_records):
    there = made_whole(both_records)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    with pytest.raises(DBAPIError, match="kept by law"), both_records.engine.begin() as connection:
        connection.execute(update(Patient).values(key=None))
    for table in (ReportVersion, SignatureRow):
        with pytest.raises(DBAPIError, match="never changed"), both_records.engine.begin() as connection:
            connection.execute(delete(table))


def test_on_its_day_the_rest_goes_too(both_records):
    there = made_whole(both_records)
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    assert apply_retention(both_records, RetentionTerms(20)).erased == 0
    pass_time(both_records, there.patient_id)
    assert apply_retention(both_records, RetentionTerms(20)).erased == 1
    assert sealed_columns(both_records, there.patient_id, there.case_id) == []
    assert list(both_records.files.storage.names()) == []
    for table in (ReportVersion, SignatureRow, Blob, PatientIndex):
        assert count(both_records, table) == 0
    assert count(both_records, Score) > 0
    assert whole(both_records)
    with pytest.raises(Conflict, match="nothing is left"):
        erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)


def test_a_hospital_that_keeps_nothing_erases_signed_reports_at_once(both_records):
    there = made_whole(both_records)
    assert erase(both_records, there.patient_id, ErasureReason.COURT, years=0).complete
    assert count(both_records, ReportVersion) == 0
    assert whole(both_records)


def test_another_patient_is_left_alone(both_records):
    there = made_whole(both_records)
    other = made_whole(both_records, patients.Person("Ali VELİ", "", "H-2"))
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=0)
    with both_records.read() as tx:
        assert patients.load_person(tx, other.patient_id).name == "Ali VELİ"
        assert images.read_content(tx, images.load_image(tx, other.other_image)) == OTHER
        assert versions.version_of(tx, other.report_id).document.image
    assert whole(both_records)


def test_what_is_refused(both_records):
    there = made_whole(both_records, signed=False)
    with pytest.raises(NotFound):
        erase(both_records, "0" * 26, ErasureReason.REQUEST, years=20)
    with pytest.raises(InputError, match="register"):
        erase(
            both_records, there.patient_id, ErasureReason.REQUEST, years=20, reference="Gülçin Şahin; asked"
        )
    assert count(both_records, PatientIndex) > 0


def test_a_restored_backup_brings_nobody_back(both_records, make_url, tmp_path):
    there = made_whole(both_records, signed=False)
    make_backup(both_records, tmp_path / "backup")
    erase(both_records, there.patient_id, ErasureReason.REQUEST, years=20)
    folder = tmp_path / "again"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    shutil.copy(tmp_path / erasure_log.FILE, folder / erasure_log.FILE)
    back = Records(make_url(), folder)
    result = restore_backup(back, tmp_path / "backup")
    assert result.erased == (there.patient_id,)
    with back.read() as tx:
        assert patients.load_person(tx, there.patient_id).name
    assert erase_again(back, result.erased, years=20) == 1
    with back.read() as tx, pytest.raises(NotFound):
        patients.load_person(tx, there.patient_id)
    assert erase_again(back, result.erased, years=20) == 0
    assert whole(back)
    back.close()


def test_a_restored_hospital_keeps_the_ledger_of_its_backup(both_records, make_url, tmp_path):
    gone, later = (
        made_whole(both_records, patients.Person(f"Ad {n}", "", f"H-{n}"), signed=False) for n in (1, 2)
    )
    erase(both_records, gone.patient_id, ErasureReason.REQUEST, years=20)
    make_backup(both_records, tmp_path / "backup")
    erase(both_records, later.patient_id, ErasureReason.REQUEST, years=20)
    folder = tmp_path / "again"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    back = Records(make_url(), folder)
    erasure_log.merge_log(folder, erasure_log.read_log(tmp_path).splitlines(keepends=True)[1] + b"half a li")
    result = restore_backup(back, tmp_path / "backup")
    assert set(result.erased) == {gone.patient_id, later.patient_id}
    assert erase_again(back, result.erased, years=20) == 1
    assert set(erasure_log.erased_patients(erasure_log.read_log(folder), back.vault)) == set(result.erased)
    back.close()


def test_retention_itself_erases_whom_a_backup_brought_back(both_records):
    there = made_whole(both_records, signed=False)
    with both_records.read() as tx:
        erasure_log.log_erasure(both_records.folder, both_records.vault, there.patient_id, tx.now)
    assert apply_retention(both_records, RetentionTerms(20)).erased_again == 1
    assert apply_retention(both_records, RetentionTerms(20)).erased_again == 0


def test_a_forged_line_of_the_ledger_erases_nobody(both_records):
    there = made_whole(both_records, signed=False)
    (both_records.folder / erasure_log.FILE).write_text(
        f'{{"patient": "{there.patient_id}", "at": "2026-01-01T00:00:00+00:00", "code": "00"}}\nhalf a li'
    )
    assert apply_retention(both_records, RetentionTerms(20)).erased_again == 0


def test_closed_cases_without_a_report_go_after_their_time(both_records):
    old, young, signed = (
        made_whole(both_records, patients.Person(f"Ad {n}", "", f"H-{n}"), signed=n == 3) for n in (1, 2, 3)
    )
    with both_records.write(old.reader) as tx:
        for there in (old, young, signed):
            case = tx.session.get_one(Case, there.case_id)
            case.state = CaseState.CLOSED
            case.updated_at = tx.now - timedelta(days=1 if there is young else 100)
    assert apply_retention(both_records, RetentionTerms(20)).cases == 0
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).cases == 1
    with both_records.read() as tx, pytest.raises(NotFound):
        patients.load_person(tx, old.patient_id)
    with both_records.read() as tx:
        assert patients.load_person(tx, young.patient_id).name == "Ad 2"
        assert versions.version_of(tx, signed.report_id)
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).cases == 0
    assert whole(both_records)


def test_who_has_no_case_any_more_goes_after_the_same_time(both_records):
    """The only case was moved to the right patient, or none was ever opened."""
    made = {}
    actor = made_user(both_records, Role.RECEPTION)
    with both_records.write(actor) as tx:
        for n, name in enumerate(("moved", "fresh", "never", "waits", "joined", "other")):
            made[name] = patients.create(tx, patients.Person(name, "", f"H-{n}"))
        before = tx.now - timedelta(days=100)
        for name, state, at in (
            ("moved", CaseState.MOVED, before),
            ("fresh", CaseState.MOVED, tx.now),
            ("waits", CaseState.WAITING, before),
            ("other", CaseState.WAITING, before),
        ):
            case = tx.session.get_one(Case, cases.open_case(tx, made[name]))
            case.state, case.updated_at = state, at
        tx.session.execute(update(Patient).values(created_at=before))
        seen = patient_comparison.compare_patients(tx, made["joined"], made["other"]).seen
        patient_merge.link(tx, made["joined"], made["other"], LinkReason.REGISTERED_TWICE, seen)
    assert apply_retention(both_records, RetentionTerms(20)).left == 0
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).left == 2
    with both_records.read() as tx:
        gone = {name for name, one in made.items() if tx.session.get_one(Patient, one).key is None}
    assert gone == {"moved", "never"}
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).left == 0
    assert whole(both_records)


def test_a_patient_with_another_case_stays(both_records):
    there = made_whole(both_records, signed=False)
    with both_records.write(there.reader) as tx:
        cases.open_case(tx, there.patient_id)
        case = tx.session.get_one(Case, there.case_id)
        case.state, case.updated_at = CaseState.CLOSED, tx.now - timedelta(days=100)
    assert apply_retention(both_records, RetentionTerms(20, closed_days=90)).cases == 1
    with both_records.read() as tx:
        assert patients.load_person(tx, there.patient_id).name == "Gülçin ŞAHİN"
        assert tx.session.scalars(select(Complaint.text)).all() == [None]
    assert whole(both_records)


def test_what_passes_is_forgotten_and_files_without_a_row_too(both_records, monkeypatch):
    actor = made_user(both_records, Role.RECEPTION)
    made_case(both_records, actor)
    assert remove_orphaned_files(both_records) == (0, 0, 0), "the place is this installation's"
    with both_records.write(actor) as tx:
        for n, days in enumerate((-1, 1)):
            tx.session.add(
                BrowserSession(
                    id=f"{n}" * 64,
                    user_id=actor.user_id,
                    method=Method.PASSWORD,
                    csrf="0",
                    created_at=tx.now,
                    seen_at=tx.now,
                    expires_at=tx.now + timedelta(days=days),
                )
            )
        stray = both_records.files.storage.path("ab" * 32)
        stray.parent.mkdir()
        stray.write_bytes(b"stray")
    assert is_due(both_records)
    done = apply_retention(both_records, RetentionTerms(20))
    assert (done.sessions, done.files) == (1, 0)
    assert count(both_records, BrowserSession) == 1
    assert not is_due(both_records)
    monkeypatch.setattr("tetkik.records.lifecycle.retention.YOUNG", -1)
    assert apply_retention(both_records, RetentionTerms(20)).files == 1
    assert not stray.exists()
