"""Where a trial's images and reports come from, and what an archive on the disk makes of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tetkik.errors import TetkikError
from tetkik.findings.preprocess import ImageOrigin
from tetkik.imaging.dicom import is_dicom, parse_dicom
from tetkik.imaging.image_source import Source
from tetkik.imaging.limits import read_file
from tetkik.imaging.read import one_file
from tetkik.imaging.tags import equipment_of, identity_of
from tetkik.lab.trial.reference import Reference, ReportTable

_NO_IMAGES = frozenset({".csv", ".tsv", ".gz", ".txt", ".json", ".xml", ".md", ".html", ".pdf", ".yaml"})


@dataclass(frozen=True, slots=True)
class TrialImage:
    """One image: its pseudonym, its content, and its report where that is known before it is read."""

    key: str
    content: Source = field(repr=False)
    reference: Reference | None = field(default=None, repr=False)


def header_of(content: Source) -> ImageOrigin | None:
    """Whose image a file is that could not be read as one; None where its header is damaged, too."""
    if not isinstance(content, Path):
        return None
    try:
        with one_file(str(content)):
            data = read_file(content)
            if not is_dicom(data):
                return None
            dataset, _ = parse_dicom(data, str(content))
            return ImageOrigin(identity_of(dataset), equipment_of(dataset), None)
    except TetkikError:
        return None


class TrialSource(Protocol):
    """What a trial runs on."""

    kind: str
    """`archive` or `records`."""

    @property
    def reports(self) -> int:
        """Studies with a report, known when all images were taken."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Studies or reports that were not compared, by reason; known when all images were taken."""

    def images(self, done: Container[str]) -> Iterator[TrialImage]:
        """Every image but those `done`, as they are needed."""

    def reference(self, image: TrialImage, origin: ImageOrigin | None) -> Reference | None:
        """The report about an image; None where there is none."""

    def pseudonym(self, patient: str) -> str:
        """What a patient is called in the trial."""


class Archive:
    """A folder of images, and the table of their reports.

    Args:
        pseudonym: of a kind of thing and its name, keyed; only so is it kept.
    """

    kind = "archive"

    def __init__(self, folder: Path, table: ReportTable, pseudonym: Callable[[str, str], str]) -> None:
        self._folder = folder
        self._table = table
        self._pseudonym = pseudonym

    @property
    def reports(self) -> int:
        return len(self._table.by_study)

    @property
    def left_out(self) -> Mapping[str, int]:
        return +Counter(empty=self._table.empty, broken=self._table.broken)

    def images(self, done: Container[str]) -> Iterator[TrialImage]:
        for folder, folders, files in os.walk(self._folder):
            folders.sort()
            for name in sorted(files):
                path = Path(folder, name)
                if name.startswith(".") or name == "DICOMDIR" or path.suffix.lower() in _NO_IMAGES:
                    continue
                key = self._pseudonym("image", path.relative_to(self._folder).as_posix())
                if key not in done:
                    yield TrialImage(key, path)

    def reference(self, image: TrialImage, origin: ImageOrigin | None) -> Reference | None:
        """By what the file says of its study; where it says nothing, by its path, name or folder."""
        assert isinstance(image.content, Path)
        path = image.content.relative_to(self._folder)
        identity = origin.identity if origin is not None else None
        names = [path.as_posix()]
        if identity is not None and (identity.accession or identity.study_uid):
            names += [name for name in (identity.accession, identity.study_uid) if name]
        else:
            names += [path.name, path.stem, path.parent.name]
        return next((self._table.by_study[name] for name in names if name in self._table.by_study), None)

    def pseudonym(self, patient: str) -> str:
        return self._pseudonym("patient", patient)
