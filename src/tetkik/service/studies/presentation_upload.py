"""A presentation state comes in as a file: it is kept beside the image of the case that it is about."""

from __future__ import annotations

import hashlib

from tetkik.errors import Conflict, InputError
from tetkik.records.cases import identity_comparison
from tetkik.records.images import images, patient_matching, presentation_states
from tetkik.records.people.visibility import load_visible_case
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.studies.shapes import ImageShape, UploadShape


def keep_presentation_state(
    ctx: RequestContext, decoder: ImageDecoder, file: IncomingFile, case_id: str | None = None
) -> UploadShape:
    """Keep it; `UploadShape.image` is the image that it is about. Without a case its study finds one."""
    state = decoder.state(file.content, file.name or "file")
    with ctx.write() as tx:
        if case_id is None:
            sha256 = hashlib.sha256(file.content).hexdigest()
            case_id = patient_matching.find_destination(tx, state.identity, sha256).case_id
        uids = frozenset(one.uid for one in state.references)
        found = None if case_id is None else presentation_states.find_by_uid(tx, case_id, uids)
        if case_id is None or found is None:
            raise InputError(
                "This presentation state is about no image of the case; upload the image first, or choose "
                "its case."
            )
        case = load_visible_case(tx, case_id)
        if identity_comparison.compare_with_patient(tx, found.patient_id, state.identity):
            raise Conflict("This presentation state names another patient than the image; compare the two.")
        fresh = presentation_states.add_state(tx, images.load_visible_image(tx, found.id), file.content)
        shape = ImageShape.of(tx, found, ctx.language)
    return UploadShape(image=shape, fresh=fresh, case_number=case.number, case_opened=False, differs=[])
