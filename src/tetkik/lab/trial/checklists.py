"""CLAIM 2024 and DECIDE-AI, filled as far as a run knows.

Items in short words of our own. CLAIM 2024: Tejani et al., Radiology: Artificial Intelligence 6 (2024)
e240300. DECIDE-AI: Vasey et al., Nature Medicine 28 (2022) 924 and BMJ 377 (2022) e070904.
"""

from __future__ import annotations

from collections.abc import Mapping

from tetkik._version import __version__
from tetkik.lab.engine.figure_tables import LabelName
from tetkik.lab.engine.results import listed
from tetkik.lab.findings.summaries import LabelFigures
from tetkik.lab.trial.interpretation import DECISIONS, DIMENSION_NAMES, patients_sentence
from tetkik.lab.trial.results import TrialResult
from tetkik.language import Sentence

CLAIM = {
    "1": "Title: a study of AI, and of which kind",
    "2": "Abstract: design, methods, results, conclusions",
    "3": "Background, intended use and clinical role",
    "4": "Aims and hypotheses",
    "5": "Prospective or retrospective",
    "6": "Goal of the study",
    "7": "Data sources",
    "8": "Inclusion and exclusion criteria",
    "9": "Preprocessing",
    "10": "Selection of data subsets",
    "11": "De-identification",
    "12": "Missing data",
    "13": "Image acquisition",
    "14": "Definition of the reference standard",
    "15": "Rationale for the reference standard",
    "16": "Source of the reference annotations",
    "17": "Annotation of the test set",
    "18": "Variability of the annotators",
    "19": "Assignment of data to partitions",
    "20": "Level at which partitions are disjoint",
    "21": "Intended sample size",
    "22": "Model, inputs and outputs",
    "23": "Software",
    "24": "Initialisation of the model",
    "25": "Training",
    "26": "Selection of the final model",
    "27": "Ensembles",
    "28": "Metrics of performance",
    "29": "Measures of significance and uncertainty",
    "30": "Robustness and sensitivity analysis",
    "31": "Explainability",
    "32": "Evaluation on internal data",
    "33": "Testing on external data",
    "34": "Registration of the trial",
    "35": "Examinations included and excluded",
    "36": "Demographic and clinical characteristics",
    "37": "Performance and its uncertainty",
    "38": "Diagnostic performance and its precision",
    "39": "Analysis of failures",
    "40": "Limitations of the study",
    "41": "Implications for practice",
    "42": "Full protocol",
    "43": "Availability of software, model and data",
    "44": "Funding and its role",
}
DECIDE_AI = {
    "1": "Title: early clinical evaluation of a decision support system",
    "I": "Abstract",
    "2a": "Targeted condition, current practice, intended patients",
    "2b": "Intended users, place in the pathway, potential impact",
    "II": "Objectives",
    "III": "Protocol, registration, ethics approval",
    "3a": "Recruitment of patients and their number",
    "3b": "Recruitment of users and their number",
    "3c": "Training of users",
    "4a": "AI system, version, algorithm, training population",
    "4b": "Inputs of the AI system",
    "4c": "Outputs, and how users see them",
    "5a": "Settings of the evaluation",
    "5b": "Workflow, and how the final decision is reached",
    "IV": "Outcomes measured",
    "6a": "How errors and malfunctions are defined and found",
    "6b": "How risks to patients are found and kept small",
    "7": "Human factors: methods",
    "V": "Statistical methods",
    "8": "Ethical goals, such as fairness",
    "VI": "Involvement of patients",
    "9a": "Baseline of the patients",
    "9b": "Baseline of the users",
    "10a": "Exposure of users to the AI system, and adherence",
    "10b": "Changes to the workflow",
    "VII": "Main results",
    "11": "Changes to the AI system during the study",
    "12": "Agreement of users and AI system",
    "13a": "Errors and malfunctions found",
    "13b": "Risks and harm found",
    "14a": "Usability",
    "14b": "Learning curves of the users",
    "VIII": "Analysis of subgroups",
    "15": "Support of the intended use",
    "16": "Safety of the AI system",
    "IX": "Strengths and limitations",
    "17": "Availability of data",
    "X": "Conflicts of interest",
}
UNKNOWN = Sentence("The run cannot know it.")
_UNSEEN = Sentence("None: the trial was silent, no reader saw an answer of the model.")
_NOT_TRAINED = Sentence("None: nothing was trained; the card of the model tells of its training.")
_SOURCES = {"archive": Sentence("an archive of images with a table of their reports"),
            "records": Sentence("images and signed reports of the hospital's own records")}  # fmt: skip


def claim_answers(result: TrialResult) -> dict[str, Sentence]:
    """What is known of each item of CLAIM 2024."""
    return _filled(CLAIM, result.limits.statements.claim, _claim(result))


def decide_ai_answers(result: TrialResult) -> dict[str, Sentence]:
    """What is known of each item of DECIDE-AI."""
    return _filled(DECIDE_AI, result.limits.statements.decide_ai, _decide_ai(result))


def _filled(
    items: Mapping[str, str],
    stated: Mapping[str, str],
    found: Mapping[str, Sentence],
) -> dict[str, Sentence]:
    """What the hospital stated beforehand stands beside what the run found."""
    filled = {}
    for item in items:
        own = Sentence("{text}", {"text": stated[item]}) if item in stated else None
        both = [part for part in (own, found.get(item)) if part is not None]
        filled[item] = listed(both, " ") if both else UNKNOWN
    return filled


def _claim(result: TrialResult) -> dict[str, Sentence]:
    software = Sentence("Tetkik {version}.", {"version": __version__})
    return {
        "5": _design(result),
        "6": Sentence("A silent trial: go or no-go against limits that were fixed beforehand."),
        "7": Sentence("{source}.", {"source": _SOURCES[result.fixed["source"]]}),
        "8": _included(result),
        "9": Sentence("As the model's bundle says; images that the quality gate refuses get no answer."),
        "11": Sentence(
            "Studies and patients are pseudonyms or numbers of rows; dates are quarters, ages are groups."
        ),
        "12": Sentence("What a report does not say of a label is left out of that label's figures."),
        "14": _reference_standard(result),
        "16": Sentence("The radiologists who signed the reports; the rules of the report labeler read them."),
        "20": _disjoint(result),
        "21": _planned(result),
        "22": _model(result),
        "23": software,
        "24": _NOT_TRAINED,
        "25": _NOT_TRAINED,
        "26": _NOT_TRAINED,
        "28": _metrics(result),
        "29": _intervals(result),
        "30": _subgroups(result),
        "35": _included(result),
        "36": _characteristics(result),
        "37": _results(result),
        "38": _results(result),
        "39": _errors(result),
    }


def _decide_ai(result: TrialResult) -> dict[str, Sentence]:
    return {
        "3a": _included(result),
        "3b": _UNSEEN,
        "3c": _UNSEEN,
        "4a": _model(result),
        "4b": Sentence("The images of a study alone; no history and no report."),
        "4c": _UNSEEN,
        "5a": Sentence("{source}.", {"source": _SOURCES[result.fixed["source"]]}),
        "5b": Sentence("The workflow was as ever: the reader decided without the model under trial."),
        "IV": _metrics(result),
        "6a": _errors(result),
        "6b": _UNSEEN,
        "V": _intervals(result),
        "8": _subgroups(result),
        "9a": _characteristics(result),
        "10a": _UNSEEN,
        "10b": _UNSEEN,
        "VII": _results(result),
        "11": Sentence(
            "None: the run refuses a model whose files changed; SHA-256 {digest}.",
            {"digest": result.fixed["model_sha256"][:16]},
        ),
        "12": Sentence("Of model and signed report: labels.csv, and cases.csv study by study."),
        "13a": _errors(result),
        "13b": _UNSEEN,
        "14a": _UNSEEN,
        "14b": _UNSEEN,
        "VIII": _subgroups(result),
        "15": Sentence(
            "{decision}, by the limits that were fixed beforehand.", {"decision": DECISIONS[result.decision]}
        ),
    }


def _design(result: TrialResult) -> Sentence:
    if result.fixed["source"] == "archive":
        return Sentence(
            "Retrospective: the archive was there; the limits were fixed before the model saw it."
        )
    return Sentence("On signed studies of the records; the limits were fixed before the model saw them.")


def _included(result: TrialResult) -> Sentence:
    counts = result.counts
    return Sentence(
        "Studies with a report and an image: {studies}; of them learned by the model and left out {learned}; "
        "answered {answered}; images refused by the quality gate {refused}, unreadable {failed}, without a "
        "report {unmatched}, of another patient than the report {other}.",
        {
            "studies": counts.studies,
            "learned": counts.learned,
            "answered": counts.answered,
            "refused": sum(counts.refused.values()),
            "failed": counts.failed,
            "unmatched": counts.unmatched,
            "other": counts.other_patient,
        },
    )


def _disjoint(result: TrialResult) -> Sentence:
    if not result.tells_learned:
        return Sentence("Not known: the model does not tell which images it learned.")
    return Sentence(
        "Patients, as far as images are known again: studies of patients of whom the model learned an image "
        "are left out ({n}).",
        {"n": result.counts.learned},
    )


_UNMENTIONED = {"absent": Sentence("absent"), "unknown": Sentence("unknown"), "present": Sentence("present")}


def _reference_standard(result: TrialResult) -> Sentence:
    return Sentence(
        "The signed report, read by rules; a finding that it does not name is {unmentioned}, one that it "
        "neither asserts nor denies is {uncertain}.",
        {
            "unmentioned": _UNMENTIONED[result.limits.unmentioned],
            "uncertain": _UNMENTIONED[result.limits.uncertain],
        },
    )


def _planned(result: TrialResult) -> Sentence:
    items = (
        Sentence("{label} {n}", {"label": LabelName(label), "n": limit.positives})
        for label, limit in result.limits.limits.items()
    )
    return Sentence("Studies with the finding, fixed beforehand: {items}.", {"items": listed(items)})


def _model(result: TrialResult) -> Sentence:
    return Sentence(
        "{model}, SHA-256 of its manifest {digest}; a score and a decision for each label.",
        {"model": result.model, "digest": result.fixed["model_sha256"][:16]},
    )


def _metrics(result: TrialResult) -> Sentence:
    return Sentence("Sensitivity and specificity at the model's own thresholds, AUROC, the share answered.")


def _intervals(result: TrialResult) -> Sentence:
    return Sentence(
        "95% intervals by patient, by study where no patient is known: Wilson's with the design effect; of "
        "AUROC DeLong's, with Obuchowski's variance where patients repeat."
    )


def _subgroups(result: TrialResult) -> Sentence:
    found = list(dict.fromkeys(part.dimension for part in result.parts))
    if not found:
        return Sentence("None: neither the images nor the table tell parts apart.")
    return Sentence(
        "By {items}: parts.csv.", {"items": listed((DIMENSION_NAMES[name] for name in found), ", ")}
    )


def _characteristics(result: TrialResult) -> Sentence:
    """Sex and age as far as known."""
    found = [part for part in result.parts if part.dimension in ("sex", "age")]
    if not found:
        return Sentence("{patients}; neither sex nor age is known.", {"patients": patients_sentence(result)})
    items = (Sentence("{title} {n}", {"title": part.title, "n": part.n}) for part in found)
    values = {"patients": patients_sentence(result), "items": listed(items)}
    return Sentence("{patients}; studies of {items}.", values)


def _results(result: TrialResult) -> Sentence:
    return Sentence(
        "Over {n} studies: labels.csv and checks.csv; {decision}.",
        {"n": len(result.judged), "decision": DECISIONS[result.decision]},
    )


def _errors(result: TrialResult) -> Sentence:
    missed = sum(round((1 - (item.sensitivity or 0)) * item.n_positive) for item in _limited(result))
    alarms = sum(
        round((1 - (item.specificity or 0)) * (item.n - item.n_positive)) for item in _limited(result)
    )
    return Sentence(
        "Of the limited labels {missed} were missed and {alarms} called that the report does not have: "
        "cases.csv.",
        {"missed": missed, "alarms": alarms},
    )


def _limited(result: TrialResult) -> list[LabelFigures]:
    return [result.per_label[label] for label in result.limits.limits if label in result.per_label]
