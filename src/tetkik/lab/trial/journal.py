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
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from tetkik.errors import DataError, UsageError
from tetkik.files import written_whole
from tetkik.lab.trial.limits import FixedLimits, read_limits
from tetkik.language import Sentence

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
