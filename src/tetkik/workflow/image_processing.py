"""From an image in the records to its findings, its heatmaps and its draft: the only path.

Everything that a model says of an image is kept in one transaction at the end, together with the word that
the work is done: after a crash it is all there, or the work waits for the next worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

from tetkik.errors import InputError, NotFound, TetkikError
from tetkik.language import Sentence
from tetkik.records.cases import cases, complaints
from tetkik.records.cases.locks import lock_reports
from tetkik.records.cases.patients import records_of
from tetkik.records.database import Records, Transaction
from tetkik.records.files import StoredFile
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import DerivedImageKind, StoredImage
from tetkik.records.images.jobs import ImageJob, JobKind
from tetkik.records.images.runs import ModelAnswer, ModelRun
from tetkik.records.reports import drafts, reviews, signing
from tetkik.records.reports.drafts import MachineDraft
from tetkik.records.reports.identity import identity_for
from tetkik.records.schema import Case
from tetkik.rules.marks import as_judged
from tetkik.settings import Settings
from tetkik.values import (
    SYSTEM,
    Draft,
    FindingsResult,
    Identity,
    Priority,
    Radiograph,
    ReportContent,
    ReportDocument,
    ReportState,
    Route,
    RunState,
    View,
    join_results,
    lead_image,
)
from tetkik.workflow.images import load_findings_model, png_of
from tetkik.workflow.reports import (
    ImageAnalysis,
    Reported,
    analyse_image,
    audit_sending,
    draft_from_analysis,
    hospital_of,
)

_VEIL = 256
"""Longer side of a heatmap, in pixels: the map of a network is far coarser, and a viewer enlarges it."""


class ProcessingStage(StrEnum):
    """How far the work on an image is."""

    READING = "reading"
    FINDING = "finding"
    DRAFTING = "drafting"
    WRITING = "writing"
    """A language model writes; its words come along."""
    KEEPING = "keeping"


ReportProgress = Callable[[ProcessingStage, str], None]
"""Called with each stage, and at `WRITING` with the text of a language model as it comes."""


@dataclass(frozen=True, slots=True)
class _CaseContext:
    """What the records know before a model looks; the file adds to the identity."""

    image: StoredImage
    filed: Identity
    """As the file says it."""
    identity: Identity
    history: str


@dataclass(frozen=True, slots=True)
class _StudyContext:
    """A study of which no other image waits for a model: what the models say of each of its images."""

    results: Mapping[str, FindingsResult]
    images: tuple[StoredImage, ...]
    """All of them, also those that no model could read."""
    lead: _CaseContext
    lead_run: ModelRun | None
    """The answer about the leading image, where that is not the one of the work."""
    prior: FindingsResult | None

    @property
    def technique(self) -> str | None:
        """The projections that a model read, such as `PA`, or several slices; None where no file tells.

        Where it read none, those that there are.
        """
        if sum(result.route is Route.BRAIN_MRI for result in self.results.values()) > 1:
            from tetkik.report.composer.compose import SLICES

            return SLICES
        read = {image_id for image_id, result in self.results.items() if result.suitable}
        there = {image.view for image in self.images if image.id in read or not read}
        return ", ".join(view.value for view in View if view in there) or None


def read_case_image(
    records: Records,
    settings: Settings,
    work: ImageJob,
    read: Callable[[StoredImage, int | None], Radiograph],
    report_progress: ReportProgress | None = None,
) -> None:
    """Do one piece of work: find, draw, and keep it; an error is that of this attempt.

    The last image of a study drafts its report from what was found in all of them. A draft that a person has
    changed, and a report that is signed, keep their words; the run is kept beside them. `read` gives the
    pixels of an image, of that frame, counted from 1, or of the middle one.
    """
    report_progress = report_progress or _ignore_progress
    started = datetime.now(UTC)
    report_progress(ProcessingStage.READING, "")
    with records.read() as tx:
        context = _load_context(tx, work.image_id)
    image = read(context.image, work.frame)
    model = work.model or settings.findings_model
    report_progress(ProcessingStage.FINDING, "")
    analysis = _analyse(image, context, model, settings)
    answer = ModelAnswer(
        analysis.result.model, analysis.sha256, started, analysis.result, _frame(work, context.image)
    )
    with records.read() as tx:
        study = _load_study(tx, work, context, analysis.result)
        heats = _stored_heats(tx, context.image, analysis)
    reported = None
    if study is not None:
        report_progress(ProcessingStage.DRAFTING, "")
        if study.lead.image.id != context.image.id:
            image = read(study.lead.image, study.lead_run.frame if study.lead_run is not None else None)
            analysis = _analyse(image, study.lead, model, settings)
        reported = _draft(records, settings, study, analysis, report_progress)
        # The file itself may declare a wrong character set.
        document = replace(reported.document, identity=study.lead.filed)
        reported = replace(reported, document=document)
    report_progress(ProcessingStage.KEEPING, "")
    with records.write(SYSTEM) as tx:
        _keep(tx, work, answer, heats, study, reported)


def _analyse(image: Radiograph, context: _CaseContext, model: str, settings: Settings) -> ImageAnalysis:
    known = replace(image, identity=_with_age(context.identity))
    return analyse_image(known, context.image.id, model=model, language=settings.report_language)


def _frame(work: ImageJob, image: StoredImage) -> int | None:
    """The frame that the work is about; None for an image of one."""
    return (work.frame or image.middle) if image.frames > 1 else None


def _load_context(tx: Transaction, image_id: str) -> _CaseContext:
    image = images.load_image(tx, image_id)
    case = tx.session.get_one(Case, image.case_id)
    complaint_row = complaints.load_complaint(tx, case.id)
    complaint = complaint_row.result.text if complaint_row is not None else ""
    filed = images.load_metadata(tx, image).identity
    identity = identity_for(tx, image.patient_id, filed)
    return _CaseContext(image, filed, identity, _in_one(tx.open_text(case, "question"), complaint))


def _in_one(*sentences: str) -> str:
    """What was asked and said, each as a whole sentence, so that the report quotes no ragged line."""
    parts = (part.strip() for part in sentences)
    return " ".join(part if part[-1] in ".!?…" else f"{part}." for part in parts if part)


def _with_age(identity: Identity) -> Identity:
    """The identity with the age at the study, or today, where the file does not tell it.

    The gate warns of a patient younger or older than those that the model was trained on.
    """
    if identity.age_years is not None or not identity.birth_date:
        return identity
    try:
        born = datetime.strptime(identity.birth_date, "%Y%m%d")
        at = datetime.strptime(identity.study_date or f"{datetime.now(UTC):%Y%m%d}", "%Y%m%d")
    except ValueError:
        return identity
    age = (at - born).days / 365.2425
    return replace(identity, age_years=round(age, 2)) if 0 <= age < 130 else identity


def _load_study(
    tx: Transaction, work: ImageJob, context: _CaseContext, result: FindingsResult
) -> _StudyContext | None:
    """The study of an image with the answer just given; None where others of it still wait for a model."""
    image = context.image
    # Before all images are loaded: a CT has hundreds, and each slice comes by here.
    if jobs.has_open_jobs(tx, image.study_id, but=work.id):
        return None
    there = drafts.images_of_report(tx, image)
    if image.id not in {one.id for one in there}:  # removed meanwhile
        return None
    known = runs.load_study_results(tx, image.study_id) | {image.id: result}
    results = {one.id: known[one.id] for one in there if one.id in known}
    lead = lead_image(results)
    run = None
    if lead != image.id:
        answered = (one for one in runs.list_runs(tx, lead) if one.state is not RunState.FAILED)
        context, run = _load_context(tx, lead), next(answered, None)
    return _StudyContext(results, there, context, run, _prior(tx, context, join_results(results)))


def _prior(tx: Transaction, context: _CaseContext, result: FindingsResult) -> FindingsResult | None:
    """What is known of the patient's last study of the same kind, taken before this one."""
    if not result.suitable:
        return None
    image, date = context.image, context.filed.study_date
    for run in runs.list_earlier_runs(tx, image):
        if run.route is not result.route:
            continue
        there = images.load_image(tx, run.image_id)
        earlier = images.load_metadata(tx, there).identity.study_date
        if date and earlier and earlier > date:
            continue  # an old film that came late
        results = runs.load_study_results(tx, there.study_id)
        previous = join_results(results) if run.image_id in results else runs.load_result(tx, run.id)
        if previous.sha256 != result.sha256:
            # As a radiologist has judged it: what they rejected does not persist.
            report_id = drafts.report_of_image(tx, run.image_id)
            return previous if report_id is None else as_judged(previous, reviews.judged(tx, report_id))
    return None


def _draft(
    records: Records,
    settings: Settings,
    study: _StudyContext,
    analysis: ImageAnalysis,
    report_progress: ReportProgress,
) -> Reported:
    """The draft about a study; `analysis` is of the image that stands for it.

    The picture of the image comes with the signature, or when the draft is printed.
    """
    from tetkik.report.llm import open_model

    lead, result = study.lead, join_results(study.results)

    def draft(file: str | None) -> Reported:
        return draft_from_analysis(
            replace(analysis, result=result),
            settings,
            history=lead.history,
            captioned=file,
            prior=study.prior,
            technique=study.technique,
            writer=open_model(settings.llm_url),
            on_text=lambda text: report_progress(ProcessingStage.WRITING, text),
            with_image=False,
            before_sending=partial(audit_sending, records, SYSTEM, lead.image),
        )

    if settings.caption_model is None:
        return draft(None)
    # A captioner reads the file by its path; in memory where there is such a folder, and for no longer.
    with records.read() as tx:
        key = tx.key(lead.image.patient_id)
    with records.files.plain(key, lead.image.file) as path:
        return draft(str(path))


def _sha256(model: str) -> str:
    try:
        return load_findings_model(model).sha256
    except TetkikError:
        return ""  # it is the reason why there is no answer


def _stored_heats(tx: Transaction, image: StoredImage, analysis: ImageAnalysis) -> dict[str, StoredFile]:
    """The heatmaps on the disk, by label, before the transaction for which others wait."""
    from tetkik.findings.heatmaps import veil

    return {
        heat.finding.label: images.store_derived_image(tx, image, png_of(veil(heat.values, _VEIL)))
        for heat in analysis.heats
    }


def _keep(
    tx: Transaction,
    work: ImageJob,
    answer: ModelAnswer,
    heats: Mapping[str, StoredFile],
    study: _StudyContext | None,
    reported: Reported | None,
) -> None:
    jobs.finish_job(tx, work)
    image = images.load_image(tx, work.image_id)
    lock_reports(tx, records_of(tx, image.patient_id))
    run_id: str | None = runs.add_run(tx, image, answer)
    images.replace_derived_images(tx, image, DerivedImageKind.HEAT, heats)
    # Images may have come, gone, or been moved while the draft was written.
    if study is None or reported is None or _ids(study.images) != _present(tx, image):
        _let_draft(tx, image)
        signing.settle_case(tx, image.case_id)
        return
    lead = study.lead.image
    if lead.id != image.id:
        run_id = study.lead_run.id if study.lead_run is not None else None
    there = _ids(study.images)
    inputs = reported.drafted.facts.inputs
    made = MachineDraft(_with_unread(reported.document, study), run_id, there, inputs, reported.prior)
    drafts.write_machine_draft(tx, lead.id, made)
    _compare_again(tx, study.lead, reported)
    signing.settle_case(tx, image.case_id)


def _present(tx: Transaction, image: StoredImage) -> tuple[str, ...]:
    return _ids(drafts.images_of_report(tx, image))


def _ids(found: Sequence[StoredImage]) -> tuple[str, ...]:
    return tuple(image.id for image in found)


def _let_draft(tx: Transaction, image: StoredImage) -> None:
    """Where nobody else drafts the report of a study, let this image be read again, which drafts it.

    Two workers may finish the last two images of a study at one moment, each leaving the draft to the other.
    """
    case = tx.session.get_one(Case, image.case_id)
    if image.removed_at is None and not case.state.ended and not jobs.has_open_jobs(tx, image.study_id):
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority))


def _with_unread(document: ReportDocument, study: _StudyContext) -> ReportDocument:
    """The draft with a notice of the images beside others that no model read."""
    read = sum(result.suitable for result in study.results.values())
    unread = len(study.images) - read
    if not read or not unread:
        return document
    notice = Sentence(
        "No model read {unread} of the {count} images; look at them yourself.",
        {"unread": unread, "count": len(study.images)},
    )
    draft = replace(document.draft, notices=(*document.draft.notices, notice))
    return replace(document, content=replace(document.content, draft=draft))


def _compare_again(tx: Transaction, lead: _CaseContext, reported: Reported) -> None:
    """Where the earlier image was judged while the draft was written, its marks follow."""
    result = reported.document.result
    if reported.prior is None or result is None or _prior(tx, lead, result) == reported.prior:
        return
    for run in runs.list_earlier_runs(tx, lead.image):
        report_id = drafts.report_of_image(tx, run.image_id)
        if report_id is not None:
            reviews.recheck(tx, report_id)


def record_failure(records: Records, settings: Settings, work: ImageJob, fault: BaseException) -> bool:
    """Say why an attempt failed; gives whether the work was given up. A person then reads without a model.

    Raises:
        Conflict: somebody else has the work by now.
    """
    sentence = (
        Sentence(fault.template, fault.values)
        if isinstance(fault, TetkikError)
        else Sentence(
            "The program failed over this image ({fault}); read it without a model.",
            {"fault": type(fault).__name__},
        )
    )
    with records.write(SYSTEM) as tx:
        # The same file fails in the same way; an erased patient has nothing to read.
        over = jobs.fail_job(tx, work, sentence, for_good=isinstance(fault, InputError | NotFound))
        if over and not isinstance(fault, NotFound):
            _without_model(tx, settings, work, sentence)
    return over


def _without_model(tx: Transaction, settings: Settings, work: ImageJob, fault: Sentence) -> None:
    """Keep that no model answered, and let the other images of the study make its draft.

    Without others, an empty draft says why, so that the image does not wait for ever.
    """
    image = images.load_image(tx, work.image_id)
    model = work.model or settings.findings_model
    run_id = runs.add_run(tx, image, ModelAnswer(model, _sha256(model), tx.now, None, _frame(work, image)))
    there = drafts.images_of_report(tx, image)
    if image.id not in {one.id for one in there} or jobs.has_open_jobs(tx, image.study_id, but=work.id):
        return
    for other in there:
        newest = runs.load_latest_run(tx, other.id)
        if newest is not None and newest.state is not RunState.FAILED:
            case = cases.load_case(tx, image.case_id, audit=False)
            jobs.add_job(tx, JobKind.READ_IMAGE, other, case.priority)
            return
    if drafts.report_of_image(tx, image.id) is None:
        notice = Sentence("No model read this image: {reason}", {"reason": fault})
        known = images.load_metadata(tx, image)
        document = ReportDocument(
            id=image.id,
            content=ReportContent(Draft(settings.report_language, (), notices=(notice,))),
            result=None,
            identity=known.identity,
            tags=known.tags,
            hospital=hospital_of(settings),
            state=ReportState.DRAFT,
            created=tx.now,
        )
        made = MachineDraft(document, run_id, tuple(one.id for one in there))
        drafts.write_machine_draft(tx, image.id, made)
    signing.settle_case(tx, image.case_id)


def warm_up(model: str) -> None:
    import tetkik.report.draft  # noqa: F401 - loaded now, so that the first image need not wait for it

    _ = load_findings_model(model).model.heatmaps


def _ignore_progress(_stage: ProcessingStage, _text: str) -> None:
    """For a caller that shows no progress."""
