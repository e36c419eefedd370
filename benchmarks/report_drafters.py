"""Hallucinated sentences before and after the check, by drafter, in both languages; and F1 against reports.

    python benchmarks/report_drafters.py --films labels.csv [--reports iu_reports.csv] [--radeval PYTHON]
        [--llm URL [--images]]

The facts of a film are its labels (the 377 unselected NIH films, of which all 14 are known): what is listed
was found, the others may be denied, no side and no size was measured. Every drafter gets the same facts:

- the composer, which is the template that ships;
- retrieval: what somebody wrote, truly, about the invented case with the most similar findings
  (`data/report-sentences`), and in English the real report with the most similar labels;
- a language model under `--llm`, with `--images` one that also gets each film with text blackened. No weights
  of such models are at hand: without a server their rows say so;
- a language model that was told what to write, true sentences and false ones (`judges.csv`): its share before
  the check was chosen, and what counts is what the check leaves.

What is hallucinated is told by plain words, apart from the check that is measured: a sentence that names a
finding which the film does not have, or a finding with a side or a size, without a word that denies or
doubts; one that denies a finding, or calls the lungs clear, where there is one. What such words do not tell
(a cause, a place, a device, a course) is not counted: true shares are higher, and many of the others that are
marked are marked rightly. Of `judges.csv` the truth is known. After the check means: of the sentences that
bear no mark. Intervals draw whole patients, or sheets.

With `--reports` the composer writes of each second real report's human labels, and retrieval takes the
nearest of the others; both are judged against the report as `tetkik report evaluate` does.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from figures import interval, record
from report_grounding import _OPEN, _PIECES, PLAIN, Report, read_reports
from report_planted import CHEST, result_of
from report_sentences import rows_of, sheets, strictly
from tetkik.imaging.read import read_image
from tetkik.lab.report.evaluate import Pair, evaluate_reports
from tetkik.language import Language
from tetkik.report.draft import draft_report
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft
from tetkik.report.llm import LanguageModel, open_model
from tetkik.statistics import share_interval
from tetkik.turkish import lower
from tetkik.values import Draft, DraftSentence, FindingsResult, ReportInput, Route, Section, narrower
from tetkik.workflow.reports import picture_without_text

UNSELECTED = "jrzech/reproduce-chexnet"
NIH = tuple(label for label in CHEST if label not in {"COVID-19", "Viral_Pneumonia", "Tuberculosis"})
WORDS = {
    Language.EN: PLAIN | {"Hernia": "hiatal hernia"},
    Language.TR: {
        "Atelectasis": "atelekta",
        "Cardiomegaly": "kardiyomegali|kalp büyü",
        "Consolidation": "konsolidasyon",
        "Edema": "ödem",
        "Effusion": "efüzyon",
        "Emphysema": "amfizem",
        "Fibrosis": "fibroz|fibrotik",
        "Hernia": "hiatal herni|hiatus herni",
        "Infiltration": "infiltra",
        "Mass": r"\bkitle",
        "Nodule": "nodül",
        "Pleural_Thickening": "plevral kalınlaşma",
        "Pneumonia": "pnömoni",
        "Pneumothorax": "pnömotoraks",
    },
}
_TURKISH_NO = (
    r"\b(?:yok|değil|saptanma(?:dı|mış|mak)|izlenme(?:di|miş|mek)|görülme(?:di|miş|mek)|rastlanma|ekarte)"
)
OPEN = {
    Language.EN: _OPEN,
    Language.TR: re.compile(
        rf"{_TURKISH_NO}|\b(?:olası|olabil|muhtemel|şüphe|düşün|lehine|ihtimal|öykü|bilinen|önceki|eski|göre|öneri"
        r"|gerek|açısından|yönünden|ya da|veya|normal|doğal|bulunma|görülmem|edilme|seçilem|dışında|ne\b)"
        r"|\?|\(-\)"
    ),
}
DENIED = {
    Language.EN: r"\b(?:no|without|negative for)\b(?:(?!other|new|longer|but)[^.;,:])*?(?:{word})",
    Language.TR: rf"(?:{{word}})(?:(?!mevcut|izlenmekte|görül|dışında|eşlik)[^.;,:])*?{_TURKISH_NO}(?! say)",
}
NORMAL = {
    Language.EN: re.compile(
        r"^(?!.*(?:otherwise|but for|apart|except)).*(?:lungs? (?:is|are) clear|normal chest)"
    ),
    Language.TR: re.compile(
        r"^(?!.*(?:dışında|haricinde|diğer)).*(?:akciğer(?:ler)? (?:doğal|temiz|normal)|normal akciğer)"
    ),
}
INVENTED = {
    Language.EN: re.compile(r"\b(?:left|right|bilateral)|\d\s?(?:mm|cm)\b"),
    Language.TR: re.compile(r"\b(?:sağ|sol|bilateral|iki taraf)|\d\s?(?:mm|cm)\b"),
}
_CLAIMS = (Section.FINDINGS, Section.IMPRESSION)
_ABOUT_A_LABEL = ("finding:", "absence:", "prior:")
MOST = 4
"""Sentences that are taken from the nearest case."""


@dataclass(frozen=True)
class Film:
    file: Path
    patient: str
    result: FindingsResult
    facts: Facts

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(item.label for item in self.facts.abnormal)


@dataclass(frozen=True)
class Judged:
    """A sentence of a drafter: whose film it is about, whether it is hallucinated, whether it is marked."""

    group: str
    false: bool
    marked: bool


def read_films(table: Path) -> list[Film]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == UNSELECTED]
    films = []
    for row in rows:
        there = set(row["labels"].split(";"))
        state = {label: "present" if label in there else "absent" for label in NIH}
        if "Normal" in there:
            state["Normal"] = "present"
        result = result_of(state)
        facts = facts_of(result, ReportInput(technique="PA"))
        films.append(Film(table.parent / row["file"], row["patient_id"], result, facts))
    return films


def is_false(text: str, facts: Facts, language: Language) -> bool:
    """Whether a sentence says, by plain words, what its film does not have."""
    text = lower(text) if language is Language.TR else text.lower()
    in_lungs = {item.label for item in facts.abnormal} - {"Cardiomegaly", "Hernia", "Pleural_Thickening"}
    if in_lungs and NORMAL[language].search(text):
        return True
    open_words = OPEN[language].search(text)
    named = any(re.search(word, text) for word in WORDS[language].values())
    if named and not open_words and INVENTED[language].search(text):
        return True
    for label, word in WORDS[language].items():
        if not re.search(word, text):
            continue
        here = any(narrower(label) & narrower(item.label) for item in facts.abnormal)
        if not here and not open_words:
            return True
        if here and re.search(DENIED[language].format(word=word), text):
            return True
    return False


Drafter = Callable[[Film, Language], Draft | None]


def composed(film: Film, language: Language) -> Draft:
    return draft_report(film.result, ReportInput(technique="PA"), language=language).draft


def asked(film: Film, language: Language, *, model: LanguageModel, images: bool) -> Draft | None:
    """The draft of a language model; None where it gave none."""
    image = picture_without_text(read_image(film.file)) if images else None
    inputs = ReportInput(technique="PA")
    draft = draft_report(film.result, inputs, language=language, model=model, image=image).draft
    return None if draft.writer == "composer" else draft


def nearest(labels: frozenset[str], known: Sequence[frozenset[str]], rng: random.Random) -> int:
    """The place of the most similar set of findings (Jaccard), one of several by chance."""
    shares = [len(labels & other) / max(1, len(labels | other)) or float(labels == other) for other in known]
    return rng.choice([place for place, share in enumerate(shares) if share == max(shares)])


def checked(texts: Sequence[str], film: Film, language: Language) -> Draft:
    """Sentences as the draft of somebody who cites whatever is not about one finding."""
    facts = film.facts
    cited = tuple(basis.id for basis in facts.bases() if not basis.id.startswith(_ABOUT_A_LABEL))
    sentences = tuple(DraftSentence(text, Section.FINDINGS, cited) for text in texts)
    return check_draft(Draft(language, sentences, facts.bases(), (), writer="benchmark"), facts)


def from_cases(rng: random.Random) -> Drafter:
    """Sentences of the nearest invented case, by one of its writers."""
    cases: dict[tuple[str, Language], dict[str, list[str]]] = {}
    for row in rows_of("development.csv"):
        if row.truth == "supported" and sheets()[row.sheet][0].route is Route.CHEST:
            cases.setdefault((row.sheet, row.language), {}).setdefault(row.writer, []).append(row.text)
    names = sorted({sheet for sheet, _ in cases})
    known = [frozenset(item.label for item in sheets()[name][0].abnormal) for name in names]

    def draft(film: Film, language: Language) -> Draft:
        by_writer = cases[names[nearest(film.labels, known, rng)], language]
        return checked(by_writer[rng.choice(sorted(by_writer))][:MOST], film, language)

    return draft


def from_reports(reports: Sequence[Report], rng: random.Random) -> Drafter:
    """The sentences of the nearest real report; there are English ones alone."""
    known = [report.present for report in reports]

    def draft(film: Film, language: Language) -> Draft | None:
        if language is not Language.EN:
            return None
        return checked(sentences_of(reports[nearest(film.labels, known, rng)].text), film, language)

    return draft


def sentences_of(text: str) -> list[str]:
    return [part for part in _PIECES.split(text) if any(map(str.isalpha, part))]


def judge(draft: Drafter, films: Sequence[Film], language: Language) -> Iterator[Judged]:
    for film in films:
        made = draft(film, language)
        for sentence in made.sentences if made is not None else ():
            if sentence.section in _CLAIMS:
                false = is_false(sentence.text, film.facts, language)
                yield Judged(film.patient, false, bool(sentence.marks))


def told(language: Language) -> Iterator[Judged]:
    """The sentences of the judges, whose truth is known."""
    for row in rows_of("judges.csv"):
        if row.language is language:
            yield Judged(row.sheet, row.truth != "supported", bool(strictly(row).marks))


def show(name: str, language: Language, found: Sequence[Judged], reason: str) -> None:
    """Print and record one row of the table; a drafter that could not be asked has the reason."""
    row, cells = (
        f"report-drafters/{name}-{language}",
        dict.fromkeys(("before", "after", "others, marked"), "null"),
    )
    cells |= {"95% interval before": "", "95% interval after": "", "n": reason}
    if found:
        left = [item for item in found if not item.marked]
        for column, some in (("before", found), ("after", left)):
            if not some:
                cells[column] = "none left"
                continue
            share = np.array([item.false for item in some])
            groups = np.unique([item.group for item in some], return_inverse=True)[1]
            between = share_interval(share, groups)
            cells[column] = f"{share.mean():.3f}"
            cells[f"95% interval {column}"] = interval(between.low, between.high) if between else ""
        marked = [item.marked for item in found if not item.false]
        cells["others, marked"] = f"{np.mean(marked):.3f}" if marked else ""
        cells["n"] = f"{len(found):,} sentences, {len({item.group for item in found})} patients or cases"
    record(row, cells)
    print(f"| {name}, {language} | " + " | ".join(cells.values()) + " |")


def metrics(reports: Sequence[Report], radeval: Path | None, rng: random.Random) -> None:
    """F1 of what drafts and real reports state, by drafter."""
    known = [report.present for report in reports[1::2]]
    drafts: dict[str, list[str]] = {"composer": [], "reports": []}
    for report in reports[::2]:
        labels = {label: "present" if label in report.present else "absent" for label in CHEST}
        made = draft_report(result_of(labels), ReportInput(), language=Language.EN).draft
        drafts["composer"].append(" ".join(item.text for item in made.sentences if item.section in _CLAIMS))
        drafts["reports"].append(reports[1::2][nearest(report.present, known, rng)].text)
    for name, texts in drafts.items():
        pairs = [
            Pair(report.text, text, Language.EN, str(place))
            for place, (report, text) in enumerate(zip(reports[::2], texts, strict=True))
        ]
        found = evaluate_reports(pairs, radeval=radeval)
        for metric in ("labeler_f1_en", "labeler_f1_tr", "radgraph_f1", "ratescore", "green"):
            cells = {"reached": "null", "95% interval": "", "n": ""}
            if metric in found.figures:
                figure = found.figures[metric]
                bounds = interval(figure.ci.low, figure.ci.high) if figure.ci else ""
                cells = {"reached": f"{figure.value:.3f}", "95% interval": bounds, "n": f"{figure.n:,}"}
            record(f"report-metrics/{name}-{metric}", cells)
            print(
                f"| {name}, {metric} | " + " | ".join(cells.values()) + " |",
                found.not_computed.get(metric) or "",
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--radeval", type=Path)
    parser.add_argument("--llm")
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--most", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    films, rng = read_films(wanted.films)[: wanted.most], random.Random(wanted.seed)
    drafters: dict[str, Drafter] = {"composer": composed, "cases": from_cases(rng)}
    reports = read_reports(wanted.reports) if wanted.reports else []
    if reports:
        drafters["reports"] = from_reports(reports, rng)
    if wanted.llm:
        os.environ["TETKIK_LLM_IMAGES"] = "inside" if wanted.images else "never"
        model = open_model(wanted.llm)
        assert model is not None
        drafters["vision" if wanted.images else "text"] = partial(asked, model=model, images=wanted.images)
    reasons = {
        "reports": "no Turkish reports at hand",
        "text": "no weights at hand",
        "vision": "no weights at hand (MedGemma, Lingshu, CheXagent)",
    }
    columns = ("drafter", "before", "after", "others, marked", "before: 95%", "after: 95%", "n")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name in ("composer", "cases", "reports", "told", "text", "vision"):
        for language in Language:
            draft = drafters.get(name)
            found = [*told(language)] if name == "told" else [*judge(draft, films, language)] if draft else []
            show(name, language, found, reasons.get(name, ""))
    if reports:
        print()
        metrics(reports, wanted.radeval, rng)


if __name__ == "__main__":
    main()
