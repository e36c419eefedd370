"""From the answers of a trial to studies, patients, parts and decisions; no image is read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.lab.trial.archives import said
from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.charts import write_evaluation
from tetkik.lab.trial.evaluate import evaluate_trial, read_reports
from tetkik.lab.trial.results import TrialDecision
from tetkik.lab.trial.run import begin
from tetkik.lab.trial.trial_page import view
from tetkik.language import Language

CALLED, NOT = [0.9, 0.9, 1], [0.1, 0.1, 0]


@pytest.fixture
def answered(blobs, limits, tmp_path):
    """A finished trial of these answers: study, and what else its line has."""

    def make(*lines, **about):
        journal = begin(tmp_path / "trial", blobs, limits, "archive", **about)
        with journal.appending() as file:
            for number, (study, more) in enumerate(lines):
                line = {"image": str(number), "study": study, "outcome": "scored", "screen": None}
                line |= {"parts": {}, "truth": {}, "findings": {}} | more
                file.write(json.dumps(line) + "\n")
        journal.finish(len(lines), {})
        return journal

    return make


def effusion(truth, answer, **more):
    return {"truth": {"Effusion": truth}, "findings": {"Effusion": answer}, **more}


def test_a_study_is_as_normal_as_its_least_normal_image(answered):
    normal = {"truth": {"Normal": 0}}
    journal = answered(
        ("a", {**normal, "findings": {"Normal": CALLED, "Nodule": NOT}}),
        ("a", {**normal, "findings": {"Normal": NOT, "Nodule": CALLED}}),
        ("a", {**normal, "findings": {"Normal": CALLED, "Nodule": NOT}}),
    )
    judged = evaluate_trial(journal).judged
    assert dict(zip(judged.labels, judged.scores[0], strict=True)) == {"Normal": 0.1, "Nodule": 0.9}
    assert dict(zip(judged.labels, judged.decided[0], strict=True)) == {"Normal": False, "Nodule": True}


def test_the_patient_of_a_study_is_known_by_any_of_its_images(answered):
    journal = answered(
        ("a", effusion(1, CALLED, patient="p")),
        ("a", effusion(1, CALLED)),
        ("b", effusion(0, NOT, patient="p")),
    )
    result = evaluate_trial(journal)
    assert (result.patients, result.without_patient, len(set(result.judged.groups))) == (1, 0, 1)


@pytest.mark.parametrize(
    ("language", "words"),
    [(Language.EN, "0 known patients and 2 studies"), (Language.TR, "0 bilinen hasta")],
)
def test_where_no_patient_is_known_the_page_counts_none(answered, tmp_path, language, words):
    result = evaluate_trial(answered(("a", effusion(1, CALLED)), ("b", effusion(0, NOT))))
    assert (result.patients, result.without_patient) == (0, 2)
    write_evaluation(view(result), tmp_path / "page", language)
    page = (tmp_path / "page" / "report.html").read_text("utf-8")
    assert words in page and "2 patients" not in page


def test_every_part_is_listed_with_its_own_decision(answered, limits):
    parts = limits.limits.model_copy(update={"parts": type(limits.limits.parts)(sensitivity=0.75)})
    large = [effusion(1, CALLED if number < 33 else NOT, parts={"site": "A"}) for number in range(40)]
    small = [effusion(number % 2, CALLED if number % 2 else NOT, parts={"site": "B"}) for number in range(20)]
    journal = answered(*((str(number), line) for number, line in enumerate([*large, *small])))
    journal.limits = replace(limits, limits=parts)
    result = evaluate_trial(journal)
    assert {check.part: (check.decision, check.n) for check in result.checks if check.part} == {
        "site/A": (TrialDecision.OPEN, 40),  # its interval holds the limit
        "site/B": (TrialDecision.OPEN, 10),  # too few
    }
    assert result.decision is TrialDecision.GO
    assert said(result).startswith("Go: ") and "2 of 2 parts are not decided" in said(result)


def test_every_evaluation_of_new_answers_is_kept(answered):
    journal = answered(("a", effusion(1, CALLED)), ("b", effusion(0, NOT)))
    first = evaluate_trial(journal)
    journal.add_evaluation(first.evaluations[-1])
    assert evaluate_trial(journal).evaluations == first.evaluations
    with journal.appending() as file:
        file.write(json.dumps({"image": "9", "outcome": "unmatched"}) + "\n")
    second = evaluate_trial(journal)
    assert [one["images"] for one in second.evaluations] == [2, 3]
    assert "evaluation 2 of the trial" in said(second)


def test_a_period_is_fixed(answered, blobs, limits):
    journal = answered(("a", effusion(1, CALLED)), period="2026-09-01/")
    assert begin(journal.folder, blobs, limits, "archive", period="2026-09-01/").finished
    with pytest.raises(UsageError, match="the period is another one"):
        begin(journal.folder, blobs, limits, "archive", period="2026-10-01/")


def test_no_figures_where_the_model_learned_every_patient(answered):
    journal = answered(("a", effusion(1, CALLED, learned=True)), tells_learned=True)
    with pytest.raises(DataError, match="would be recall"):
        evaluate_trial(journal)


def test_a_report_is_called_by_its_row_in_the_file(limits, tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text('\nstudy,report\n\nbroken\nA,"No\neffusion."\n,no study\nB,Effusion.\n')
    table = read_reports(path, limits.limits)
    assert {study: one.study for study, one in table.by_study.items()} == {"A": "5", "B": "7"}
