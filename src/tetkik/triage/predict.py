"""One complaint in, the whole answer out: departments, urgency, abstention, question, evidence.

Urgency comes from rules, with a model of urgency beside them, that look at the text alone: no department,
however sure, and no refusal to read the text can silence a red flag.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.bundle.manifest import Manifest, Task
from tetkik.bundle.store import Bundle, resolve
from tetkik.choices import Device
from tetkik.errors import BundleMismatch, SettingError
from tetkik.language import Language, translate
from tetkik.settings import settings
from tetkik.statistics.intervals import Floats
from tetkik.triage.age_and_duration import is_child, read_age
from tetkik.triage.text_quality import Unreadable, unreadable_reason
from tetkik.triage.urgency.assess import UrgencyReader, assess
from tetkik.triage.urgency.symptoms import WordIndex
from tetkik.values.complaint import (
    DepartmentScore,
    Destination,
    DestinationKind,
    Evidence,
    MeasuredComplaint,
    TriageResult,
    Urgency,
    UrgencyLevel,
)

# What a child's age, stated or not, does to the departments.
#
# A stated child belongs to Pediatri rather than to a department that sees adults only. A complaint that
# tells of no child hardly ever belongs to Pediatri, which words alone ("kuru öksürük") do not always show.


PEDIATRICS = "Pediatri"
ADULT_ONLY = frozenset({"Dahiliye", "Kardiyoloji", "Göğüs Hastalıkları", "Nöroloji", "Genel Cerrahi"})
"""Departments that send a child to Pediatri first; the others (eyes, ears, bones) see children themselves."""
NO_CHILD_FACTOR = 0.2
"""What is left of Pediatri's odds where no child is mentioned. Of the complaints that paediatricians
answered, one in eleven mentions none; of the others, nine in ten: odds of a tenth, and the words say a part
already."""


def adjust_for_age(row: NDArray[np.float64], labels: Sequence[str], *, child: bool) -> None:
    """Bring the probabilities of one text, in place, into line with whether it tells of a child.

    Args:
        row: (labels,), float64, sums to 1.
        labels: the departments; without Pediatri among them nothing is done.
        child: whether the text tells of a child (`is_child`).
    """
    if PEDIATRICS not in labels:
        return
    own, first = labels.index(PEDIATRICS), int(row.argmax())
    if not child:
        row[own] *= NO_CHILD_FACTOR
        row /= row.sum()
    elif labels[first] in ADULT_ONLY:
        row[[first, own]] = row[[own, first]]


def log_odds(texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """What `adjust_for_age` adds to log-probabilities of texts without a child, for calibration.

    Args:
        texts: folded texts.

    Returns:
        (texts, labels), float64: log NO_CHILD_FACTOR for Pediatri where no child is mentioned, else 0.
    """
    shift = np.zeros((len(texts), len(labels)))
    if PEDIATRICS in labels:
        untold = [not is_child(text) for text in texts]
        shift[untold, labels.index(PEDIATRICS)] = np.log(NO_CHILD_FACTOR)
    return shift


# Which clinic a department is booked as, and whether another clinic has to refer first.


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic of the appointment system; of `first` one has to refer, empty where it is booked directly."""

    name: str
    first: tuple[str, ...]

    def referral(self, language: Language) -> str | None:
        """The referral rule as a sentence, or None where no referral is needed."""
        if not self.first:
            return None
        return translate("Needs a referral; book first: {clinics}.", language, clinics=" / ".join(self.first))


@dataclass(frozen=True, slots=True)
class Clinics:
    """A list of clinics, and for each department its clinic, and the one for children where it has one."""

    clinics: Mapping[str, Clinic]
    departments: Mapping[str, tuple[str, str | None]]


@cache
def load_clinics(path: Path | None = None) -> Clinics:
    """A hospital's own list, in the format of `clinics.toml`, or the built-in one; `SettingError` if
    unusable.
    """
    file = path or resources.files("tetkik.triage").joinpath("clinics.toml")
    try:
        table = tomllib.loads(file.read_text("utf-8"))
        clinics = {
            item["name"]: Clinic(item["name"], tuple(item.get("first", ()))) for item in table["clinic"]
        }
        departments = {item["name"]: (item["clinic"], item.get("child")) for item in table["department"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingError(
            "The list of clinics {path} cannot be used ({fault}); compare it with the built-in clinics.toml.",
            path=file,
            fault=error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}",
        ) from None
    named = {name for pair in departments.values() for name in pair if name} | {
        name for clinic in clinics.values() for name in clinic.first
    }
    if unknown := sorted(named - clinics.keys()):
        raise SettingError(
            "The list of clinics {path} names {unknown}, which it does not have; add a [[clinic]] for each.",
            path=file,
            unknown=", ".join(unknown),
        )
    return Clinics(clinics, departments)


def clinic_of(department: str, *, child: bool) -> Clinic | None:
    """The clinic that a department (or a clinic itself, in a hospital's own list) is booked as; None for
    none.
    """
    found = load_clinics(settings().triage_clinics)
    if department in found.departments:
        adult, own = found.departments[department]
        return found.clinics[own if child and own else adult]
    return found.clinics.get(department)


# The question that would help most: the one whose answer tells most about the department.


_MOSTLY = 0.9
_LIKELY = 0.1
"""Of a department that a question is asked for, at least."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that a yes may mean.

    Attributes:
        sentence: as the patient would say it, in Turkish, for that is what models read.
    """

    sentence: str
    name: str

    def in_language(self, language: Language) -> str:
        """What a page calls it."""
        return self.sentence if language is Language.TR else self.name


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the departments whose patients mostly say yes, and those who mostly say no."""

    id: str
    text: dict[Language, str]
    yes: frozenset[str]
    no: frozenset[str]
    answers: tuple[Answer, ...] = ()
    about: tuple[str, ...] = ()  # beginnings of words that tell that the text speaks of it already

    def chance_of_yes(self, department: str) -> float:
        """How often a patient of that department says yes."""
        if department in self.yes:
            return _MOSTLY
        return 1 - _MOSTLY if department in self.no else 0.5


@cache
def questions() -> tuple[Question, ...]:
    """The built-in questions."""
    table = tomllib.loads(resources.files("tetkik.triage").joinpath("questions.toml").read_text("utf-8"))
    return tuple(
        Question(
            entry["id"],
            {Language.TR: entry["tr"], Language.EN: entry["en"]},
            frozenset(entry["yes"]),
            frozenset(entry["no"]),
            tuple(Answer(item["tr"], item["en"]) for item in entry["answers"]),
            tuple(entry["about"].split()),
        )
        for entry in table["question"]
    )


@cache
def _subjects() -> WordIndex:
    return WordIndex(question.about for question in questions())


def open_questions(
    folded: str,
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    *,
    leave_out: Sequence[str] = (),
) -> list[Question]:
    """The questions that the text does not answer, for a department that is likely, the most telling first.

    How telling one is: the mutual information between its answer and the department.

    Args:
        folded: the complaint by `turkish.fold`.
        probabilities: (labels,), what is believed before the answer.
    """
    answered = {number for word in folded.split() for number in _subjects().classes_of(word)}
    likely = {label for label, share in zip(labels, probabilities, strict=True) if share >= _LIKELY}
    found = [
        question
        for number, question in enumerate(questions())
        if number not in answered and question.id not in leave_out and question.yes & likely
    ]
    return sorted(found, key=lambda question: -_information(question, labels, probabilities))


def _information(question: Question, labels: Sequence[str], probabilities: NDArray[np.floating]) -> float:
    yes = np.array([question.chance_of_yes(label) for label in labels])
    both = np.stack([yes, 1 - yes]) * probabilities
    answer = both.sum(axis=1, keepdims=True)
    return float((both * np.log(np.maximum(both, 1e-12) / np.maximum(answer * probabilities, 1e-12))).sum())


class TriageModel(Protocol):
    """A text classifier with calibrated probabilities."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself; `labels` is in the order of the columns below."""

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities, (texts, labels), float32, rows sum to 1."""

    def unknown(self, texts: Sequence[str]) -> Floats:
        """The share of each text's words that its vocabulary does not hold, (texts,), float64."""

    def evidence(self, text: str, label: int) -> tuple[Evidence, ...]:
        """The stretches of `text` that speak for the label with that index, strongest first."""


def load_model(model: str | Bundle, device: Device = Device.CPU) -> TriageModel:
    """Load a model, by id, path, hub id or bundle; `BundleError` where it is damaged or not for triage."""
    bundle = model if isinstance(model, Bundle) else resolve(model, Task.TRIAGE)
    match bundle.manifest.kind:
        case "linear":
            from tetkik.triage.linear.model import LinearModel

            return LinearModel.load(bundle)
        case "transformer":
            from tetkik.triage.transformer import OnnxTransformer

            return OnnxTransformer.load(bundle, device)
        case other:
            raise BundleMismatch(
                "{path} is a triage model of kind {kind}, which this Tetkik does not know; update Tetkik.",
                path=bundle.path,
                kind=other,
            )


_BATCH = 1024
_DIGITS = 6
_TRIED = 4
"""Questions whose answers are tried on the model, at most."""
_LONGEST_ASKED = 2_000
"""Characters of a text about which a question is asked: in a longer one a sentence more changes little."""


@dataclass(frozen=True, slots=True)
class Triage:
    """A model with everything around it."""

    model: TriageModel
    language: Language = Language.TR
    max_text_chars: int = 20_000
    """Most characters of a complaint that are read."""
    reader: UrgencyReader | None = None
    """The model of urgency beside the rules; None for the rules alone."""
    in_hospital: bool = False
    """Whether whoever reads the answers is in a hospital, with its emergency department at hand."""
    priors: Floats | None = None
    """(labels,): how many times as often as in the model's data each department is the right one here."""

    @property
    def name(self) -> str:
        """Id and version of the model."""
        return self.model.manifest.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The departments, in the order of the columns of `scores`."""
        return self.model.manifest.labels

    @property
    def abstain_threshold(self) -> float | None:
        """The probability under which no department is named."""
        return self.model.manifest.thresholds.get("abstain")

    @property
    def trained_on(self) -> str | None:
        """`data.fingerprint` of the training rows, where the bundle tells it."""
        return self.model.manifest.training.get("data_sha256")

    def scores(self, texts: Sequence[str]) -> Floats:
        """The probabilities of the answers, (texts, labels), to 6 decimals; NaN for a text that cannot be
        read.
        """
        return self._scores([self._read(text) for text in texts])

    def predict(self, text: str, *, denied: Sequence[str] = ()) -> TriageResult:
        """The answer to one complaint; questions whose ids are `denied` are not asked again."""
        reading = self._read(text)
        return self._answer(reading, self._scores([reading])[0], denied)

    def predict_many(self, texts: Iterable[str]) -> Iterator[TriageResult]:
        """The answers to many complaints, in order, read and scored in batches."""
        remaining = iter(texts)
        while batch := [self._read(text) for text in islice(remaining, _BATCH)]:
            for reading, row in zip(batch, self._scores(batch), strict=True):
                yield self._answer(reading, row)

    def urgency(self, text: str) -> Urgency:
        """How soon the patient should be seen; of a text that cannot be read, by the rules alone.

        The level is None where it cannot be read and no rule of red or yellow fired.
        """
        return self._urgency(self._read(text))

    def measure(self, text: str) -> MeasuredComplaint:
        """What one complaint is like; apart from `predict`, for what is typed is not measured until kept."""
        unread = unreadable_reason(text, most_characters=self.max_text_chars) is not None
        return MeasuredComplaint(
            words=len(text.split()),
            plain=not turkish.has_own_letter(text),
            unknown=None if unread else float(self.model.unknown([text])[0]),
        )

    def _read(self, text: str) -> _Reading:
        unreadable = unreadable_reason(text, most_characters=self.max_text_chars)
        return _Reading(text, unreadable, unreadable is None and is_child(turkish.fold(text)))

    def _scores(self, readings: Sequence[_Reading]) -> Floats:
        readable = [number for number, reading in enumerate(readings) if reading.unreadable is None]
        scores = np.full((len(readings), len(self.labels)), np.nan)
        if readable:
            scores[readable] = self.model.probabilities([readings[number].text for number in readable])
            if self.priors is not None:
                scores *= self.priors
                scores /= scores.sum(axis=1, keepdims=True)
            for number in readable:
                adjust_for_age(scores[number], self.labels, child=readings[number].child)
        return np.round(scores, _DIGITS, out=scores)

    def _urgency(self, reading: _Reading) -> Urgency:
        # A text too long to be read is still looked through for red flags, as far as is allowed.
        text, readable = reading.text[: self.max_text_chars], reading.unreadable is None
        found = assess(text, language=self.language, reader=self.reader if readable else None)
        silent = found.level is UrgencyLevel.YESIL and not readable
        return replace(found, level=None) if silent else found

    def _answer(self, reading: _Reading, row: Floats, denied: Sequence[str] = ()) -> TriageResult:
        text = reading.text
        urgency = self._urgency(reading)
        if reading.unreadable is not None:
            sentence = translate(reading.unreadable.value, self.language)
            to = self._destination(urgency, None)
            return TriageResult(text, (), urgency, True, sentence, None, (), self.name, destination=to)
        order = np.argsort(-row, kind="stable").tolist()
        departments = tuple(self._department(self.labels[i], float(row[i]), reading.child) for i in order)
        threshold = self.abstain_threshold
        abstain = threshold is not None and departments[0].probability < threshold
        reason: str | None = None
        question: Question | None = None
        if abstain:
            if urgency.level is not UrgencyLevel.KIRMIZI and len(text) <= _LONGEST_ASKED:
                question = self._question(reading, row, order, denied)
            reason = translate(
                "No department is likely enough ({first} {percent}%); ask the question and add the answer."
                if question is not None
                else "No department is likely enough ({first} {percent}%).",
                self.language,
                first=departments[0].name,
                percent=round(100 * departments[0].probability),
            )
        elif reading.child and departments[0].name == PEDIATRICS:
            reason = translate(
                "The patient is a child, so Pediatri comes before the department for adults.", self.language
            )
        evidence = self.model.evidence(text, order[0])
        return TriageResult(
            text,
            departments,
            urgency,
            abstain,
            reason,
            question.text[self.language] if question is not None else None,
            evidence,
            self.name,
            question.id if question is not None else None,
            reading.child,
            destination=self._destination(urgency, None if abstain else departments[0]),
        )

    def _question(
        self, reading: _Reading, row: Floats, order: Sequence[int], denied: Sequence[str]
    ) -> Question | None:
        """The most telling question of which an answer, added to the text, changes the first two."""
        folded = turkish.fold(reading.text)
        known = ["child"] if reading.child or read_age(folded) is not None else []
        # A department no likelier than it is anyway is not what the text speaks of.
        likelier = np.where(row > self._usual, row, 0.0)
        for question in open_questions(folded, self.labels, likelier, leave_out=[*known, *denied])[:_TRIED]:
            answered = [self._read(f"{reading.text}. {answer.sentence}") for answer in question.answers]
            first_two = np.argsort(-self._scores(answered), axis=1, kind="stable")[:, :2]
            if (first_two != order[:2]).any():
                return question
        return None

    @property
    def _usual(self) -> Floats:
        """(labels,): the share of each department in what the model learned; 0 where it does not say."""
        rows: dict[str, int] = self.model.manifest.training.get("rows_by_label") or {}
        counts = np.array([rows.get(label, 0) for label in self.labels], np.float64)
        usual: Floats = counts / max(counts.sum(), 1.0)
        return usual

    def _destination(self, urgency: Urgency, first: DepartmentScore | None) -> Destination | None:
        if urgency.level is UrgencyLevel.KIRMIZI:
            text = "Emergency department" if self.in_hospital else "Emergency department or 112"
            return Destination(DestinationKind.EMERGENCY, translate(text, self.language))
        if first is None:
            return None
        return Destination(DestinationKind.DEPARTMENT, first.clinic or first.name)

    def _department(self, name: str, probability: float, child: bool) -> DepartmentScore:
        clinic = clinic_of(name, child=child)
        return DepartmentScore(
            name,
            probability,
            clinic.name if clinic else None,
            clinic.referral(self.language) if clinic else None,
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text, why it cannot be read (or None), and whether it tells of a child."""

    text: str
    unreadable: Unreadable | None
    child: bool


def urgency_reader() -> UrgencyReader | None:
    """The model of the setting `triage_urgency_model`; None where that is empty."""
    name = settings().triage_urgency_model
    return UrgencyReader.load(name) if name else None


def load_triage(
    model: str | Bundle | None = None,
    language: Language | None = None,
    *,
    priors: bool = False,
    urgency: bool = True,
    device: Device | None = None,
) -> Triage:
    """Load a model for use.

    Args:
        model: an id, a path or an opened bundle; None takes the setting `triage_model`.
        language: of the answers; None takes the setting `language`.
        priors: whether the setting `triage_priors` counts, as it does at the desk but in no evaluation.
        urgency: whether the model of urgency is loaded, too; else the rules judge alone.
        device: on what a network runs; None takes the setting `device`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
        SettingError: the setting `triage_priors` cannot be used with the model.
    """
    chosen = settings()
    loaded = load_model(chosen.triage_model if model is None else model, device or chosen.device)
    own = chosen.triage_priors if priors else ""
    return Triage(
        loaded,
        language or chosen.language,
        chosen.max_text_chars,
        urgency_reader() if urgency else None,
        priors=read_priors(own, loaded.manifest.labels) if own else None,
    )


def read_priors(written: str, labels: Sequence[str]) -> Floats:
    """The setting `triage_priors`, (labels,), 1 for a department that it does not name.

    Raises:
        SettingError: an unknown department, or no number from 0.01 to 100 behind it.
    """
    found = np.ones(len(labels))
    for pair in written.split(","):
        name, _, number = (part.strip() for part in pair.partition("="))
        try:
            found[labels.index(name)] = float(number)
        except ValueError:
            found[:] = np.nan
        if not (found.min() >= 0.01 and found.max() <= 100):
            raise SettingError(
                "The setting triage_priors cannot be used at {pair}; write a department of the model and a "
                "number from 0.01 to 100, such as Kardiyoloji=2.",
                pair=pair.strip(),
            )
    return found
