"""What a row names of what was found, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import made_report, sign
from tetkik.records.reports import drafts
from tetkik.records.worklist import claims
from tetkik.records.worklist.worklist_items import load_items, sorted_findings
from tetkik.values import Judgement, Role


def test_nothing_found_stands_beside_no_finding():
    both = sorted_findings({"No_Tumor": 0.96, "Meningioma": 0.76})
    assert [one.label for one in both] == ["Meningioma"]
    assert [one.label for one in sorted_findings({"No_Tumor": 0.96})] == ["No_Tumor"]


@pytest.mark.both_databases
def test_a_signed_row_names_what_its_radiologist_confirmed_and_no_probability(both_records):
    findings = (
        sample.finding("Pneumonia", 0.9),
        sample.finding("Effusion", 0.8),
        sample.finding("No_Tumor", 0.7),
    )
    made = made_report(both_records, result=replace(sample.RESULT, findings=findings))
    radiologist = made_user(both_records, Role.RADIOLOGIST)

    def row():
        with both_records.read(radiologist) as tx:
            (item,) = load_items(tx, [made.case_id])
        return [(one.label, one.probability) for one in item.findings], item.rejected

    with both_records.write(radiologist) as tx:
        claims.claim_case(tx, made.case_id)
    assert row() == ([("Pneumonia", 0.9), ("Effusion", 0.8)], False)
    for label, left in (("Pneumonia", [("Effusion", 0.8)]), ("Effusion", [])):
        with both_records.write(radiologist) as tx:
            revision = drafts.draft_of(tx, made.id).revision
            changes.judge(tx, made.id, revision, label, Judgement.REJECTED)
        assert row() == (left, True)  # the model's other word for the whole image does not come up instead
    with both_records.write(radiologist) as tx:
        revision = drafts.draft_of(tx, made.id).revision
        changes.judge(tx, made.id, revision, "Effusion", Judgement.ACCEPTED)
        sign(tx, made.id, radiologist)
    assert row() == ([("Effusion", None)], True)
