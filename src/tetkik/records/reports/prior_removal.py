"""Drafts after records were taken apart, or a report was withdrawn: no comparison with a stranger's image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.images import images, runs
from tetkik.records.reports import drafts
from tetkik.records.reports.report_inputs import keep_material, material_of, working_of
from tetkik.records.schema import Report


def drop_foreign_priors(tx: Transaction, patient_ids: Sequence[str]) -> None:
    """Check the drafts of these records again, without an earlier image that is not to be compared with.

    Their sentences stay, and those that say how it was before are marked: nobody signs them unseen.
    """
    wanted = select(Report).where(Report.patient_id.in_(patient_ids), Report.machine.is_not(None))
    for row in tx.session.scalars(wanted.order_by(Report.image_id).with_for_update()).all():
        material, working = material_of(tx, row), working_of(tx, row)
        if material.prior is None:
            continue
        earlier = runs.list_earlier_runs(tx, images.load_image(tx, row.image_id))
        if material.prior.sha256 not in {runs.load_result(tx, run.id).sha256 for run in earlier}:
            material = replace(material, prior=None)
            keep_material(tx, row, material)
            if working is not None:  # what is signed stands as it was signed
                drafts.keep(tx, row, material, working)
