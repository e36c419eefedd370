"""What is judged of an earlier image reaches drafts that compare with it: their marks, not their words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import (
    HOSPITAL,
    drawn,
    every_mark_kept,
    judged_all,
    made_image,
    made_report,
    proof_of,
    sign,
    write_draft,
)
from tetkik import workflow
from tetkik.errors import Conflict
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.images import images, runs
from tetkik.records.reports import drafts, signing
from tetkik.records.schema import AuditRow
from tetkik.records.worklist import case_contents, claims
from tetkik.rules.editing import DraftEdit
from tetkik.rules.marks import as_judged
from tetkik.settings import settings
from tetkik.values import SYSTEM, DraftSentence, Judgement, ReportInput, Role, Section

REJECTED = Judgement.REJECTED


def compared_report(records, earlier, judged=None, sha256="cd" * 32):
    """A later image of the same patient, whose draft compares with the earlier one as it was judged then."""
    result = replace(sample.RESULT, sha256=sha256)
    prior = as_judged(sample.RESULT, judged or {})
    reported = workflow.report_findings(result, ReportInput(), settings(), prior=prior, language=Language.TR)
    with records.write(SYSTEM) as tx:
        case_id = cases.open_case(tx, images.load_image(tx, earlier.image_id).patient_id)
    image_id = made_image(records, case_id)
    with records.write(SYSTEM) as tx:
        image = images.load_image(tx, image_id)
        run_id = runs.add_run(tx, image, runs.ModelAnswer(result.model, "ab" * 32, tx.now, result))
        inputs = reported.drafted.facts.inputs
        return write_draft(tx, image_id, run_id, reported.document, inputs=inputs, prior=reported.prior)


def draft(records, report_id):
    with records.read() as tx:
        return drafts.draft_of(tx, report_id)


def judge(records, actor, report_id, judgement, label="Effusion"):
    revision = draft(records, report_id).revision
    with records.write(actor) as tx:
        changes.judge(tx, report_id, revision, label, judgement)


def faults(records, report_id):
    return [mark.fault for one in draft(records, report_id).draft.sentences for mark in one.marks]


@pytest.fixture
def pair(both_records, radiologist):
    """An earlier report and a later one that compares with it."""
    earlier = made_report(both_records)
    return earlier, compared_report(both_records, earlier)


def test_a_rejected_finding_marks_the_later_comparison_and_a_restored_one_frees_it(
    both_records, radiologist, pair
):
    earlier, later = pair
    before = draft(both_records, later)
    assert not before.draft.open_marks
    with both_records.read() as tx:
        seq = case_contents.newest_sequence(tx)
    judge(both_records, radiologist, earlier.id, REJECTED)
    after = draft(both_records, later)
    assert after.draft.open_marks
    assert [one.text for one in after.draft.sentences] == [one.text for one in before.draft.sentences]
    assert (after.revision, after.updated_by) == (before.revision, None)
    with both_records.read() as tx:
        received = [(one.kind, one.case_id) for one in case_contents.load_events_after(tx, seq).events]
        assert ("draft.compared", before.case_id) in received
        assert "draft.compared" not in [kind for kind, case_id in received if case_id != before.case_id]
        assert tx.session.query(AuditRow).filter_by(action="draft.changed").count() == 2
    judge(both_records, radiologist, earlier.id, None)
    assert draft(both_records, later).draft == before.draft


def test_what_was_typed_stays_and_who_writes_there_is_not_refused(both_records, radiologist, pair):
    earlier, later = pair
    other = made_user(both_records, Role.RADIOLOGIST, name="İrem Çelik")
    own = DraftSentence("Plevral efüzyon öncekine göre değişmemiştir.", Section.FINDINGS)
    with both_records.write(other) as tx:
        now = drafts.draft_of(tx, later)
        seen = changes.save(tx, later, now.revision, DraftEdit([*now.draft.sentences, own]))
    judge(both_records, radiologist, earlier.id, REJECTED)
    after = draft(both_records, later)
    assert own.text in [one.text for one in after.draft.sentences]
    assert after.updated_by == "İrem Çelik"
    with both_records.write(other) as tx:
        saved = changes.save(tx, later, seen.revision, DraftEdit(seen.draft.sentences))
    assert saved.draft == after.draft


def test_what_was_decided_about_a_mark_stays_decided(both_records, radiologist, pair):
    earlier, later = pair
    judge(both_records, radiologist, earlier.id, REJECTED)
    current = draft(both_records, later)
    with both_records.write(radiologist) as tx:
        changes.decide(tx, later, current.revision, every_mark_kept(current))
    judge(both_records, radiologist, earlier.id, Judgement.ADDED, "Nodule")
    assert draft(both_records, later).draft.open_marks == 0


def test_a_comparison_that_does_not_hold_any_more_is_not_signed(both_records, radiologist, pair):
    earlier, later = pair
    read = draft(both_records, later)
    judge(both_records, radiologist, earlier.id, REJECTED)
    with both_records.write(radiologist) as tx:
        claims.claim_case(tx, read.case_id)
        read = judged_all(tx, later)
    with pytest.raises(Conflict, match="marked"), both_records.write(radiologist) as tx:
        signing.sign(tx, later, read.revision, proof_of(radiologist), HOSPITAL, drawn)


def test_a_signed_report_and_one_that_compares_with_another_image_stay(both_records, radiologist, pair):
    earlier, later = pair
    stranger = made_report(both_records)
    with both_records.write(radiologist) as tx:
        claims.claim_case(tx, draft(both_records, later).case_id)
        sign(tx, later, radiologist)
    alone = compared_report(both_records, earlier, sha256="ef" * 32)
    judge(both_records, radiologist, stranger.id, REJECTED)
    assert faults(both_records, alone) == []
    judge(both_records, radiologist, earlier.id, REJECTED)
    assert faults(both_records, alone)
    with pytest.raises(Conflict):
        draft(both_records, later)


def test_a_fresh_draft_that_was_begun_before_is_checked_against_what_is_judged_now(
    both_records, radiologist, pair
):
    earlier, later = pair
    now = draft(both_records, later)
    with both_records.read() as tx:
        ground = drafts.redraft_input(tx, later, now.revision)
    fresh = workflow.report_findings(
        ground.result, ground.inputs, settings(), prior=ground.prior, language=Language.TR
    )
    judge(both_records, radiologist, earlier.id, REJECTED)
    with both_records.write(radiologist) as tx:
        written = drafts.rewrite(tx, later, now.revision, fresh.document.draft)
    assert written.draft.open_marks
