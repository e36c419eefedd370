"""Drafts: each change names its revision, marks follow the words, and nobody overwrites anybody."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import (
    every_mark_kept,
    made_image,
    made_report,
    sign,
    write_draft,
)
from tetkik import workflow
from tetkik.errors import Conflict, Forbidden, InputError, NotFound
from tetkik.language import Language
from tetkik.records import serialization
from tetkik.records.images import images, runs
from tetkik.records.reports import drafts
from tetkik.records.reports.edit_conflicts import EditConflict
from tetkik.records.schema import AuditRow, Report
from tetkik.records.worklist import worklist
from tetkik.records.worklist.worklist import WorklistFilter
from tetkik.rules.editing import LONGEST, MOST, Choice, DraftEdit
from tetkik.settings import settings
from tetkik.values import (
    SYSTEM,
    Author,
    Decision,
    DraftSentence,
    Fault,
    Flaw,
    Judgement,
    ReportInput,
    Role,
    Section,
)


def own(text, section=Section.FINDINGS, evidence=()):
    return DraftSentence(text, section, evidence)


def test_the_machines_draft_is_what_one_reads(both_records, radiologist):
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        found = drafts.open_draft(tx, made.id)
    assert (found.revision, found.updated_by, found.draft.open_marks) == (1, None, 0)
    assert not any(found.by_person)
    assert found.number.endswith("-000001-1")
    assert found.result == sample.RESULT
    with both_records.read() as tx:
        assert "draft.opened" in set(tx.session.scalars(select(AuditRow.action)))


def test_nothing_of_a_draft_lies_in_the_clear(records, reader):
    made = made_report(records, history="karın ağrısı")
    with records.write(reader) as tx:
        row = tx.session.get_one(Report, made.id)
        assert "efüzyon".encode() not in row.machine + row.draft
        assert "karın".encode() not in row.machine


def test_a_saved_text_is_checked_again_and_keeps_the_rest(both_records, radiologist):
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        before = drafts.draft_of(tx, made.id)
        changed = own("Sağ üst lobda 3 cm nodül izlendi.", evidence=("finding:Effusion",))
        after = changes.save(tx, made.id, 1, DraftEdit([*before.draft.sentences, changed]))
    added = next(item for item in after.draft.sentences if "nodül" in item.text)
    assert added.author is Author.EDITED
    assert {mark.fault for mark in added.marks} >= {Fault.NOT_FOUND, Fault.MEASUREMENT}
    assert [item for item in after.draft.sentences if item != added] == list(before.draft.sentences)
    assert (after.revision, after.updated_by) == (2, "Ömer Çağrı Ünsal")
    assert after.by_person.count(True) == 1


def test_a_sentence_stands_in_its_part_and_an_empty_one_goes(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        text = (
            own("Sonuç olarak kalp büyük.", Section.IMPRESSION),
            own("Kalp gölgesi büyük."),
            own("\u200b\x07 "),
        )
        after = changes.save(tx, made.id, 1, DraftEdit(text))
    assert [item.section for item in after.draft.sentences] == [Section.FINDINGS, Section.IMPRESSION]


def test_a_text_beside_the_sentences_has_their_bound(records, reader):
    made = made_report(records)
    with records.write(reader) as tx, pytest.raises(InputError, match="shorten"):
        changes.save(tx, made.id, 1, DraftEdit((), texts={"note": "a" * (LONGEST + 1)}))


def test_evidence_that_the_draft_does_not_hold_is_dropped(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        after = changes.save(
            tx,
            made.id,
            1,
            DraftEdit([own("Plevral efüzyon var.", evidence=("finding:Effusion", "finding:Nodule"))]),
        )
    assert after.draft.sentences[0].evidence == ("finding:Effusion",)


def test_who_saves_second_is_told_and_nothing_is_overwritten(both_records, radiologist):
    other = made_user(both_records, Role.RADIOLOGIST, name="İrem Çelik")
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        changes.save(tx, made.id, 1, DraftEdit([own("Birinci.")]))
    with pytest.raises(EditConflict, match="Ömer Çağrı Ünsal") as conflict, both_records.write(other) as tx:
        changes.save(tx, made.id, 1, DraftEdit([own("İkinci.")]))
    current = conflict.value.current
    assert (current.revision, current.updated_by) == (2, "Ömer Çağrı Ünsal")
    assert [item.text for item in current.draft.sentences] == ["Birinci."]
    with both_records.read() as tx:
        assert [item.text for item in drafts.draft_of(tx, made.id).draft.sentences] == ["Birinci."]


@pytest.mark.both_databases
def test_of_many_who_save_at_the_same_moment_one_wins(both_records):
    people = [made_user(both_records, Role.RADIOLOGIST, name=f"Dr. {number}") for number in range(6)]
    made = made_report(both_records)
    start, won, lost = threading.Barrier(len(people)), [], []

    def save(person):
        start.wait()
        try:
            with both_records.write(person) as tx:
                changes.save(tx, made.id, 1, DraftEdit([own(f"Metin {person.name} tarafından.")]))
                won.append(person.name)
        except EditConflict as conflict:
            lost.append(conflict.current.updated_by)

    threads = [threading.Thread(target=save, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lost == won * 5
    with both_records.read() as tx:
        found = drafts.draft_of(tx, made.id)
        assert (found.revision, found.updated_by) == (2, won[0])
        changed = select(AuditRow).where(AuditRow.action == "draft.changed")
        assert len(tx.session.scalars(changed).all()) == 1


def test_a_decision_is_kept_with_who_and_when_until_the_words_change(both_records, radiologist):
    made = made_report(both_records)

    def edited(side):
        return own(f"{side} nodül izlendi.", evidence=("finding:Effusion",))

    with both_records.write(radiologist) as tx:
        saved = changes.save(tx, made.id, 1, DraftEdit([edited("Sağda")]))
        decided = changes.decide(tx, made.id, saved.revision, every_mark_kept(saved))
    assert decided.draft.open_marks == 0
    assert {(item.decision, item.user_id, item.sentence) for item in decided.decisions} == {
        (Decision.KEPT, radiologist.user_id, "Sağda nodül izlendi.")
    }
    assert [item.author for item in decided.draft.sentences] == [Author.PERSON]  # whoever keeps it says it
    with both_records.write(radiologist) as tx:
        texts = DraftEdit([edited("Sağda"), own("Kalp büyük.")])
        same = changes.save(tx, made.id, decided.revision, texts)
        assert same.draft.open_marks == 0
        other = changes.save(tx, made.id, same.revision, DraftEdit([edited("Solda"), own("Kalp büyük.")]))
    assert other.draft.open_marks


def test_a_removed_sentence_goes_and_a_question_can_be_opened_again(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        found = changes.judge(tx, made.id, 1, "Effusion", Judgement.REJECTED, sentences_follow=False)
        choices = every_mark_kept(found)
        first, *rest = sorted({item.sentence for item in choices})
        kept = changes.decide(tx, made.id, found.revision, choices)
        assert kept.draft.open_marks == 0
        (gone, *_) = [item for item in choices if item.sentence == first]
        removed = changes.decide(tx, made.id, kept.revision, [replace(gone, decision=Decision.REMOVED)])
        assert len(removed.draft.sentences) == len(found.draft.sentences) - 1
        assert {item.decision for item in removed.decisions} == {Decision.KEPT, Decision.REMOVED}
        left = every_mark_kept(removed)[0]
        opened = changes.decide(tx, made.id, removed.revision, [replace(left, decision=None)])
    assert rest and opened.draft.open_marks == 1


@pytest.mark.parametrize(
    "choice", [Choice(0, Fault.SIDE, 0, 1, Decision.KEPT), Choice(99, Fault.SIDE, 0, 1, None)]
)
def test_a_decision_about_nothing_is_refused_and_saves_nothing(records, reader, choice):
    made = made_report(records)
    with pytest.raises(InputError, match="not there any more"), records.write(reader) as tx:
        changes.save(tx, made.id, 1, DraftEdit([own("Kalp büyük.")], [choice]))
    with records.read() as tx:
        assert drafts.draft_of(tx, made.id).revision == 1


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", "{{7*7}}", "'; DROP TABLE reports; --", "\u202egnorw\x00\x1b[31m"],
)
def test_hostile_text_is_kept_as_words_and_hinted_at(records, reader, hostile):
    made = made_report(records)
    with records.write(reader) as tx:
        after = changes.save(tx, made.id, 1, DraftEdit([own(f"Kalp büyük {hostile}")]))
    (sentence,) = after.draft.sentences
    assert all(char.isprintable() for char in sentence.text)
    assert sentence.hints or not set(hostile) & set("<{")


@pytest.mark.parametrize(
    "sentences", [[own("a" * (LONGEST + 1))], [own("Kalp büyük.")] * (MOST + 1), [own("ş" * LONGEST)] * 6]
)
def test_a_text_without_end_is_refused(records, reader, sentences):
    made = made_report(records)
    with pytest.raises(InputError, match="at most"), records.write(reader) as tx:
        changes.save(tx, made.id, 1, DraftEdit(sentences))


def said(found):
    return " ".join(item.text for item in found.draft.sentences).lower()


def test_the_marks_follow_a_judgement(both_records, radiologist):
    made = made_report(both_records)
    with both_records.write(radiologist) as tx:
        rejected = changes.judge(tx, made.id, 1, "Effusion", Judgement.REJECTED, sentences_follow=False)
        marked = [item.text for item in rejected.draft.sentences if item.marks]
        assert marked and all("efüzyon" in text.lower() for text in marked)
        back = changes.judge(tx, made.id, 2, "Effusion", None)
    assert back.draft.open_marks == 0 and back.verdicts == ()
    assert back.draft.sentences == drafts_of_machine(both_records, made)


def drafts_of_machine(records, made):
    with records.read() as tx:
        found = drafts.draft_of(tx, made.id)
    return tuple(replace(item, marks=()) for item in found.draft.sentences)


@pytest.mark.both_databases
def test_the_worklist_and_its_filter_follow_a_judgement(both_records, radiologist):
    made = made_report(both_records)

    def shown() -> tuple[set[str], bool]:
        with both_records.read(radiologist) as tx:
            (item,) = worklist.load_worklist(tx).items
            labels = {one.label for one in item.findings}
            for label in ("Effusion", "Nodule"):
                assert bool(worklist.load_worklist(tx, WorklistFilter(label=label)).items) is (
                    label in labels
                )
            return labels, item.rejected

    known, _ = shown()
    assert "Effusion" in known and "Nodule" not in known
    steps = [
        ("Effusion", Judgement.REJECTED, known - {"Effusion"}, True),
        ("Nodule", Judgement.ADDED, known - {"Effusion"} | {"Nodule"}, True),
        ("Effusion", None, known | {"Nodule"}, False),
        ("Effusion", Judgement.ACCEPTED, known | {"Nodule"}, False),
    ]
    for revision, (label, judgement, labels, rejected) in enumerate(steps, 1):
        with both_records.write(radiologist) as tx:
            changes.judge(tx, made.id, revision, label, judgement)
        assert shown() == (labels, rejected)


@pytest.mark.parametrize(
    ("label", "judgement"),
    [
        ("Effusion", Judgement.ADDED),
        ("Mass", Judgement.REJECTED),
        ("Tuberculosis", Judgement.ACCEPTED),
        ("No_Such_Label", Judgement.ADDED),
    ],
)
def test_a_judgement_that_does_not_fit_is_refused(records, reader, label, judgement):
    made = made_report(records)
    with pytest.raises(InputError), records.write(reader) as tx:
        changes.judge(tx, made.id, 1, label, judgement)


def test_a_fresh_draft_follows_language_and_judgements(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        changes.judge(tx, made.id, 1, "Effusion", Judgement.REJECTED)
        changes.judge(tx, made.id, 2, "Nodule", Judgement.ADDED)
        ground = drafts.redraft_input(tx, made.id, 3)
    reported = workflow.report_findings(
        ground.result, ground.inputs, settings(), language=Language.EN, identity=ground.identity
    )
    with records.write(reader) as tx:
        after = drafts.rewrite(tx, made.id, 3, reported.drafted.draft)
    words = said(after)
    assert "there is a nodule" in words
    assert "effusion" not in words.replace("no evidence of pleural effusion", "")
    assert after.draft.language is Language.EN
    assert not any(after.by_person) and after.draft.open_marks == 0
    assert next(item for item in after.draft.evidence if item.key == "Nodule").probability is None
    assert ground.identity.patient_name == "ŞAHİN^Gülçin"


def test_a_fresh_draft_overwrites_nobody(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        changes.save(tx, made.id, 1, DraftEdit([own("Kalp büyük.")]))
    with pytest.raises(EditConflict), records.write(reader) as tx:
        drafts.rewrite(tx, made.id, 1, sample.draft())


def test_a_second_run_replaces_a_draft_that_nobody_touched_and_no_other(both_records, radiologist):
    made = made_report(both_records)
    document = workflow.report_findings(
        sample.RESULT, ReportInput(), settings(), language=Language.EN
    ).document

    def run_again():
        with both_records.write(SYSTEM) as tx:
            image = images.load_image(tx, made.image_id)
            run = runs.add_run(tx, image, runs.ModelAnswer("other 2", "cd" * 32, tx.now, sample.RESULT))
            assert write_draft(tx, made.image_id, run, document) == made.id
            return drafts.draft_of(tx, made.id)

    fresh = run_again()
    assert (fresh.revision, fresh.draft.language) == (2, Language.EN)
    with both_records.write(radiologist) as tx:
        changes.save(tx, made.id, 2, DraftEdit([own("The heart is large.")]))
    assert [item.text for item in run_again().draft.sentences] == ["The heart is large."]


def test_a_report_without_a_model_is_written_by_hand(both_records, radiologist):
    case_id = made_case(both_records, made_user(both_records, Role.RECEPTION))
    image_id = made_image(both_records, case_id)
    with both_records.write(radiologist) as tx:
        begun = drafts.write_by_hand(tx, image_id, Language.TR)
        after = changes.save(
            tx, begun.report_id, begun.revision, DraftEdit([own("Sağda plevral efüzyon, 2 cm.")])
        )
        assert after.draft.open_marks == 0  # no model has assessed anything that this could contradict
        with pytest.raises(Conflict, match="No model"):
            drafts.redraft_input(tx, begun.report_id, after.revision)
        with pytest.raises(Conflict, match="already"):
            drafts.write_by_hand(tx, image_id, Language.TR)
        assert drafts.report_of_image(tx, image_id) == begun.report_id
        assert sign(tx, begun.report_id, radiologist).corrected


def test_a_refused_image_can_be_reported_too(records, reader):
    refused = replace(
        sample.RESULT,
        suitable=False,
        findings=(),
        reasons=("Yan grafi.",),
        flaws=(Flaw.LATERAL,),
        screen=None,
    )
    made = made_report(records, result=refused)
    with records.write(reader) as tx:
        found = drafts.draft_of(tx, made.id)
        text = [*found.draft.sentences, own("Yan grafide kostofrenik sinüs kapalı, plevral efüzyon.")]
        after = changes.save(tx, made.id, 1, DraftEdit(text))
    assert after.draft.open_marks == 0


def test_a_clinician_of_another_department_sees_no_draft(records):
    made = made_report(records, department="Kardiyoloji")
    clinician = made_user(records, Role.CLINICIAN, departments=("Üroloji",))
    with pytest.raises(Forbidden), records.write(clinician) as tx:
        drafts.draft_of(tx, made.id)


@pytest.mark.parametrize("report_id", ["", "x", "0" * 26, "../etc/passwd", "0" * 25 + "'"])
def test_no_such_report(records, reader, report_id):
    with pytest.raises(NotFound), records.write(reader) as tx:
        drafts.draft_of(tx, report_id)


def test_a_change_unpacks_the_draft_once(records, reader, monkeypatch):
    made = made_report(records)
    kinds = []
    unpack = serialization.from_bytes

    def counted(kind, content):
        kinds.append(kind.__name__)
        return unpack(kind, content)

    monkeypatch.setattr(serialization, "from_bytes", counted)
    with records.write(reader) as tx:
        changes.save(tx, made.id, 1, DraftEdit([DraftSentence("Kalp normaldir.", Section.FINDINGS)]))
    assert sorted(kinds) == ["Material", "Working"]
