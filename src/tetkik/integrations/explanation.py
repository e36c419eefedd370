"""A file of systems in words: who may send what from where, what becomes of a study, where results go."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from tetkik.integrations.configuration import Configuration, Peer, Route, Service
from tetkik.language import Sentence


class _May(StrEnum):
    """What a peer may do, as a person says it."""

    STORE = "send images"
    ECHO = "ask whether we are there (C-ECHO)"
    COMMIT = "ask for storage commitment"
    WORKLIST = "ask for the worklist"
    ORDERS = "send orders and patients by HL7"


_WORDS = {service: _May[service.name] for service in Service}


def explained(configuration: Configuration) -> Iterator[Sentence]:
    """The file, a sentence a line."""
    yield from _listeners(configuration)
    for peer in configuration.peers:
        yield from _peer(peer)
    for route in configuration.routes:
        yield from _route(route)
    everything = [route for route in configuration.routes if not _conditions(route)]
    if not everything:
        yield Sentence("Any other study: the model of the setting findings_model; its results go nowhere.")
    elif everything[0] is not configuration.routes[-1]:
        yield Sentence(
            "The routes behind the one for every study are never reached; move that one to the end."
        )


def _listeners(configuration: Configuration) -> Iterator[Sentence]:
    own, hl7 = configuration.listen, configuration.hl7
    if own is not None:
        values = {"ae_title": own.ae_title, "address": own.address, "port": own.port}
        yield Sentence("We listen as {ae_title} at {address}, port {port} (DICOM).", values)
    if hl7 is not None:
        values = {"address": hl7.address, "port": hl7.port}
        yield Sentence("We listen at {address}, port {port} (HL7 by MLLP).", values)
    for section, listener in (("[listen]", own), ("[hl7]", hl7)):
        if listener is None:
            continue
        if listener.tls_cert is None:
            yield Sentence(
                "{section}: without TLS; whoever is in that network can read it.", {"section": section}
            )
        elif listener.tls_ca is None:
            yield Sentence("{section}: by TLS, without a certificate of the caller.", {"section": section})
        else:
            yield Sentence("{section}: by TLS, with a certificate of the caller.", {"section": section})


def _peer(peer: Peer) -> Iterator[Sentence]:
    named = {"name": peer.name}
    if not peer.allow or not peer.addresses:
        yield Sentence("{name} may ask nothing of us.", named)
    for service in peer.allow if peer.addresses else ():
        places = ", ".join(map(str, peer.addresses))
        if service is Service.ORDERS:
            values = named | {"what": _WORDS[service], "addresses": places}
            yield Sentence("{name} may {what}, from {addresses}.", values)
        elif peer.ae_title is None:
            values = named | {"what": _WORDS[service]}
            yield Sentence("{name} may {what}, but has no ae_title and will be refused.", values)
        else:
            values = named | {"what": _WORDS[service], "ae_title": peer.ae_title, "addresses": places}
            yield Sentence("{name} may {what}, as {ae_title} from {addresses}.", values)
    if peer.issuer:
        yield Sentence("{name}: its hospital numbers are of {issuer}.", named | {"issuer": peer.issuer})
    if peer.mapping is not None:
        yield Sentence("{name}: its HL7 is read by {mapping}.", named | {"mapping": peer.mapping})
    if peer.without_orders:
        yield Sentence("{name}: a study without an order opens a case, and no person is asked.", named)
    if peer.worklist:
        yield Sentence("{name}: orders are taken from its worklist, every minute.", named)
    if peer.character_set is not None:
        values = named | {"character_set": peer.character_set}
        yield Sentence("{name}: text is read as {character_set}, whatever it declares.", values)
    if peer.clock_offset_minutes:
        values = named | {"minutes": str(peer.clock_offset_minutes)}
        yield Sentence("{name}: its clock is ahead by minutes: {minutes}.", values)
    if peer.expected_count:
        yield Sentence("We ask {name} how many images a study has.", named)
    if peer.priors:
        values = named | {"count": str(peer.prior_count)}
        yield Sentence(
            "{name}: earlier studies of a patient are fetched from there, {count} at most.", values
        )
    yield from _places(peer)


def _places(peer: Peer) -> Iterator[Sentence]:
    """Where we call a peer, and how."""
    named: dict[str, object] = {"name": peer.name}
    if peer.host is not None and peer.ae_title is not None:
        values = named | {"host": peer.host, "port": peer.port, "ae_title": peer.ae_title}
        yield Sentence("{name} is called by DICOM at {host}, port {port}, as {ae_title}.", values)
    if peer.hl7 is not None:
        values = named | {"address": peer.hl7, "version": peer.hl7_version}
        yield Sentence("{name} is called by HL7 {version} at {address}.", values)
    for how, address in (("DICOMweb", peer.dicomweb), ("FHIR", peer.fhir)):
        if address is not None:
            yield Sentence(
                "{name} is called by {how} at {address}.", named | {"how": how, "address": address}
            )
    if (peer.host is not None or peer.hl7 is not None) and not peer.tls:
        yield Sentence("{name}: called by DICOM and HL7 without TLS.", named)


def _conditions(route: Route) -> str:
    return " · ".join(", ".join(part) for part in (route.sources, route.modality, route.body_part) if part)


def _route(route: Route) -> Iterator[Sentence]:
    values: dict[str, object] = {"study": _conditions(route), "model": route.model}
    values["study"] = values["study"] or Sentence("every study")
    if route.model == "none":
        yield Sentence("{study}: read by no model.", values)
    elif route.model:
        yield Sentence("{study}: read by the model {model}.", values)
    else:
        yield Sentence("{study}: read by the model of the setting findings_model.", values)
    for send in route.send:
        sent = values | {"name": send.to, "forms": ", ".join(form.value for form in send.forms)}
        yield Sentence("{study}: signed results go to {name} as {forms}.", sent)
    if not route.send:
        yield Sentence("{study}: results go nowhere.", values)
    if route.notify:
        yield Sentence(
            "{study}: told of critical results: {names}.", values | {"names": ", ".join(route.notify)}
        )
