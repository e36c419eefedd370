"""The images and signed reports of the records as the source of a trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from functools import partial

from tetkik.findings.preprocess import ImageOrigin
from tetkik.imaging.image_source import StoredContent
from tetkik.lab.trial.evaluate import TrialReference, parts_of, read_truth
from tetkik.lab.trial.journal import FixedLimits
from tetkik.lab.trial.run import TrialImage
from tetkik.records.database import Records
from tetkik.records.images.images import StoredImage, read_content
from tetkik.records.reports.findings_feedback import SignedStudy, read_signed_page


class RecordedStudies:
    """Studies with a signed report that stands, signed in a period.

    Reports that were drafted from this very model's findings are left out: they are no judge of it.
    """

    kind = "records"

    def __init__(
        self,
        records: Records,
        limits: FixedLimits,
        model: str,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> None:
        self._records = records
        self._limits = limits
        self._model = model
        self._period = (since, until)
        self._reports = 0
        self._left_out: Counter[str] = Counter()

    @property
    def reports(self) -> int:
        return self._reports

    @property
    def left_out(self) -> Mapping[str, int]:
        return +self._left_out

    def images(self, done: Container[str]) -> Iterator[TrialImage]:
        self._reports, self._left_out, after = 0, Counter(), ""
        while (
            page := read_signed_page(self._records, after, self._limits.sha256, *self._period)
        ) is not None:
            self._left_out += page.left_out
            after = page.last
            for study in page.studies:
                if study.model == self._model:
                    self._left_out["same_model"] += 1
                    continue
                self._reports += 1
                reference = self._read(study)
                self._left_out["empty"] += not reference.truth
                for key, image in study.images:
                    if key not in done:
                        content = StoredContent(f"image {key}", partial(self._load, image))
                        yield TrialImage(key, content, reference)

    def _read(self, study: SignedStudy) -> TrialReference:
        parts = parts_of(
            date=f"{study.signed_at:%Y-%m-%d}",
            language=study.language,
            reader="alone" if study.model is None else "assisted",
        )
        truth = read_truth(study.text, study.language, self._limits.limits)
        return TrialReference(study.study, truth, study.patient, parts)

    def _load(self, image: StoredImage) -> bytes:
        with self._records.read() as tx:
            return read_content(tx, image)

    def reference(self, image: TrialImage, origin: ImageOrigin | None) -> TrialReference | None:
        return image.reference

    def pseudonym(self, patient: str) -> str:
        return patient  # the records' own pseudonym
