"""Runs, reviews and signatures as they stand after weeks of work, written straight into the tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from tests.records.kit import made_case, made_user
from tetkik.records.database import Records
from tetkik.records.ids import new_id
from tetkik.records.schema import Case, FindingReview, Image, Job, Report, ReportVersion, Run, Score, Study
from tetkik.values import Capability, JobState, Judgement, ReportState, Role, RunState

BUNDLE = "findings-mobilenet-cxr 1.1"


class Work:
    """One case with as many images and reports as a test wants.

    Args:
        records: to fill.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self.radiologist = made_user(records, Role.RADIOLOGIST)
        self.case = made_case(records, self.radiologist)
        self._images = 0
        with records.write(self.radiologist) as tx:
            case = tx.session.get(Case, self.case)
            assert case is not None
            self.patient = case.patient_id

    def run(
        self,
        scores: Mapping[str, float],
        *,
        days_ago: float = 0,
        state: RunState = RunState.DONE,
        spacing: str | None = "0.1,0.1",
        modality: str | None = "DX",
        flaws: str = "",
        bundle: str = BUNDLE,
        sha256: str = "0" * 64,
        route: str | None = "chest",
        brightness: float | None = None,
        contrast: float | None = None,
        side: int = 80,
    ) -> str:
        """An image and what the model said of it; positive from 0.5 on."""
        self._images += 1
        study, image, run = new_id(), new_id(), new_id()
        with self.records.write(self.radiologist) as tx:
            at = tx.now - timedelta(days=days_ago)
            ours = {"case_id": self.case, "patient_id": self.patient}
            tx.session.add(Study(id=study, modality=modality, created_at=at, **ours))
            tx.session.flush()
            tx.session.add(
                Image(
                    id=image,
                    study_id=study,
                    file=f"{self._images:064d}",
                    size=1000,
                    file_format="dicom",
                    rows=side + 20,
                    columns=side,
                    spacing=spacing,
                    created_at=at,
                    **ours,
                )
            )
            tx.session.flush()
            tx.session.add(
                Run(
                    id=run,
                    image_id=image,
                    capability=Capability.FINDINGS,
                    bundle=bundle,
                    bundle_sha256=sha256,
                    state=state,
                    route=route,
                    brightness=brightness,
                    contrast=contrast,
                    flaws=flaws,
                    started_at=at,
                    finished_at=at,
                    **ours,
                )
            )
            tx.session.flush()
            tx.session.add_all(
                Score(run_id=run, label=label, score=score, threshold=0.5, positive=there, asserted=there)
                for label, score in scores.items()
                for there in (score >= 0.5,)
            )
        return run

    def report(self, *, weeks_ago: float = 0, corrected: bool | None = None) -> str:
        """A report of a fresh image, signed where `corrected` is given."""
        run = self.run({}, days_ago=7 * weeks_ago + 0.01)
        report = new_id()
        with self.records.write(self.radiologist) as tx:
            row = tx.session.get_one(Run, run)
            image = tx.session.get_one(Image, row.image_id)
            tx.session.add(
                Report(
                    id=report,
                    case_id=self.case,
                    study_id=image.study_id,
                    image_id=image.id,
                    run_id=run,
                    patient_id=self.patient,
                    state=ReportState.DRAFT,
                    language="tr",
                    writer="composer",
                    created_at=row.started_at,
                    updated_at=row.started_at,
                )
            )
        if corrected is not None:
            self.sign(report, number=1, corrected=corrected)
        return report

    def sign(self, report: str, *, number: int, corrected: bool) -> None:
        """A signed version of a report, a moment ago."""
        with self.records.write(self.radiologist) as tx:
            tx.session.add(
                ReportVersion(
                    id=new_id(),
                    report_id=report,
                    case_id=self.case,
                    patient_id=self.patient,
                    number=number,
                    document=b"sealed",
                    verification="0" * 64,
                    corrected=corrected,
                    created_at=tx.now - timedelta(seconds=5),
                )
            )

    def review(self, report: str, label: str, judgement: Judgement, *, positive: bool | None) -> None:
        """What the radiologist says of a finding, when the report was drafted."""
        with self.records.write(self.radiologist) as tx:
            row = tx.session.get(Report, report)
            assert row is not None
            tx.session.add(
                FindingReview(
                    report_id=report,
                    label=label,
                    run_id=row.run_id,
                    judgement=judgement,
                    model_positive=positive,
                    user_id=self.radiologist.user_id,
                    at=row.created_at,
                )
            )

    def job(self, state: JobState, *, minutes_ago: float) -> None:
        """A piece of work in a state."""
        with self.records.write(self.radiologist) as tx:
            at = tx.now - timedelta(minutes=minutes_ago)
            tx.session.add(
                Job(id=new_id(), kind="read_image", case_id=self.case, state=state, priority=1, created_at=at)
            )
