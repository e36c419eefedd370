"""Objects sent to an archive by C-STORE (PS3.4, annex B): each one's status, and what follows from it."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from tetkik.integrations.answer import Answer, Outcome, answer_of_store
from tetkik.integrations.calling import LONGEST_CALL, own_title
from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.tls import client_context

_CONNECT, _ASSOCIATE, _ANSWER = 10.0, 30.0, 60.0
"""Seconds for a connection, for the answer to an association, and to an object."""


def store(systems: Configuration, peer: Peer, objects: Sequence[bytes]) -> Answer:
    """Send files (PS3.10) over one association; the first that is not stored ends it.

    The answer is that of the last one, or of the worst: a warning outweighs success.
    """
    datasets = [dcmread(BytesIO(content)) for content in objects]
    if peer.host is None or peer.ae_title is None:
        return Answer.permanent("no host and ae_title")
    entity = AE(ae_title=own_title(systems))
    entity.connection_timeout, entity.acse_timeout = _CONNECT, _ASSOCIATE
    entity.dimse_timeout = entity.network_timeout = _ANSWER
    for sop_class in sorted({one.SOPClassUID for one in datasets}):
        entity.add_requested_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    try:
        tls = (client_context(systems.listen), peer.host) if peer.tls else None
    except OSError as error:  # an SSLError is one, too
        return Answer.unavailable(f"TLS: {type(error).__name__}")
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title, tls_args=tls)
    if not association.is_established:
        return _no_association(association, (peer.host, peer.port))
    try:
        worst, until = Answer.done("0000H"), time.monotonic() + LONGEST_CALL
        for dataset in datasets:
            if time.monotonic() > until:
                return Answer.transient("the answers come too slowly")
            answer = _store(association, dataset)
            if answer.outcome is not Outcome.DONE:
                return answer
            worst = worst if answer.status == "0000H" else answer
        return worst
    finally:
        association.release() if association.is_established else association.abort()


def _store(association: Association, dataset: Dataset) -> Answer:
    sop_class = UID(dataset.SOPClassUID)
    if not any(one.abstract_syntax == sop_class for one in association.accepted_contexts):
        return Answer.permanent(f"no presentation context for {sop_class.name}")
    try:
        status = association.send_c_store(dataset)
    except (RuntimeError, ValueError, AttributeError) as error:
        # The association is gone, or the object cannot be encoded for the syntax that was accepted.
        gone = not association.is_established
        return (Answer.transient if gone else Answer.permanent)(type(error).__name__)
    if "Status" not in status:
        return Answer.transient("the association was aborted")
    return answer_of_store(status.Status, str(status.get("ErrorComment", "")))


def _no_association(association: Association, address: tuple[str, int]) -> Answer:
    """Rejected, with the peer's reason (PS3.8, section 9.3.4); aborted; or nobody there, and why."""
    primitive = association.acceptor.primitive
    if association.is_rejected and primitive is not None and primitive.result is not None:
        words = f"A-ASSOCIATE-RJ: {primitive.result_str}, {primitive.reason_str}"
        return Answer.permanent(words) if primitive.result == 1 else Answer.unavailable(words)
    try:  # pynetdicom tells a failed connection from an abort in its log alone
        socket.create_connection(address, _CONNECT).close()
    except OSError as error:
        return Answer.unavailable(f"no connection: {error.strerror or type(error).__name__}")
    return Answer.unavailable("the association was aborted or not answered")
