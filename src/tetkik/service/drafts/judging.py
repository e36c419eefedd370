"""Judging findings over the API; what keeps a draft from being signed, and what is only hinted at."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

from pydantic import BaseModel, Field

from tetkik.imaging.region import Region
from tetkik.language import Language
from tetkik.records.images import images
from tetkik.records.reports import measurements
from tetkik.records.reports.measurements import NewMeasurement
from tetkik.rules.editing import Rule
from tetkik.rules.judging import Detail, judge
from tetkik.rules.readiness import Blocker, BlockerKind
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.http.responses import Shape
from tetkik.values.finding_labels import label_name
from tetkik.values.measurement import Point, RegionStatistics
from tetkik.values.radiograph import Trait
from tetkik.values.report import Fault, Side
from tetkik.values.states import Judgement

# The pixels of a region: counted by the server, before the transaction that keeps the figures.


def with_statistics(ctx: RequestContext, decoder: ImageDecoder, new: NewMeasurement) -> NewMeasurement:
    """A region with the statistics of its pixels; anything else as it is."""
    if not new.kind.is_region:
        return new
    with ctx.read() as tx:
        image = images.load_visible_image(tx, new.image_id)
        images.check_frame(image, new.frame)
        described = measurements.measured_image(tx, image, new.frame)
        points = measurements.exact_points(new.kind, described, new.points)
    found = decoder.region(image, Region(new.kind, points, described.frame or 1))
    return replace(new, statistics=found)


def statistics_of_moved(
    ctx: RequestContext,
    decoder: ImageDecoder,
    report_id: str,
    measurement_id: str,
    points: list[Point] | None,
) -> RegionStatistics | None:
    """The statistics of a region at other points; None where it does not move, or is no region."""
    if points is None:
        return None
    with ctx.read() as tx:
        found = measurements.find_measurement(tx, report_id, measurement_id)
        if not found.kind.is_region:
            return None
        image = images.load_visible_image(tx, found.image.id)
        exact = measurements.exact_points(found.kind, found.image, points)
    return decoder.region(image, Region(found.kind, exact, found.image.frame or 1))


class HintShape(Shape):
    """Where a person's sentence goes against what they judged, or has a field that was left open."""

    fault: Fault
    reason: str
    start: int = Field(description="First character of the words in the sentence.")
    end: int


class BlockerShape(Shape):
    """One thing that keeps a report from being signed."""

    kind: BlockerKind = Field(
        description="`identity`, the file names another person; `finding`, nobody judged it; `mark`, a "
        "sentence of a model has one that nobody decided."
    )
    label: str | None = Field(default=None, description="Of the finding.")
    name: str | None = Field(default=None, description="Of the finding, in the reader's language.")
    sentence: int | None = Field(default=None, description="Its place in the list of sentences, from 0.")
    trait: Trait | None = Field(default=None, description="What the file says otherwise than the record.")
    file: str | None = Field(default=None, description="What the file says.")
    record: str | None = Field(default=None, description="What the record says.")

    @classmethod
    def of(cls, item: Blocker, language: Language) -> BlockerShape:
        difference = item.difference
        return cls(
            kind=item.kind,
            label=item.label,
            name=None if item.label is None else label_name(item.label, language),
            sentence=item.sentence,
            trait=None if difference is None else difference.trait,
            file=None if difference is None else difference.file,
            record=None if difference is None else difference.record,
        )


class ReviewSent(BaseModel):
    """What a radiologist says of one finding."""

    label: Annotated[str, Field(max_length=60)]
    judgement: Judgement | None = Field(description="Null takes it back.")
    side: Side | None = Field(default=None, description="Of a finding that is accepted or added.")
    size: Annotated[str, Field(max_length=40)] = Field(
        default="", description="The same: `12 mm`, `3 x 2 cm`; millimetres without a unit."
    )
    sentences_follow: bool = Field(
        default=True,
        description="Whether the words of the draft follow: definite where it is there, taken out where not.",
    )

    def rule(self) -> Rule:
        """What it does to the draft."""
        detail = Detail(self.side, self.size)
        follow = self.sentences_follow
        return partial(judge, [self.label], self.judgement, detail=detail, sentences_follow=follow)


class ReviewsSent(BaseModel):
    """Findings that are accepted at once, as they were shown."""

    labels: Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=50)]

    def rule(self) -> Rule:
        """What it does to the draft."""
        return partial(judge, self.labels, Judgement.ACCEPTED)
