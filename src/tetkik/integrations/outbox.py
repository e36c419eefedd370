"""Results out: which systems a signed report goes to, by the routes, and the sending of what is due."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from types import MappingProxyType

import httpx
import structlog

from tetkik.documents import dicom
from tetkik.documents.capture import to_capture, to_image_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.fhir import to_fhir_transaction
from tetkik.documents.presentation_state import GreyRange, drawn_images, to_report_states
from tetkik.errors import Conflict, RecordsError, Unavailable
from tetkik.integrations.calling import (
    BUSY,
    LONGEST_CALL,
    Answer,
    CallOutcome,
    answer_of_fault,
    client_context,
    http_client,
    http_transport,
    own_title,
)
from tetkik.integrations.dicomweb import stow
from tetkik.integrations.hl7.intake import oru_for
from tetkik.integrations.hl7.mllp import connected, send_oru
from tetkik.integrations.systems import Configuration, HospitalSystem, ResultForm, Service
from tetkik.language import Sentence
from tetkik.privacy.rules import mask
from tetkik.records.cases.patients import records_of
from tetkik.records.database import Records, Transaction
from tetkik.records.orders.orders import OrderContent, StoredOrder, orders_of
from tetkik.records.reports import outbox
from tetkik.records.reports.outbox import DICOM_FORMS, REJECTION, DueItem
from tetkik.records.reports.versions import SignedVersion, version_of
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM
from tetkik.values.document import ReportDocument
from tetkik.values.measurement import MeasuredImage
from tetkik.values.states import OutboxState

# Whether the hospital's systems answer, each asked in the ways in which we call it.


_SECONDS = 5.0
_MOST = 16
"""Questions at a time."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a system was asked, and whether it answered."""

    name: str
    how: str
    address: str
    answers: bool

    @property
    def sentence(self) -> Sentence:
        values = {"name": self.name, "how": self.how, "address": self.address}
        if self.answers:
            return Sentence("{name} answers ({how}, {address}).", values)
        return Sentence("{name} does not answer ({how}, {address}).", values)


def probe(systems: Configuration, settings: Settings) -> tuple[Probe, ...]:
    """Ask every system: C-ECHO (PS3.4 annex A), a connection for MLLP, the capabilities of FHIR, QIDO-RS."""

    def answer(question: tuple[HospitalSystem, str, str, Callable[[], bool]]) -> Probe:
        peer, how, address, ask = question
        try:
            answers = ask()
        except Exception:  # whatever is wrong with it: the name, the certificate, the secret, the answer
            answers = False
        return Probe(peer.name, how, address, answers)

    with ThreadPoolExecutor(_MOST) as pool:
        return tuple(pool.map(answer, _questions(systems, settings)))


def _questions(
    systems: Configuration, settings: Settings
) -> Iterator[tuple[HospitalSystem, str, str, Callable[[], bool]]]:
    for peer in systems.peers:
        if peer.host is not None:
            yield peer, "C-ECHO", f"{peer.host}:{peer.port}", partial(_echoes, systems, peer)
        if peer.hl7 is not None:
            yield peer, "MLLP", peer.hl7, partial(_connects, systems, peer)
        for how, url, path in (
            ("DICOMweb", peer.dicomweb, "studies?limit=1"),
            ("FHIR", peer.fhir, "metadata?_summary=true"),
        ):
            if url is not None:
                yield peer, how, url, partial(_gives, systems, peer, url, path, settings)


def _echoes(systems: Configuration, peer: HospitalSystem) -> bool:
    from pynetdicom import AE  # costs half a second, and not every installation has it

    ae = AE(own_title(systems))
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
    ae.add_requested_context("1.2.840.10008.1.1")
    assert peer.host is not None
    tls = (client_context(systems.listen), peer.host) if peer.tls else None
    assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title or "ANY-SCP", tls_args=tls)
    if not assoc.is_established:
        return False
    status = assoc.send_c_echo()
    assoc.release()
    return bool(status) and status.Status == 0x0000


def _connects(systems: Configuration, peer: HospitalSystem) -> bool:
    with connected(peer, systems.hl7, _SECONDS):
        return True


def _gives(systems: Configuration, peer: HospitalSystem, url: str, path: str, settings: Settings) -> bool:
    """Whether it answers a question with success; what it answers is not read, for it names patients."""
    with (
        http_client(systems, peer, url, settings) as client,
        client.stream("GET", path, timeout=_SECONDS) as response,
    ):
        return response.is_success


# Sends a Bundle to a FHIR server as one transaction (https://hl7.org/fhir/R4B/http.html#transaction).


_SECONDS_FHIR_CLIENT = 30.0
_MOST_BYTES = 5_000_000
"""Of an answer."""
_AGAIN = frozenset({408, 409, 412, 425, 429, 500, 502, 503, 504})
"""What may pass: the server is busy or down, or wrote the same resource at the same moment."""
_LONGEST_WAIT = 86_400.0


def send_bundle(
    peer: HospitalSystem,
    bundle: bytes,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    seconds: float = _SECONDS_FHIR_CLIENT,
    transport: httpx.BaseTransport | None = None,
) -> Answer:
    """Post a transaction; done where the server answers that all of it was done.

    Args:
        headers: who we are, for a server that wants to know (`Peer.authorization`).
    """
    assert peer.fhir is not None
    sent = {"Content-Type": "application/fhir+json; charset=utf-8", "Accept": "application/fhir+json"}
    until = time.monotonic() + LONGEST_CALL
    try:
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, transport=transport) as client,
            client.stream("POST", peer.fhir, content=bundle, headers={**sent, **headers}) as answer,
        ):
            content = b""
            for part in answer.iter_bytes():
                content += part
                if time.monotonic() > until:
                    return Answer.transient("the answer comes too slowly")
                if len(content) > _MOST_BYTES:
                    return Answer.transient("the answer is too long")
            return _judged(answer, content, len(json.loads(bundle)["entry"]))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return answer_of_fault(error)


def _judged(answer: httpx.Response, content: bytes, entries: int) -> Answer:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    body = body if isinstance(body, dict) else {}
    status = f"HTTP {answer.status_code}"
    if answer.status_code == 200:
        done = body.get("entry")
        if body.get("type") == "transaction-response" and isinstance(done, list) and len(done) == entries:
            return Answer.done(status)
        return Answer.transient(f"{status}: no answer to a transaction")
    if words := _outcome(body):
        status = f"{status}: {words}"
    if answer.status_code in _AGAIN:
        again = Answer.unavailable if answer.status_code in BUSY else Answer.transient
        return again(status, _wait(answer.headers.get("Retry-After", "")))
    return Answer.permanent(status)


def _outcome(body: dict[str, object]) -> str:
    """The codes of an OperationOutcome; its free text may name what was sent."""
    issues = body.get("issue")
    found = (item for item in (issues if isinstance(issues, list) else ()) if isinstance(item, dict))
    places = (
        " ".join([str(item.get("code", "")), *map(str, _texts(item.get("expression")))]) for item in found
    )
    return "; ".join(place.strip() for place in list(places)[:5])


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _wait(text: str) -> float | None:
    """Seconds of a Retry-After (RFC 9110, 10.2.3): a number, or a date."""
    if text.isascii() and text.isdecimal():
        return min(float(text[:9]), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return None


MOST_TRIES = 20
"""Of one object; then it is set aside: 13 hours after the first, where nothing else waits."""
_STRANGE = timedelta(hours=1)
"""For so long what goes to a system that the file does not have is left to services with another file."""
_SETTLES = (1, 2, 4, 8, 15, 15, 15, 30, 30, 60, 60, 60, 60)
"""Seconds before each other try to write an answer down, so that nothing is sent twice."""
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT_OUTBOX = timedelta(hours=1)
Greys = Callable[[Sequence[MeasuredImage]], Mapping[MeasuredImage, GreyRange | None]]
"""By what values images are shown, for their presentation states; those without grey values are left out."""
_log = structlog.get_logger()


def queue_results(tx: Transaction, systems: Configuration | None, report_id: str) -> None:
    """Let a report go where its route says, as it was just signed, amended or withdrawn, in this transaction.

    An amendment and a withdrawal go to every system that may have the report, whatever the routes say by now.
    """
    found = version_of(tx, report_id, pictures=False)
    if found.document.withdrawal is not None:
        outbox.queue_withdrawal(tx, report_id)
    elif systems is not None:
        outbox.queue_version(tx, report_id, tuple(_wanted(tx, systems, found)))


def send_due(
    records: Records, systems: Configuration, settings: Settings, greys: Greys, destination: str
) -> bool:
    """Send the item whose turn it is to a system, and write down the answer; gives whether there was one."""
    try:
        with records.write(SYSTEM) as tx:
            due = outbox.take_due(tx, destination, _STRANGE if systems.peer(destination) is None else None)
    except Conflict:  # another process took one for the same system at this moment
        return False
    if due is None:
        return False
    answer = _answer(records, systems, settings, greys, due)
    given_up = answer.outcome is CallOutcome.PERMANENT or due.tries >= MOST_TRIES
    state = OutboxState.REFUSED if given_up else OutboxState.WAITING
    state = OutboxState.SENT if answer.outcome is CallOutcome.DONE else state
    for pause in (*_SETTLES, None):
        try:
            _settle(records, due, answer, state)
            break
        except Unavailable:
            if pause is None:
                raise
            time.sleep(pause)
    if state is not OutboxState.SENT:
        _log.warning("result_not_sent", system=due.destination, form=due.form, tries=due.tries, state=state)
    return True


def _settle(records: Records, due: DueItem, answer: Answer, state: OutboxState) -> None:
    with records.write(SYSTEM) as tx:
        tries = outbox.count_tries(tx, due.destination) if answer.for_all else due.tries
        wait = wait_after(tries, answer.retry_after) if state is OutboxState.WAITING else None
        # A system may answer with the name of the patient, whom people who mend connections do not know.
        status = mask(answer.status, thorough=True).text
        outbox.settle(tx, due, state, status, wait, alone=not answer.for_all)


def wait_after(tries: int, asked: float | None = None) -> timedelta:
    """Until the next try after so many: 30 s, twice as long each time, an hour at most.

    `asked` is what the system asked for, in seconds.
    """
    wait = min(_FIRST_WAIT * (1 << min(tries - 1, 10)), _LONGEST_WAIT_OUTBOX)
    return min(max(wait, timedelta(seconds=asked or 0)), _LONGEST_WAIT_OUTBOX)


def _wanted(tx: Transaction, systems: Configuration, found: SignedVersion) -> Iterator[tuple[str, str]]:
    """The systems of the route that fits and those that have an earlier version, with forms it has now."""
    document = found.document
    tags = document.tags
    source = outbox.source_of(tx, found.case_id)
    route = systems.route(source, tags.modality or "", tags.body_part or "")
    wanted = set(outbox.reached(tx, document.id))
    for send in route.send if route is not None else ():
        wanted |= {(send.to, form.value) for form in send.forms}
    without = set()
    if "heatmap" not in found.pictures:
        without.add(ResultForm.CAPTURE.value)
    if not drawn_images(document):
        without.add(ResultForm.PRESENTATION.value)
    forms = {(name, form) for name, form in wanted if form not in without and form != "image"}
    # What the other objects refer to, where the image is a file that no archive has.
    if "image" in found.pictures and dicom.source(document) is None:
        yield from sorted({(name, "image") for name, form in forms if form in DICOM_FORMS})
    yield from sorted(forms)


def _answer(
    records: Records, systems: Configuration, settings: Settings, greys: Greys, due: DueItem
) -> Answer:
    peer = systems.peer(due.destination)
    if peer is None:
        return Answer.permanent("no such system in the file")
    try:
        with records.read() as tx:
            found = version_of(tx, due.report_id, due.number)
            asked = due.form == ResultForm.HL7
            # An order stays with the record that it was placed for, whichever stands for that one now.
            orders = orders_of(tx, records_of(tx, found.patient_id)) if asked else ()
            earlier = _earlier(tx, found) if due.form in (ResultForm.SR, ResultForm.FHIR) else ()
        order = next((_shared_order(one, peer) for one in orders if one.case_id == found.case_id), None)
        objects = _objects(found.document, due.form, greys, peer, order, earlier)
    except Exception as fault:
        words = f"the document could not be made: {type(fault).__name__}"
        # No other try changes a record that was altered or erased. A database or an object storage that is
        # away, a file that cannot be read, an image that its decoder was killed over: another try may.
        never = isinstance(fault, (ValueError, RecordsError)) and not isinstance(fault, Unavailable)
        return Answer.permanent(words) if never else Answer.transient(words)
    try:
        return _sent(systems, peer, due.form, objects, settings)
    except Exception as fault:  # whatever it is, one system must not keep the others waiting
        _log.error("sending", system=peer.name, kind=type(fault).__name__)
        return Answer.transient(type(fault).__name__)


def _earlier(tx: Transaction, found: SignedVersion) -> tuple[ReportDocument, ...]:
    """The versions before this one, the last of them first."""
    report, before = found.document.id, []
    while (number := found.info.replaces) is not None:
        found = version_of(tx, report, number, pictures=False)
        before.append(found.document)
    return tuple(before)


def _shared_order(order: StoredOrder, peer: HospitalSystem) -> OrderContent:
    """What a system is told of an order: another system's number is none of one that has its own."""
    strange = peer.may(Service.ORDERS) and order.source != peer.name
    return replace(order.content, placer_number="") if strange else order.content


_MAKERS: Mapping[str, Callable[[ReportDocument], bytes]] = MappingProxyType(
    {
        "pdf": to_encapsulated_pdf,
        "capture": to_capture,
        "image": to_image_capture,
    }
)


def _objects(
    document: ReportDocument,
    form: str,
    greys: Greys,
    peer: HospitalSystem,
    order: OrderContent | None,
    earlier: Sequence[ReportDocument],
) -> tuple[bytes, ...]:
    """The files or the message of a form, under the same names each time."""
    if form == ResultForm.HL7:
        return (oru_for(peer, document, order),)
    # highdicom costs most of a second: a service starts without it.
    if form == ResultForm.SR:
        from tetkik.documents.sr import to_sr

        return (to_sr(document, next(iter(earlier), None)),)
    if form == REJECTION:
        from tetkik.documents.rejection import to_rejection

        return (to_rejection(document),)
    if form == ResultForm.FHIR:
        return (to_fhir_transaction(document, earlier),)
    if form == ResultForm.PRESENTATION:
        return to_report_states(document, greys(drawn_images(document)))
    return (_MAKERS[form](document),)


def _sent(
    systems: Configuration, peer: HospitalSystem, form: str, objects: Sequence[bytes], settings: Settings
) -> Answer:
    """DICOM goes by DICOMweb where the system has an address for it, else by C-STORE."""
    if not objects:
        return Answer.done("nothing to send")
    if form == ResultForm.HL7:
        return send_oru(peer, objects[0], tls=systems.hl7)
    if form == ResultForm.FHIR:
        transport = http_transport(systems, peer.fhir or "")
        return send_bundle(peer, objects[0], headers=peer.authorization(settings), transport=transport)
    if peer.dicomweb is not None:
        return stow(systems, peer, objects, settings)
    # pynetdicom costs half a second, and not every installation has it.
    from tetkik.integrations.dicom.query import store

    return store(systems, peer, objects)
