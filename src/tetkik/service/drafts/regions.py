"""The pixels of a region: counted by the server, before the transaction that keeps the figures."""

from __future__ import annotations

from dataclasses import replace

from tetkik.imaging.region import Region
from tetkik.records.images import images
from tetkik.records.reports import measurements
from tetkik.records.reports.measurements import NewMeasurement
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values import RegionStatistics
from tetkik.values.measurement import Point


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
