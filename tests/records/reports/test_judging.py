"""Who speaks decides: judging writes, a person's sentence is theirs, and only what is undecided blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.documents import sample
from tests.records import changes
from tests.records.reports_kit import (
    HOSPITAL,
    drawn,
    made_report,
    proof_of,
    sign,
)
from tetkik.errors import Conflict, InputError
from tetkik.language import Language, Sentence
from tetkik.records.images import images
from tetkik.records.reports import drafts, macros, report_inputs, signing, versions
from tetkik.records.schema import AuditRow, Image, Report
from tetkik.records.serialization import to_bytes
from tetkik.report.normals import normal_parts
from tetkik.rules import judging
from tetkik.rules.editing import DraftEdit
from tetkik.values import (
    Author,
    DraftSentence,
    Fault,
    Judgement,
    Mark,
    Route,
    Section,
    Side,
)


def own(text, section=Section.FINDINGS, evidence=()):
    return DraftSentence(text, section, evidence)


def said(found):
    return " ".join(item.text for item in found.draft.sentences).lower()


def test_judging_writes_and_one_step_takes_it_back(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        before = drafts.draft_of(tx, made.id)
        accepted = changes.judge(
            tx, made.id, 1, "Effusion", Judgement.ACCEPTED, judging.Detail(Side.RIGHT, "3x2 cm")
        )
        sure = [item for item in accepted.draft.sentences if item.author is Author.JUDGED]
        assert [item.section for item in sure] == [Section.FINDINGS, Section.IMPRESSION]
        assert "sağ" in sure[0].text.lower() and "(3x2 cm)" in sure[0].text and "olası" not in sure[0].text
        assert accepted.draft.open_marks == 0
        other = changes.judge(
            tx, made.id, 2, "Effusion", Judgement.ACCEPTED, judging.Detail(Side.LEFT)
        )  # another side
        assert "sağ" not in said(other) and "sol" in said(other)
        back = changes.undo(tx, made.id, 3)
        assert back.draft.sentences == accepted.draft.sentences and back.undo == ()
        with pytest.raises(Conflict, match="undo"):
            changes.undo(tx, made.id, 4)
        rejected = changes.judge(tx, made.id, 4, "Effusion", Judgement.REJECTED)
        assert "efüzyon" not in said(rejected) and "kardiyomegali" in said(rejected)
        assert rejected.undo == ("Effusion",)
        restored = changes.undo(tx, made.id, 5)
        assert restored.draft.sentences == accepted.draft.sentences
        assert [item.judgement for item in restored.verdicts] == [Judgement.ACCEPTED]
        plain = changes.judge(tx, made.id, 6, "Effusion", None)
        assert plain.draft.sentences == before.draft.sentences
        denied = changes.judge(tx, made.id, 7, "Pneumothorax", Judgement.ADDED)
    assert "pnömotoraks izlenmedi" not in said(denied) and "pnömotoraks" in said(denied)
    with pytest.raises(InputError, match="mm or cm"):
        judging.Detail(size="big")


def test_two_findings_of_one_sentence_are_judged_apart(records, reader):
    parts = (sample.finding("Atelectasis", 0.7), sample.finding("Mass", 0.7))
    made = made_report(records, result=replace(sample.RESULT, findings=parts), language=Language.EN)
    with records.write(reader) as tx:
        before = drafts.draft_of(tx, made.id)
        (joint,) = [item for item in before.draft.section(Section.FINDINGS) if len(item.evidence) == 2]
        accepted = changes.judge(tx, made.id, 1, "Mass", Judgement.ACCEPTED)
        one, other = accepted.draft.section(Section.FINDINGS)
        assert (one.author, other.author) == (Author.JUDGED, Author.MACHINE)
        assert "mass" in one.text and "mass" not in other.text and other.certainty is joint.certainty
        assert [item.label for item in accepted.blockers] == ["Atelectasis"]
        after = changes.judge(tx, made.id, 2, "Atelectasis", Judgement.REJECTED)
        assert "atelectasis" not in said(after) and after.blockers == ()
        assert [item.text for item in after.draft.section(Section.FINDINGS)] == [one.text]
        (advice,) = after.draft.section(Section.RECOMMENDATION) or (None,)
        assert advice is None or "passage:atelectasis" not in " ".join(advice.evidence)


NORMALS = {
    Language.TR: (
        "Kalp boyutu normaldir.",
        "Kostofrenik sinüsler açıktır.",
        "Pnömotoraks saptanmadı.",
        "Akciğer parankiminde aktif infiltrasyon izlenmedi.",
        "Mediasten orta hattadır, genişleme yoktur.",
        "Hiluslar doğaldır.",
        "Diyafram konturları düzenlidir.",
        "Kemik yapılar ve yumuşak dokular doğaldır.",
    ),
    Language.EN: (
        "Heart size is normal.",
        "The costophrenic angles are clear.",
        "No pneumothorax.",
        "The lungs are clear.",
        "The mediastinum is midline and not widened.",
        "The hila are unremarkable.",
        "The diaphragm is smooth.",
        "No acute bony abnormality.",
    ),
}
QUIET = replace(sample.RESULT, findings=(sample.finding("Mass", 0.2), sample.finding("Pneumothorax", 0.3)))
BRAIN = replace(
    QUIET,
    route=Route.BRAIN_MRI,
    findings=(sample.finding("Glioma", 0.2), sample.finding("No_Tumor", 0.7)),
)


@pytest.mark.parametrize("result", [QUIET, BRAIN], ids=["chest", "brain"])
@pytest.mark.parametrize("language", list(Language))
def test_what_a_person_writes_of_a_normal_image_meets_no_objection(records, reader, language, result):
    made = made_report(records, result=result, language=language)
    with records.write(reader) as tx:
        normals = [own(text) for text in NORMALS[language]]
        parts = [own(part.text) for part in normal_parts(language)]
        after = changes.save(tx, made.id, 1, DraftEdit([*normals, *parts]))
        assert {item.author for item in after.draft.sentences} == {Author.PERSON}
        assert after.blockers == () and not any(item.hints or item.marks for item in after.draft.sentences)
        assert signing.sign(tx, made.id, 2, proof_of(reader), HOSPITAL, drawn).corrected


def test_a_finding_takes_the_normal_sentences_of_its_part_away(records, reader):
    made = made_report(records, result=QUIET)
    with records.write(reader) as tx:
        filled = macros.fill_normals(tx, made.id, drafts.draft_of(tx, made.id).revision)
        before = [item.text for item in filled.draft.sentences if item.author is Author.PERSON]
        after = changes.judge(tx, made.id, filled.revision, "Pneumothorax", Judgement.ADDED)
        left = [item.text for item in after.draft.sentences if item.author is Author.PERSON]
        gone = [text for text in before if text not in left]
        assert (
            len(gone) == 2
            and "pnömotoraks izlenmemektedir" in gone[0]
            and "akut patoloji saptanmadı" in gone[1]
        )
        undone = changes.undo(tx, made.id, after.revision)
        assert [item.text for item in undone.draft.sentences if item.author is Author.PERSON] == before


def test_a_persons_sentence_gets_a_hint_and_is_never_overwritten(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        words = ("Plevral efüzyon izlenmedi.", "Sağda plevral efüzyon vardır.", "Kalp [mm] büyüktür.")
        saved = changes.save(tx, made.id, 1, DraftEdit([own(text) for text in words]))
        assert [len(item.hints) for item in saved.draft.sentences] == [0, 0, 1]  # nobody has judged anything
        left = changes.judge(tx, made.id, 2, "Effusion", Judgement.ACCEPTED, judging.Detail(Side.LEFT))
        hinted = {item.text: {mark.fault for mark in item.hints} for item in left.draft.sentences}
        assert hinted[words[0]] == {Fault.DENIES_FOUND} and hinted[words[1]] == {Fault.SIDE}
        gone = changes.judge(tx, made.id, 3, "Effusion", Judgement.REJECTED)
        assert [item.text for item in gone.draft.sentences] == list(words)
        assert [mark.fault for mark in gone.draft.sentences[1].hints] == [Fault.NOT_FOUND]
        assert [item.kind for item in gone.blockers] == ["finding"]  # Cardiomegaly, which it is about
        signed = sign(tx, made.id, reader)
        document = versions.version_of(tx, made.id).document
    assert signed.corrected and not any(item.hints for item in document.draft.sentences)


def test_an_edited_sentence_stays_the_models_until_it_is_confirmed(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        first, *rest = drafts.draft_of(tx, made.id).draft.section(Section.FINDINGS)
        changed = replace(first, text="Sağda 4 cm kitle izlenmektedir.")
        edited = changes.save(tx, made.id, 1, DraftEdit([changed, *rest]))
        assert edited.draft.sentences[0].author is Author.EDITED and edited.draft.open_marks
        assert [item.sentence for item in edited.blockers if item.kind == "mark"] == [0]
        mine = replace(changed, author=Author.PERSON)
        confirmed = changes.save(tx, made.id, 2, DraftEdit([mine, *rest]))
    assert confirmed.draft.sentences[0].author is Author.PERSON and confirmed.draft.open_marks == 0


def test_a_draft_from_before_authors_were_kept_opens(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        changes.save(
            tx, made.id, 1, DraftEdit([*drafts.draft_of(tx, made.id).draft.sentences, own("Nodül var.")])
        )
        row = tx.session.get_one(Report, made.id)
        working = report_inputs.working_of(tx, row)
        assert working is not None
        old = tuple(
            replace(
                item, author=None, marks=(Mark(Fault.NOT_FOUND, Sentence("x"), 0, 1),) * ("Nod" in item.text)
            )
            for item in working.draft.sentences
        )
        report_inputs.keep_working(tx, row, working.with_draft(replace(working.draft, sentences=old)))
        assert b"author" not in tx.open_column(row, "draft")
        found = drafts.draft_of(tx, made.id)
    assert found.by_person.count(True) == 1 and found.draft.open_marks == 0


def test_an_image_that_names_another_person_is_confirmed_before_the_signature(records, reader):
    made = made_report(records)
    with records.write(reader) as tx:
        row = tx.session.get_one(Image, made.image_id)
        other = replace(sample.IDENTITY, patient_name="DEMİR^Can", birth_date=None, patient_id=None)
        kept = images._kept(tx, images._value(row))
        tx.seal_column(
            row, "tags", to_bytes(replace(kept, described=replace(kept.described, identity=other)))
        )
        found = changes.judge_all(tx, made.id, 1, ["Effusion", "Cardiomegaly"], Judgement.ACCEPTED)
        assert [item.difference and item.difference.file for item in found.blockers] == ["Can DEMİR"]
        with pytest.raises(Conflict, match="another person"):
            signing.sign(tx, made.id, 2, proof_of(reader), HOSPITAL, drawn)
        assert drafts.confirm_identity(tx, made.id, 2).blockers == ()
        assert not signing.sign(tx, made.id, 3, proof_of(reader), HOSPITAL, drawn).corrected
    with records.read() as tx:
        assert "image.identity_confirmed" in set(tx.session.scalars(select(AuditRow.action)))
