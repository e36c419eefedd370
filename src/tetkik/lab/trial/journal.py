"""The folder of a trial: what was fixed at its start, and a line for each image as it was answered.

trial.json    the hashes of limits, model and reports, written before the first image is read
limits.yaml   a copy of the limits
images.jsonl  one answer a line; pseudonyms, parts, labels and scores, nothing that identifies
.key          of an archive's pseudonyms; removed when every image was answered
evaluations.jsonl  when figures were computed of how many images, and what was decided
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import IO, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tetkik.errors import DataError, MissingExtra, UsageError
from tetkik.files import written_whole
from tetkik.lab.engine.options import load_yaml, read_yaml
from tetkik.language import Language, Sentence
from tetkik.settings import validation_fault
from tetkik.statistics.intervals import Z95

# What is fixed before a trial: the model, how reports are read, and the limits of go and no-go.


Share = Annotated[float, Field(ge=0, le=1)]
Statements = dict[Annotated[str, StringConstraints(max_length=10)], str]


class _Part(BaseModel):
    # A mistyped key must not pass for a limit that is kept.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class LabelLimit(_Part):
    """What the lower end of each 95% interval has to reach; None where nothing is asked of a figure."""

    sensitivity: Share | None = None
    specificity: Share | None = None
    auroc: Share | None = None
    positives: Annotated[int, Field(ge=1)] = 30
    """Studies with the finding, below which nothing is decided."""


class PartLimit(_Part):
    """What the interval of no part may lie below, all limited labels together."""

    sensitivity: Share | None = None


class StatementLimits(_Part):
    """What only the hospital can say, by the number of the item."""

    claim: Statements = {}
    decide_ai: Statements = {}


class Limits(_Part):
    """The content of `limits.yaml`."""

    model: str
    """Id and version, as `tetkik findings predict` prints them."""
    limits: Annotated[dict[str, LabelLimit], Field(min_length=1)]
    answered: Share = 0.9
    """Share of the studies with images that the model has to answer."""
    unmentioned: Literal["absent", "unknown"] = "absent"
    uncertain: Literal["unknown", "present", "absent"] = "unknown"
    """`unmentioned`, `uncertain`: what a finding is that a report does not name, or neither asserts nor
    denies."""
    parts: PartLimit = PartLimit()
    statements: StatementLimits = StatementLimits()


@dataclass(frozen=True, slots=True)
class FixedLimits:
    """Limits with the bytes that they were read from."""

    limits: Limits
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def read_limits(path: Path) -> FixedLimits:
    """Read `limits.yaml`.

    Raises:
        DataError: it is no YAML, or a key or value of it cannot be.
        OSError: the file cannot be opened.
    """
    found, content = read_yaml(path)
    try:
        limits = Limits.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(
            "{path}, {key}: {fault}; correct it.",
            path=path,
            key=".".join(map(str, first["loc"])) or "-",
            fault=_fault(first),
        ) from None
    for label, limit in limits.limits.items():
        if (limit.sensitivity, limit.specificity, limit.auroc) == (None, None, None):
            raise DataError(
                "{path}, limits.{label} asks for no figure; give sensitivity, specificity or auroc.",
                path=path,
                label=label,
            )
    return FixedLimits(limits, content)


def _fault(error: Any) -> Sentence | str:
    match error["type"]:
        case "extra_forbidden":
            return Sentence("there is no such key")
        case "missing":
            return Sentence("it is missing")
        case _:
            return validation_fault(error)


def limits_yaml(model: str, limits: Mapping[str, LabelLimit], language: Language) -> str:
    """The text of a `limits.yaml` to begin with."""
    words = _COMMENT.in_language(language)
    content = {
        "model": model,
        "unmentioned": "absent",
        "uncertain": "unknown",
        "answered": 0.9,
        "limits": {label: one.model_dump(exclude_none=True) for label, one in limits.items()},
        "parts": {},
        "statements": {"claim": {}, "decide_ai": {}},
    }
    comment = "".join(f"# {line}\n" for line in words.splitlines())
    text: str = load_yaml().safe_dump(content, allow_unicode=True, sort_keys=False)
    return comment + text


_COMMENT = Sentence(
    "Limits of a silent trial. Fix them before `tetkik trial run`, which keeps their SHA-256 and goes on "
    "with no others.\nThe lower end of each 95% interval has to reach its limit; `positives` is how many "
    "studies with the finding it takes.\n`unmentioned`: absent or unknown; `uncertain`: unknown, present or "
    "absent.\n`parts: {{sensitivity: 0.7}}`: no site, device, sex, age, quarter, language or reader may lie "
    "below it.\n"
    "`statements`: what only you can say for CLAIM 2024 and DECIDE-AI, by item: `claim: {{34: no "
    "registration}}`."
)


# How many studies a trial needs to be likely to end in a decision.


@dataclass(frozen=True, slots=True)
class Needed:
    """Studies that one label needs; None where no report has the finding, or none was given."""

    label: str
    positives: int
    negatives: int
    prevalence: float | None

    @property
    def studies(self) -> int | None:
        if self.prevalence is None or not 0 < self.prevalence < 1:
            return None
        return math.ceil(max(self.positives / self.prevalence, self.negatives / (1 - self.prevalence)))


def needed_for(share: float, limit: float, power: float) -> int:
    """From how many trials on the 95% interval (Wilson) lies at or above `limit` with probability `power`.

    Args:
        share: of success, above `limit`.
    """
    try:
        from scipy.stats import binom
    except ImportError:
        raise MissingExtra("A plan needs {package}; `{extra}`.", extra="train", package="scipy") from None
    spread, own = (math.sqrt(value * (1 - value)) for value in (limit, share))
    about = ((Z95 * spread + NormalDist().inv_cdf(power) * own) / (share - limit)) ** 2
    trials = np.arange(1, int(1.5 * about) + 100)
    # Wilson's interval holds the shares that the score test does not refuse.
    least = np.ceil(trials * limit + Z95 * spread * np.sqrt(trials))
    # With one trial more it may be less likely again, as successes are whole numbers.
    short = np.flatnonzero(binom.sf(least - 1, trials, share) < power)
    return int(trials[short[-1]]) + 1 if len(short) else 1


def plan(
    labels: Sequence[str],
    sensitivity: float,
    specificity: float,
    margin: float,
    power: float,
    truths: Iterable[Mapping[str, int]] = (),
) -> tuple[list[Needed], dict[str, LabelLimit]]:
    """What each label needs, and limits to begin with: what is expected, less `margin`.

    Args:
        power: with which probability a model that is as expected reaches each limit.
        truths: what earlier reports say, for the prevalence.
    """
    known: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for truth in truths:
        known.update(truth.keys())
        present.update(label for label, value in truth.items() if value)
    limits = [round(max(0.0, share - margin), 4) for share in (sensitivity, specificity)]
    positives = needed_for(sensitivity, limits[0], power)
    negatives = needed_for(specificity, limits[1], power)
    needed = [
        Needed(label, positives, negatives, present[label] / known[label] if known[label] else None)
        for label in labels
    ]
    limit = LabelLimit(sensitivity=limits[0], specificity=limits[1], positives=positives)
    return needed, dict.fromkeys(labels, limit)


TRIAL, LIMITS, IMAGES, KEY = "trial.json", "limits.yaml", "images.jsonl", ".key"
EVALUATIONS = "evaluations.jsonl"
_DIGITS = 16
"""Hexadecimal digits of a pseudonym: 64 bits."""
_CHANGED = {
    "limits_sha256": Sentence("the limits are not those that were fixed before it"),
    "model": Sentence("the model is another one"),
    "model_sha256": Sentence("the files of the model have changed"),
    "source": Sentence("it began on another source"),
    "reports_sha256": Sentence("the table of reports has changed"),
    "period": Sentence("the period is another one"),
}


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a trial is fixed to."""

    limits_sha256: str
    model: str
    model_sha256: str
    source: str
    thresholds: Mapping[str, tuple[float, str]]
    """By label: the threshold, and what it is compared with."""
    reports_sha256: str = ""
    tells_learned: bool = False
    """Whether the model tells which images it learned."""
    period: str = ""
    """Of the records: the first and the last day, as they were given."""


class Journal:
    """The folder of one trial, opened for one run."""

    def __init__(self, folder: Path, about: dict[str, Any], limits: FixedLimits) -> None:
        self.folder = folder
        self.about = about
        self.limits = limits
        self._secret = b""

    @classmethod
    def begin(cls, folder: Path, beginning: Beginning, limits: FixedLimits) -> Self:
        """Fix a trial before its first image, or go on with the one that the folder holds.

        Raises:
            UsageError: the folder holds a trial with other limits, another model, other reports or days.
        """
        if (folder / TRIAL).exists():
            journal = cls.open(folder)
            for name, reason in _CHANGED.items():
                if journal.about.get(name, "") != getattr(beginning, name):
                    raise UsageError(
                        "The trial in {folder} cannot go on: {reason}; put it back, or begin another trial "
                        "in another folder.",
                        folder=folder,
                        reason=reason,
                    )
            if journal.finished:  # it may have been stopped before it removed the key
                (folder / KEY).unlink(missing_ok=True)
            return journal
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / LIMITS) as file:
            file.write(limits.content)
        journal = cls(folder, asdict(beginning), limits)
        journal._write_about()
        return journal

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The trial in a folder.

        Raises:
            DataError: there is none, or its limits are no longer those that it was fixed to.
        """
        try:
            about = json.loads((folder / TRIAL).read_text("utf-8"))
            fixed = about["limits_sha256"]
        except (FileNotFoundError, KeyError, TypeError, UnicodeDecodeError, ValueError):
            raise DataError(
                "{folder} holds no trial; give the --out of tetkik trial run.", folder=folder
            ) from None
        limits = read_limits(folder / LIMITS)
        if limits.sha256 != fixed:
            raise DataError(
                "{file} was changed after the trial began, so that its limits are no longer those fixed "
                "beforehand; put back the file that it was.",
                file=folder / LIMITS,
            )
        return cls(folder, about, limits)

    def resume(self) -> None:
        """Keep that not every image was answered."""
        if self.finished:
            self.about["finished"] = False
            self._write_about()

    def finish(self, reports: int, left_out: Mapping[str, int]) -> None:
        """Keep that every image was answered; from then on no pseudonym of an archive can be traced back."""
        self.about |= {"finished": True, "reports": reports, "left_out": dict(left_out)}
        self._write_about()
        (self.folder / KEY).unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        return bool(self.about.get("finished"))

    def pseudonym(self, what: str, name: str) -> str:
        """A keyed digest, the same in every run until the trial is finished.

        Raises:
            DataError: there are answers, and the key of their pseudonyms is gone.
        """
        return hmac.new(
            self._key(), f"{what}:{name}".encode(errors="surrogateescape"), hashlib.sha256
        ).hexdigest()[:_DIGITS]

    def _key(self) -> bytes:
        file = self.folder / KEY
        if not self._secret:
            if not file.exists():
                if next(self.lines(), None) is not None:
                    raise DataError(
                        "{folder} has answers and lacks the file .key, so its images would be counted twice; "
                        "put the file back, or begin the trial in another folder.",
                        folder=self.folder,
                    )
                with written_whole(file, mode=0o600) as made:
                    made.write(secrets.token_bytes(32))
            self._secret = file.read_bytes()
        return self._secret

    def done(self) -> frozenset[str]:
        """The images that were answered."""
        return frozenset(line["image"] for line in self.lines())

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every answer, in order."""
        return self._lines(self.folder / IMAGES)

    def evaluations(self) -> tuple[dict[str, Any], ...]:
        """When figures were computed, of how many images, and what was decided."""
        return tuple(self._lines(self.folder / EVALUATIONS))

    def add_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        with _appending(self.folder / EVALUATIONS) as file:
            file.write(json.dumps(evaluation) + "\n")

    def _lines(self, path: Path) -> Iterator[dict[str, Any]]:
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):  # the last may have been cut off with the run, in mid-letter
                        yield json.loads(line)
        except FileNotFoundError:
            return
        except (ValueError, RecursionError):
            raise DataError(
                "{file} was damaged; restore it, or begin the trial in another folder.", file=path
            ) from None

    def appending(self) -> IO[str]:
        """The file of answers, open at the end of its last whole line."""
        return _appending(self.folder / IMAGES)

    def _write_about(self) -> None:
        with written_whole(self.folder / TRIAL) as file:
            file.write((json.dumps(self.about, ensure_ascii=False, indent=1) + "\n").encode())


def _appending(path: Path) -> IO[str]:
    if path.exists():
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            tail = min(size, 1 << 20)
            file.seek(size - tail)
            rest = len(file.read(tail).rpartition(b"\n")[2])
            file.truncate(size - rest)
    return path.open("a", encoding="utf-8", newline="\n")
