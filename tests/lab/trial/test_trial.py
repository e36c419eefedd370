"""A silent trial on an archive: figures, limits, resuming, and nothing that identifies."""

from __future__ import annotations

import json
import shutil
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from tests.lab.trial.archives import CLEAR, FOUND, said, write_archive, write_reports, write_study
from tests.phantom import write_phantom
from tests.templates import translations
from tetkik.cli.app import app
from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.charts import write_evaluation
from tetkik.lab.engine.learned_rows import LearnedRows, Pictures
from tetkik.lab.findings.training.decoded_images import decode_image
from tetkik.lab.trial.checklists import CLAIM, DECIDE_AI, UNKNOWN
from tetkik.lab.trial.evaluate import decide, evaluate_trial, judge_limit, parts_of, read_reports, read_truth
from tetkik.lab.trial.journal import Journal, LabelLimit, Limits, needed_for, plan, read_limits
from tetkik.lab.trial.results import Check, TrialDecision
from tetkik.lab.trial.run import Archive, begin, run_trial
from tetkik.lab.trial.trial_page import view
from tetkik.language import Language
from tetkik.statistics import Interval, share_interval, wilson_interval

FOUND_IN = [number % 2 == 0 for number in range(24)]
CALLED = [*FOUND_IN[:20], not FOUND_IN[20], not FOUND_IN[21], *FOUND_IN[22:]]
"""One miss, one false alarm."""


def start(place, archive, blobs, limits):
    table = read_reports(archive / "reports.csv", limits.limits)
    journal = begin(place, blobs, limits, Archive.kind, reports_sha256=table.sha256)
    return Archive(archive / "images", table, journal.pseudonym), journal


def finished(place, archive, blobs, limits):
    source, journal = start(place, archive, blobs, limits)
    run_trial(blobs, source, journal, workers=0)
    return journal


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """24 studies of 12 patients; not to be changed."""
    return write_archive(tmp_path_factory.mktemp("archive") / "whole", FOUND_IN, CALLED, each=2)


def test_figures_are_those_of_the_reports(archive, blobs, limits, tmp_path):
    result = evaluate_trial(finished(tmp_path / "out", archive, blobs, limits))
    effusion = result.per_label["Effusion"]
    assert (effusion.n, effusion.n_positive, result.patients) == (24, 12, 12)
    assert effusion.sensitivity == pytest.approx(11 / 12)
    assert effusion.specificity == pytest.approx(11 / 12)
    patients = np.arange(24)[np.array(FOUND_IN)] // 2
    assert effusion.sensitivity_ci == share_interval(np.array(CALLED)[np.array(FOUND_IN)], patients)
    assert result.decision is TrialDecision.GO
    assert {part.dimension for part in result.parts} == {"site", "device", "sex", "quarter"}
    assert result.counts.reports == result.counts.studies == 24


def test_nothing_in_the_folder_identifies(archive, blobs, limits, tmp_path):
    out = tmp_path / "out"
    result = evaluate_trial(finished(out, archive, blobs, limits))
    write_evaluation(view(result), out, Language.TR)
    names = {file.name for file in out.iterdir()}
    assert {"report.html", "metrics.json", "labels.csv", "parts.csv", "claim.csv", "decide-ai.csv"} <= names
    assert ".key" not in names
    for file in out.iterdir():
        content = file.read_bytes()
        for secret in ("P-00", "GİZLİ", "ACC0", "1.2.826", "20260", "2026-0", "effüzyon izlendi"):
            assert secret.encode() not in content, (file.name, secret)


def test_an_interrupted_run_goes_on(archive, blobs, limits, tmp_path):
    class Stopped(Exception):
        pass

    def stop(_step, done, _total):
        if done == 7:
            raise Stopped

    source, journal = start(tmp_path / "out", archive, blobs, limits)
    with pytest.raises(Stopped):
        run_trial(blobs, source, journal, workers=0, progress=stop)
    with (tmp_path / "out" / "images.jsonl").open("a") as file:
        file.write('{"image":"cut off')
    with (tmp_path / "out" / "images.jsonl").open("ab") as file:
        file.write("Ş".encode()[:1])
    partial = evaluate_trial(Journal.open(tmp_path / "out"))
    assert partial.counts.images == 7 and partial.decision is TrialDecision.OPEN
    seen = []
    source, journal = start(tmp_path / "out", archive, blobs, limits)
    run_trial(blobs, source, journal, workers=0, progress=lambda _step, done, _total: seen.append(done))
    assert seen[0] == 8 and len(seen) == 17
    whole = evaluate_trial(finished(tmp_path / "once", archive, blobs, limits))
    again = evaluate_trial(Journal.open(tmp_path / "out"))
    assert again.as_json() == whole.as_json()


def test_a_bad_file_costs_itself_alone(blobs, limits, tmp_path):
    archive = write_archive(tmp_path / "a", [True, False, True], [True, False, True])
    images = archive / "images"
    (images / "broken.dcm").write_bytes(b"no image")
    for number in (3, 98):  # cut in its pixels: its header tells its study
        write_study(images / "cut.dcm", number, blob=False, patient=f"P-{number}")
        (images / f"cut{number}.dcm").write_bytes((images / "cut.dcm").read_bytes()[:-1000])
    (images / "cut.dcm").unlink()
    write_study(images / "unknown.dcm", 99, blob=False, patient="P-9")
    write_study(images / "second.dcm", 1, blob=True, patient="P-0001")  # the same study, another film
    rows = [("ACC0000", FOUND, "P-0000"), ("ACC0001", CLEAR, "P-0001"), ("ACC0002", FOUND, "P-other")]
    write_reports(archive / "reports.csv", [*rows, ("ACC0003", CLEAR, "P-3")], "patient_id")
    result = evaluate_trial(finished(tmp_path / "out", archive, blobs, limits))
    counts = result.counts
    assert (counts.images, counts.failed, counts.unmatched, counts.other_patient) == (8, 2, 2, 1)
    assert (counts.studies, counts.answered, counts.reports, counts.unplaced) == (3, 2, 4, 1)
    assert result.checks[0].value == 2 / 4  # what could not be read is not answered
    assert "1 file could not be read and names no study" in said(result)
    assert result.per_label["Effusion"].specificity == 0.0  # one film of it shows a blob
    assert result.decision is TrialDecision.OPEN


def test_limits_cannot_be_changed_once_a_trial_began(archive, blobs, limits, tmp_path):
    finished(tmp_path / "out", archive, blobs, limits)
    softer = replace(limits, content=limits.content.replace(b"0.5", b"0.1"))
    with pytest.raises(UsageError, match="the limits are not those"):
        start(tmp_path / "out", archive, blobs, softer)
    copy = tmp_path / "out" / "limits.yaml"
    copy.write_bytes(softer.content)
    with pytest.raises(DataError, match="changed after the trial began"):
        Journal.open(tmp_path / "out")


def test_a_model_that_is_no_bundle_is_refused(blobs, limits, tmp_path):
    model = copy(blobs.model)
    model.manifest = model.manifest.model_copy(update={"files": {}})
    with pytest.raises(UsageError, match="is no bundle"):
        begin(tmp_path / "out", replace(blobs, model=model), limits, Archive.kind)


def test_the_key_of_the_pseudonyms_is_not_made_anew_and_not_kept(archive, blobs, limits, tmp_path):
    source, journal = start(tmp_path / "out", archive, blobs, limits)
    run_trial(blobs, source, journal, workers=0)
    (tmp_path / "out" / ".key").write_bytes(b"stopped before it was removed")
    assert start(tmp_path / "out", archive, blobs, limits)[1].finished
    assert not (tmp_path / "out" / ".key").exists()
    with pytest.raises(DataError, match=r"lacks the file \.key"):
        Journal.open(tmp_path / "out").pseudonym("image", "0000.dcm")


def test_studies_of_learned_patients_are_left_out(blobs, limits, tmp_path):
    archive = write_archive(tmp_path / "a", FOUND_IN[:6], FOUND_IN[:6], each=2)
    square = decode_image(archive / "images" / "0002.dcm", blobs.model.preprocessing)
    assert square is not None
    learned = LearnedRows.of("these", pictures=Pictures.of([square[None]]))
    table = read_reports(archive / "reports.csv", limits.limits)
    journal = begin(tmp_path / "out", blobs, limits, Archive.kind, tells_learned=True)
    source = Archive(archive / "images", table, journal.pseudonym)
    run_trial(blobs, source, journal, learned=learned, workers=0)
    result = evaluate_trial(journal)
    assert (result.counts.learned, result.counts.learned_images) == (2, 1)
    assert result.studies == ("2", "3", "6", "7") and result.checks[0].n == 4
    assert "2 studies are left out" in said(result)
    assert result.claim is not None and "(2)" in result.claim["20"].in_language(Language.EN)
    unknown = evaluate_trial(finished(tmp_path / "not told", archive, blobs, limits))
    assert "does not tell which images" in said(unknown)
    assert unknown.claim is not None and unknown.counts.learned == 0
    assert "Not known" in unknown.claim["20"].in_language(Language.EN)


def test_another_model_or_table_does_not_go_on(archive, blobs, limits, tmp_path, monkeypatch):
    finished(tmp_path / "out", archive, blobs, limits)
    with pytest.raises(UsageError, match="table of reports"):
        begin(tmp_path / "out", blobs, limits, Archive.kind, reports_sha256="0" * 64)
    monkeypatch.setattr("tetkik.lab.trial.run.model_sha256", lambda _: "0" * 64)
    with pytest.raises(UsageError, match="files of the model"):
        start(tmp_path / "out", archive, blobs, limits)


@pytest.mark.parametrize(
    ("low", "high", "decision"),
    [(0.8, 0.9, TrialDecision.GO), (0.7, 0.9, TrialDecision.OPEN), (0.6, 0.79, TrialDecision.NO_GO)],
)
def test_a_decision_needs_the_whole_interval(low, high, decision):
    assert judge_limit(0.8, Interval(low, high)) is decision
    assert judge_limit(0.8, Interval(low, high), enough=False) is TrialDecision.OPEN


def test_one_missed_limit_is_no_go_and_an_unfinished_run_never_go():
    go, no_go, undecided = (Check("auroc", "", 0.8, 0.9, None, 1, one) for one in TrialDecision)
    assert decide([go, undecided, no_go]) is TrialDecision.NO_GO
    assert decide([go, undecided]) is TrialDecision.OPEN
    assert decide([go]) is TrialDecision.GO
    assert decide([go], finished=False) is TrialDecision.OPEN
    part = replace(undecided, part="site/A")
    assert decide([go, part]) is TrialDecision.GO
    assert decide([go, replace(no_go, part="site/A")]) is TrialDecision.NO_GO


RULES = Limits(model="m", limits={"Effusion": LabelLimit()})


@pytest.mark.parametrize(
    ("text", "label", "value"),
    [
        (FOUND, "Effusion", 1),
        (CLEAR, "Effusion", 0),
        (CLEAR, "Pneumothorax", 0),  # not named
        ("Plevral effüzyon ekarte edilemez.", "Effusion", None),
        ("Plevral effüzyon değerlendirilemedi.", "Effusion", None),
        ("History of pleural effusion. Lungs are clear.", "Effusion", 0),
        (FOUND, "Normal", 0),
        ("No focal consolidation. Normal chest radiograph.", "Normal", 1),
        ("No pneumothorax.", "Normal", None),
        ("", "Effusion", None),
    ],
)
def test_what_a_report_says(text, label, value):
    assert read_truth(text, None, RULES).get(label) == value


def test_what_a_report_does_not_name_may_be_unknown():
    strict = Limits(model="m", limits={"Effusion": LabelLimit()}, unmentioned="unknown", uncertain="present")
    truth = read_truth("Plevral effüzyon ekarte edilemez.", Language.TR, strict)
    assert truth.get("Effusion") == 1 and "Pneumothorax" not in truth


def test_parts_name_no_day_and_no_exact_age():
    assert parts_of(date="20260815", age="047Y", sex="k", site=" A\n B ") == {
        "quarter": "2026-Q3", "age": "40_to_64", "sex": "F", "site": "A B",
    }  # fmt: skip
    assert parts_of(date="soon", age="old", sex="?", device=None) == {}
    assert parts_of(age="011M") == {"age": "under_18"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "model: m\nlimits: {Effusion: {sensitivty: 0.9}}",
            "limits.Effusion.sensitivty: there is no such key",
        ),
        ("model: m\nlimits: {Effusion: {sensitivity: 90}}", "the most is 1"),
        ("limits: {Effusion: {auroc: 0.9}}", "model: it is missing"),
        ("model: m\nlimits: {Effusion: {}}", "Effusion asks for no figure"),
        ("model: m\nlimits: {Effusion: {positives: 9}}", "Effusion asks for no figure"),
        ("model: [", "is not YAML"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("- 1", "limits.yaml"),
        ("#" * 70_000, "too long"),
    ],
)
def test_limits_with_a_mistake_are_refused(text, says, tmp_path):
    path = tmp_path / "limits.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        read_limits(path)


def test_the_planned_number_gives_the_power_and_is_the_smallest_that_keeps_it():
    n = needed_for(0.9, 0.85, 0.9)
    assert [probability_of_go(m) >= 0.9 for m in range(n - 1, n + 20)] == [False] + [True] * 20
    truths = [{"Effusion": int(row < 5)} for row in range(100)]
    needed, limits = plan(["Effusion"], 0.9, 0.8, 0.05, 0.9, truths)
    assert needed[0].prevalence == 0.05 and needed[0].studies == n * 20
    assert limits["Effusion"].positives == n and limits["Effusion"].sensitivity == 0.85


def probability_of_go(n, share=0.9, limit=0.85):
    reached = [hits for hits in range(n + 1) if (one := wilson_interval(hits, n)) and one.low >= limit]
    return binom.pmf(reached, n, share).sum()


@pytest.mark.parametrize(("share", "limit"), [(1.0, 0.95), (0.04, 0.0), (0.9, 0.895)])
def test_a_plan_at_the_edges(share, limit):
    assert 1 <= needed_for(share, limit, 0.9) < 60_000


def test_the_checklists_are_whole_and_in_both_languages(archive, blobs, limits, tmp_path):
    assert len(CLAIM) == 44 and len(DECIDE_AI) == 28 + 10
    turkish = {english for _, english, _ in translations()}
    assert {*CLAIM.values(), *DECIDE_AI.values()} <= turkish
    result = evaluate_trial(finished(tmp_path / "out", archive, blobs, limits))
    assert result.claim is not None and result.decide_ai is not None
    assert result.claim["34"].in_language(Language.EN) == "NCT00000000"
    assert result.claim["44"] == result.decide_ai["X"] == UNKNOWN


def test_the_commands(blobs, tmp_path, monkeypatch):
    def run(*arguments):
        return CliRunner().invoke(app, ["trial", *map(str, arguments)])

    images = tmp_path / "images"
    images.mkdir()
    write_phantom(images / "7.dcm", 7, ["Nodule"], rows=256, columns=256)
    write_phantom(images / "8.dcm", 8, rows=256, columns=256)
    shutil.copy(images / "8.dcm", images / "9.dcm")
    write_reports(tmp_path / "r.csv", [(f"{number}.dcm", CLEAR) for number in (7, 8, 9)])
    model = ("--model", blobs.model.manifest.id)
    monkeypatch.setattr("tetkik.findings.predict.load_model", lambda *_, **__: blobs.model)
    limits = tmp_path / "limits.yaml"
    made = run("plan", "--out", limits, "--labels", "Effusion", "--reports", tmp_path / "r.csv", *model)
    assert made.exit_code == 0 and str(needed_for(0.9, 0.85, 0.9)) in made.stdout, made.output
    assert run("plan", "--out", limits).exit_code == 2
    begun = ("run", "--limits", limits, "--out", tmp_path / "out", "--workers", 0, *model)
    assert run(*begun).exit_code == 2
    done = run(*begun, "--archive", images, "--reports", tmp_path / "r.csv", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["n"] == 3 and figures["decision"] == "open" and figures["limits_sha256"]
    again = run(*begun, "--archive", images, "--reports", tmp_path / "r.csv")
    assert again.exit_code == 0 and "answered before" in again.stderr
    shown = run("report", tmp_path / "out")
    assert shown.exit_code == 0 and "not decided" in shown.stdout
    assert len((tmp_path / "out" / "evaluations.jsonl").read_text().splitlines()) == 1  # the same figures
    assert run("report", images).exit_code == 1
