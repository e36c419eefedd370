"""A signed report as the message that a peer wants: its version, codes and character set, with the PDF."""

from __future__ import annotations

from dataclasses import replace

from tetkik.documents.hl7 import MessageForm, to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.integrations.configuration import Peer
from tetkik.integrations.dicom.character_sets import TURKISH, codec_of
from tetkik.integrations.hl7.mapping import load_mapping
from tetkik.records.orders.orders import OrderContent
from tetkik.values import ReportDocument


def oru_for(peer: Peer, document: ReportDocument, order: OrderContent | None = None) -> bytes:
    """ORU^R01 for a peer.

    Args:
        order: that the report answers, where there is one: its number and its procedure go back to the
            system that placed it.

    Raises:
        SettingError: the peer's mapping cannot be used.
    """
    mapping = load_mapping(peer.mapping)
    known = mapping.procedures.get(order.procedure_code) if order is not None else None
    form = MessageForm(
        version=peer.hl7_version,
        turkish=codec_of(peer.character_set or "") == codec_of(TURKISH),
        receiver=peer.name,
        placer_number=order.placer_number if order is not None else "",
        text=mapping.results.text,
        pdf=to_pdf(document) if mapping.results.pdf else None,
    )
    if known is not None and known.loinc:
        form = replace(form, procedure=(known.loinc, known.name))
    if known is not None and known.sut:
        form = replace(form, local=(known.sut, known.name, mapping.results.code_system))
    elif order is not None and order.procedure_code:
        form = replace(form, local=(order.procedure_code, order.procedure, "L"))
    return to_hl7(document, form)
