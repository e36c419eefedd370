"""A withdrawal takes a report back, changes no byte of it, and lets the case be read again."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DatabaseError

from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import made_report, proof_of, sign, signed_report
from tetkik.errors import Conflict, Forbidden, InputError, NotFound, RecordsError
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images, runs
from tetkik.records.lifecycle import patient_export
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.metrics import collect_metrics
from tetkik.records.people.access import break_glass
from tetkik.records.reports import drafts, reports, signing, versions, withdrawal, withdrawal_queries
from tetkik.records.reports.department_statistics import agreement, weeks_until
from tetkik.records.reports.findings_feedback import judged_images
from tetkik.records.reports.reports import Wanted
from tetkik.records.reports.withdrawal import AnotherVersion, has_standing_report, withdraw
from tetkik.records.schema import (
    AuditRow,
    Case,
    Event,
    FindingReview,
    Report,
    ReportVersion,
    SignatureRow,
    WithdrawalRow,
)
from tetkik.records.trail.verify import verify
from tetkik.records.worklist import case_contents, worklist
from tetkik.rules.editing import DraftEdit
from tetkik.values import (
    SYSTEM,
    Actor,
    CaseState,
    DraftSentence,
    Judgement,
    Method,
    Permission,
    ReportState,
    Role,
    Section,
    WithdrawalReason,
)
from tetkik.workflow import patients

WHY = WithdrawalReason.WRONG_PATIENT
WORDS = "Gülçin Hanım'ın değil, yandaki hastanın grafisi."


def taken_back(records, actor, report_id, why=WHY, words=WORDS, number=1):
    """Withdraw, by somebody who has just given their password."""
    with records.write(actor) as tx:
        return withdraw(tx, report_id, number, why, words, proof_of(actor))


@pytest.fixture
def withdrawn(records, reader):
    """A signed report that was withdrawn."""
    made = signed_report(records, reader, person=Person(name="Gülçin ŞAHİN", number="4711"))
    taken_back(records, reader, made.id)
    return made


def kept(tx, report_id):
    """Every byte of the versions and signatures of a report."""
    return [
        (version.id, version.document, version.verification, signature.digest, signature.signed_at)
        for version, signature in tx.session.execute(
            select(ReportVersion, SignatureRow)
            .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
            .where(ReportVersion.report_id == report_id)
        )
    ]


def test_a_withdrawal_changes_no_byte_and_lets_the_case_be_read_again(both_records, radiologist):
    made = signed_report(both_records, radiologist)
    with both_records.read(radiologist) as tx:
        before, signed = kept(tx, made.id), versions.version_of(tx, made.id)
        assert has_standing_report(tx, made.case_id)
    done = taken_back(both_records, radiologist, made.id)
    assert (done.number, done.why, done.by) == (1, WHY, "Dr. Ömer Çağrı Ünsal")
    with both_records.read(radiologist) as tx:
        assert kept(tx, made.id) == before
        found = versions.version_of(tx, made.id)
        assert found.info.withdrawn == done
        assert found.document.withdrawal is not None and found.document.withdrawal.words == WORDS
        assert found.document.standing is ReportState.WITHDRAWN
        assert (found.document.state, found.document.verification) == (
            ReportState.FINAL,
            signed.document.verification,
        )
        row, case = tx.session.get_one(Report, made.id), tx.session.get_one(Case, made.case_id)
        assert (row.state, row.version, case.state) == (ReportState.WITHDRAWN, 1, CaseState.TO_READ)
        assert not has_standing_report(tx, made.case_id)
        entry = tx.session.scalars(select(AuditRow).where(AuditRow.action == "report.withdrawn")).one()
        assert (entry.user_id, entry.case_id) == (radiologist.user_id, made.case_id)
        assert json.loads(entry.content)["detail"]["why"] == "wrong_patient" and WORDS not in entry.content
        assert "report" in set(tx.session.scalars(select(Event.kind)))
        sealed = tx.session.get_one(WithdrawalRow, before[0][0]).statement
        assert WORDS.encode() not in sealed
        assert verify(tx).whole
        assert (verify_stored(tx).signatures, verify_stored(tx).faults) == (2, ())


def test_the_bytes_that_were_signed_are_given_to_whom_they_belong(records, reader, withdrawn):
    with records.write(reader) as tx:
        original = versions.as_signed(tx, withdrawn.id, 1)
        assert hashlib.sha256(original.content).hexdigest() == original.digest == kept(tx, withdrawn.id)[0][3]
    assert b"withdrawn" not in original.content.lower()
    auditor = made_user(records, Role.AUDITOR)
    with records.write(auditor) as tx:
        assert versions.as_signed(tx, withdrawn.id, 1) == original
    with records.read() as tx:
        last = tx.session.scalars(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1)).one()
        assert (last.action, last.user_id) == ("document.exported", auditor.user_id)
    ward = made_user(records, Role.CLINICIAN, departments=("*",))
    with pytest.raises(Forbidden), records.write(ward) as tx:
        versions.as_signed(tx, withdrawn.id, 1)


def test_a_new_report_is_signed_in_its_place_and_names_the_withdrawal(records, reader, withdrawn):
    with records.write(reader) as tx:
        draft = drafts.draft_of(tx, withdrawn.id)
        assert versions.version_of(tx, withdrawn.id).in_writing
        assert draft.withdrawn is not None and draft.withdrawn.number == 1 and draft.amending is None
        assert not draft.decisions and not draft.verdicts and not any(draft.by_person)
        with pytest.raises(Conflict, match="no amendment"):
            signing.drop_amendment(tx, withdrawn.id, draft.revision)
        sign(tx, withdrawn.id, reader)
    with records.read(reader) as tx:
        old, new = versions.versions_of(tx, withdrawn.id)
        assert old.withdrawn is not None
        assert (old.withdrawn.number, new.withdrawn, new.replaces) == (1, None, 1)
        assert new.follows == old.withdrawn and old.follows is None
        assert tx.session.get_one(Case, withdrawn.case_id).state is CaseState.SIGNED
        assert tx.session.get_one(Report, withdrawn.id).state is ReportState.AMENDED
        assert has_standing_report(tx, withdrawn.case_id)
        first = versions.version_of(tx, withdrawn.id, 1).document.withdrawal
        assert first is not None and first.words == WORDS
        assert versions.version_of(tx, withdrawn.id, 2).document.withdrawal is None
        digest = tx.session.scalar(select(WithdrawalRow.digest))
    with records.write(reader) as tx:
        assert json.loads(versions.as_signed(tx, withdrawn.id, 2).content)["value"]["follows"] == digest
        assert verify_stored(tx).faults == ()


def test_an_amended_report_goes_with_all_its_versions(records, reader):
    made = signed_report(records, reader)
    with records.write(reader) as tx:
        signing.begin_amendment(tx, made.id, "Yan düzeltildi.")
        sign(tx, made.id, reader)
    with pytest.raises(AnotherVersion):
        taken_back(records, reader, made.id, number=1)
    with records.write(reader) as tx:
        begun = signing.begin_amendment(tx, made.id, "Bir daha.")
        changes.save(
            tx, made.id, begun.revision, DraftEdit([DraftSentence("Yarım kaldı.", Section.FINDINGS)])
        )
    taken_back(records, reader, made.id, number=2)
    with records.read(reader) as tx:
        by = [info.withdrawn for info in versions.versions_of(tx, made.id)]
        assert [one and one.number for one in by] == [2, 2]
        first = versions.version_of(tx, made.id, 1).document.withdrawal
        assert first is not None and first.words == WORDS
        draft = drafts.draft_of(tx, made.id)
        assert "Yarım kaldı." not in {item.text for item in draft.draft.sentences}


@pytest.mark.parametrize(
    ("why", "words", "error", "match"),
    [
        (WithdrawalReason.OTHER, " \n", InputError, "needs words"),
        (WHY, "ı" * 1001, InputError, "at most 1000"),
        (WHY, "", None, ""),
    ],
)
def test_what_is_said_is_short_and_there_where_it_is_needed(records, reader, why, words, error, match):
    made = signed_report(records, reader)
    if error is None:
        assert taken_back(records, reader, made.id, why, words).why is why
        return
    with pytest.raises(error, match=match):
        taken_back(records, reader, made.id, why, words)
    with records.read() as tx:
        assert has_standing_report(tx, made.case_id)


def test_it_is_a_signed_act_of_whoever_may(records, reader):
    made = signed_report(records, reader)
    proof = proof_of(reader)
    others: tuple[tuple[Actor, signing.Proof], ...] = (
        (reader, signing.Proof(reader.user_id, Method.PASSWORD, proof.at - timedelta(minutes=5))),
        (reader, proof_of(made_user(records, Role.RADIOLOGIST))),
        (reader, proof_of(reader, Method.TOKEN)),
    )
    for role in Role:
        if Permission.REPORT_WITHDRAW not in made_user(records, role).permissions:
            actor = made_user(records, role)
            others += ((actor, proof_of(actor)),)
    assert len(others) == 3 + len(Role) - 1
    for actor, given in others:
        with pytest.raises(Forbidden), records.write(actor) as tx:
            withdraw(tx, made.id, 1, WHY, WORDS, given)
    taken_back(records, reader, made.id)
    with pytest.raises(Conflict, match="already"):
        taken_back(records, reader, made.id)
    with pytest.raises(Conflict, match="never signed"):
        taken_back(records, reader, made_report(records).id)


def test_lists_tell_by_whom_when_and_why(records, reader, withdrawn):
    with records.read(reader) as tx:
        (said,) = withdrawal_queries.of_report(tx, withdrawn.id)
        (listed,) = reports.list_reports(tx, Wanted(state=ReportState.WITHDRAWN), limit=9)
        assert (listed.withdrawn, listed.amending, listed.state) == (said, False, ReportState.WITHDRAWN)
        assert reports.list_reports(tx, Wanted(state=ReportState.FINAL), limit=9) == ()
        (line,) = case_contents.load_contents(tx, withdrawn.case_id).reports
        assert (line.withdrawn, line.state) == (said, ReportState.WITHDRAWN)
    with records.write(reader) as tx:
        (item,) = worklist.search_cases(tx, "Gülçin ŞAHİN")
        assert (item.withdrawn, item.report, item.state) == (said, ReportState.WITHDRAWN, CaseState.TO_READ)
        (record,) = patients.load_records(tx, tx.session.get_one(Case, withdrawn.case_id).patient_id)
        assert record.cases[0].withdrawn == said
        sign(tx, withdrawn.id, reader)
    with records.write(reader) as tx:
        (item,) = worklist.search_cases(tx, "Gülçin ŞAHİN")
        assert (item.withdrawn, item.report) == (None, ReportState.AMENDED)


def test_what_was_judged_counts_no_longer(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        draft = changes.judge(tx, made.id, 1, "Cardiomegaly", Judgement.REJECTED, sentences_follow=True)
        assert draft.verdicts
        sign(tx, made.id, reader)
    with records.read() as tx:
        assert judged_images(tx).images and agreement(tx, weeks_until(tx.now + timedelta(1)))
        assert (collect_metrics(tx).drafts_signed, collect_metrics(tx).drafts_corrected) == (1, 1)
    taken_back(records, reader, made.id)
    with records.read(reader) as tx:
        assert judged_images(tx).images == () == agreement(tx, weeks_until(tx.now + timedelta(1)))
        assert tx.session.scalars(select(FindingReview)).all() == []
        assert collect_metrics(tx).drafts_signed == 0
        assert versions.version_of(tx, made.id).verdicts[0].label == "Cardiomegaly"
    with records.write(reader) as tx:
        sign(tx, made.id, reader)
        assert (collect_metrics(tx).drafts_signed, collect_metrics(tx).drafts_corrected) == (1, 0)


def test_a_withdrawn_report_is_no_prior(records, reader):
    first = signed_report(records, reader, person=Person(name="Gülçin ŞAHİN", number="4711"))
    with records.write(SYSTEM) as tx:
        patient_id = tx.session.get_one(Case, first.case_id).patient_id
        later_case = cases.open_case(tx, patient_id)
    later = made_report(records, case_id=later_case)
    with records.read() as tx:
        assert [
            run.image_id for run in runs.list_earlier_runs(tx, images.load_image(tx, later.image_id))
        ] == [first.image_id]
    taken_back(records, reader, first.id)
    with records.read() as tx:
        assert runs.list_earlier_runs(tx, images.load_image(tx, later.image_id)) == ()
    with records.write(reader) as tx:
        sign(tx, first.id, reader)
        assert len(runs.list_earlier_runs(tx, images.load_image(tx, later.image_id))) == 1


def test_a_closed_case_is_taken_up_again_and_ends_only_when_signed_anew(records, reader):
    made = signed_report(records, reader)
    with records.write(SYSTEM) as tx:
        cases.close(tx, made.case_id)
    taken_back(records, reader, made.id)
    with records.write(SYSTEM) as tx:
        assert tx.session.get_one(Case, made.case_id).state is CaseState.TO_READ
        cases.close(tx, made.case_id)
        assert cases.reopen(tx, made.case_id) is CaseState.TO_READ


@pytest.mark.both_databases
def test_nobody_changes_or_removes_a_withdrawal(both_records, radiologist):
    made = signed_report(both_records, radiologist)
    taken_back(both_records, radiologist, made.id)
    for statement in (update(WithdrawalRow).values(why=WithdrawalReason.OTHER), delete(WithdrawalRow)):
        with pytest.raises((DatabaseError, Conflict)), both_records.write(SYSTEM) as tx:
            tx.session.execute(statement)
    with both_records.read() as tx:
        assert tx.session.scalars(select(WithdrawalRow.why)).one() is WHY


@pytest.mark.parametrize("change", ["why = 'other'", "name = 'Biri'", f"digest = '{'0' * 64}'"])
def test_an_altered_withdrawal_is_found(records, reader, withdrawn, change):
    with records.write(SYSTEM) as tx:
        tx.session.execute(text("DROP TRIGGER withdrawals_update_refused"))
        tx.session.execute(text(f"UPDATE withdrawals SET {change}"))
    with records.read(reader) as tx:
        assert len(verify_stored(tx).faults) == 1
        with pytest.raises(RecordsError, match="altered"):
            versions.version_of(tx, withdrawn.id)


@pytest.mark.parametrize("anew", [False, True])
def test_a_withdrawal_that_was_taken_out_is_found(records, reader, withdrawn, anew):
    with records.write(reader) as tx:
        if anew:  # the next version names the digest of what it follows
            sign(tx, withdrawn.id, reader)
    with records.write(SYSTEM) as tx:
        assert verify_stored(tx).faults == ()
        tx.session.execute(text("DROP TRIGGER withdrawals_delete_refused"))
        tx.session.execute(text("DELETE FROM withdrawals"))
    with records.read() as tx:
        assert len(verify_stored(tx).faults) == 1


def test_the_patient_is_told_and_the_law_keeps_it(records, reader, withdrawn):
    with records.read() as tx:
        patient_id = tx.session.get_one(Case, withdrawn.case_id).patient_id
    target = BytesIO()
    patient_export.export_patient(records, patient_id, target, language=Language.TR)
    with zipfile.ZipFile(target) as archive:
        result = json.loads(archive.read("patient.json"))
        statuses = {
            entry["resource"]["status"]
            for entry in json.loads(archive.read("fhir.json"))["entry"]
            if entry["resource"]["resourceType"] in ("DiagnosticReport", "Observation")
        }
    (report,) = result["cases"][0]["reports"]
    assert report["signed"] is False and statuses == {"entered-in-error"}
    assert (report["versions"][0]["withdrawn"]["why"], report["versions"][0]["withdrawn"]["words"]) == (
        "wrong_patient",
        WORDS,
    )
    assert not erase(records, patient_id, ErasureReason.REQUEST, years=10).complete
    with records.read() as tx:
        assert tx.session.scalar(select(WithdrawalRow.version_id)) is not None
        assert verify_stored(tx).faults == ()
    assert erase(records, patient_id, ErasureReason.COURT, years=0).complete
    with records.read() as tx:
        assert tx.session.scalar(select(WithdrawalRow.version_id)) is None


def test_a_backup_carries_it(records, reader, withdrawn, tmp_path):
    make_backup(records, tmp_path / "hospital.tetkik")
    folder = tmp_path / "back"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
    back = Records(f"sqlite:///{folder / 'back.db'}", folder)
    restore_backup(back, tmp_path / "hospital.tetkik")
    with records.read(reader) as tx, back.read() as other:
        assert versions.version_of(other, withdrawn.id) == versions.version_of(tx, withdrawn.id)
        assert verify_stored(other).faults == ()
    back.close()


def test_nothing_is_written_anew_of_an_erased_patient(records, reader):
    made = signed_report(records, reader)
    with records.read() as tx:
        patient_id = tx.session.get_one(Case, made.case_id).patient_id
    erase(records, patient_id, ErasureReason.REQUEST, years=10)
    with records.write(reader) as tx:
        break_glass(tx, made.case_id, "Geri çekilecek rapor.")
    with records.write(reader) as tx, pytest.raises(NotFound, match="erased"):
        signing.begin_amendment(tx, made.id, "Sağ yerine sol")
    taken_back(records, reader, made.id)
    with records.write(reader) as tx, pytest.raises(NotFound, match="erased"):
        signing.begin_amendment(tx, made.id, "Sağ yerine sol")
    with records.read(reader) as tx:
        assert tx.session.get_one(Case, made.case_id).state is CaseState.CLOSED
        assert not versions.version_of(tx, made.id, pictures=False).in_writing
        last = versions.versions_of(tx, made.id)[0].withdrawn
        assert last is not None and last.why is WHY


def test_a_step_that_fails_leaves_the_report_standing(records, reader, monkeypatch):
    made = signed_report(records, reader)
    for step in ("keep_working", "drop_foreign_priors", "record_change"):
        with monkeypatch.context() as patched:
            patched.setattr(withdrawal, step, _fails)
            with pytest.raises(OSError, match="power cut"):
                taken_back(records, reader, made.id)
        with records.read(reader) as tx:
            assert has_standing_report(tx, made.case_id)
            assert tx.session.scalar(select(WithdrawalRow.version_id)) is None


def _fails(*_args, **_named):
    raise OSError("power cut")
