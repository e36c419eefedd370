"""One process that takes associations: who calls is known, what it may is offered, the rest refused.

Several of these share one listening socket (`integrations.listening`).
"""

from __future__ import annotations

import logging
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from io import BytesIO
from typing import Any

import structlog
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.events import Event
from pynetdicom.transport import (
    AssociationServer,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from tetkik.integrations.calling import server_context
from tetkik.integrations.dicom.commitment import STORAGE_CLASSES, Commitment, offered
from tetkik.integrations.dicom.spool import NoRoom, Origin, Receiving, Spool, now
from tetkik.integrations.systems import Configuration, HospitalSystem, Service

# pynetdicom within bounds: what a peer sends is read with a deadline, and never more than it may be.
#
# An object of C-STORE goes piece by piece from the network into the spool, so that no image lies in memory.


MAXIMUM_PDU = 256 << 10
"""Bytes of a PDU that we tell peers to send at most (PS3.8 D.1)."""
_LONGEST_PDU = 1 << 20
"""Bytes that any PDU may have, one that asks for an association included."""
_LONGEST_COMMAND = _LONGEST_QUERY = 64 << 10
_LONGEST_LIST = 8 << 20
"""Bytes of the list of a storage commitment."""
_MOST_WAITING = 2
"""Messages that a peer may send before the one that is served has its answer: it should wait for that."""


class BoundedSocket(AssociationSocket):
    """Reads whole PDUs, each within `seconds`."""

    seconds = 60.0
    fault = ""
    """Why reading ended, where the peer did not end it: `silent`, `too long`, `cut`."""

    def recv(self, nr_bytes: int) -> bytearray:
        if nr_bytes > _LONGEST_PDU:
            self.fault = "too long"
            raise OSError("a PDU that is too long")
        connection = self.socket
        assert connection is not None
        content = bytearray(nr_bytes)
        view, at, end = memoryview(content), 0, time.monotonic() + self.seconds
        while at < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                self.fault = "silent"
                raise TimeoutError
            connection.settimeout(left)
            try:
                got = connection.recv_into(view[at:])
            except TimeoutError:
                self.fault = "silent"
                raise
            if not got:
                self.fault = self.fault or ("cut" if at or nr_bytes != 6 else "")
                return content[:at]
            at += got
        connection.settimeout(self.seconds)
        return content


class Events(queue.Queue[str]):
    """The events of an association's state machine (PS3.8 9.2.3); it remembers an invalid PDU, Evt19."""

    fault = ""

    def put(self, item: str, block: bool = True, timeout: float | None = None) -> None:
        if item == "Evt19":
            self.fault = "malformed"
        super().put(item, block, timeout)


class BoundedProvider(DIMSEServiceProvider):
    """Puts messages together, objects in the spool and everything else in a bounded memory."""

    busy = False
    """Whether a request is coming in or being answered."""

    def __init__(self, assoc: Association, begin: Callable[[DIMSEMessage], Receiving]) -> None:
        super().__init__(assoc)
        self._begin = begin
        self._open: set[Receiving] = set()
        """Objects that are not kept yet; a message that is complete is none of this provider's any more."""

    def receive_primitive(self, primitive: Any) -> None:
        self.busy = True
        try:
            if self.message is None:
                if self.msg_queue.qsize() > _MOST_WAITING:
                    raise ValueError("too many at once")
                self.message = DIMSEMessage()
                self.message.encoded_command_set = _Bounded(_LONGEST_COMMAND)
                self.message.data_set = Content(self.message, self._begin, self._open)
            super().receive_primitive(primitive)
        except Exception:  # whatever pydicom and pynetdicom say of a hostile command set
            self.discard()
            self.dul.event_queue.put("Evt19")

    def send_msg(self, primitive: Any, context_id: int) -> None:
        super().send_msg(primitive, context_id)
        self.busy = False

    def discard(self) -> None:
        """Leave nothing of objects that did not come to their end, or that nobody will answer for."""
        while self._open:
            with suppress(KeyError):  # it is being kept at this moment
                self._open.pop().discard()


class _Bounded(BytesIO):
    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > self._most:
            raise ValueError("too long")
        return super().write(content)


class Content(_Bounded):
    """The data set of a message as it comes in."""

    def __init__(
        self, message: DIMSEMessage, begin: Callable[[DIMSEMessage], Receiving], opened: set[Receiving]
    ) -> None:
        super().__init__(_LONGEST_QUERY)
        self._message, self._begin, self._open = message, begin, opened
        self._object: Receiving | None = None
        self._full = False

    def write(self, content: Any) -> int:
        if type(self._message) is DIMSEMessage:
            raise ValueError("data before its command")
        if not isinstance(self._message, C_STORE_RQ):
            self._most = _LONGEST_LIST if isinstance(self._message, N_ACTION_RQ) else _LONGEST_QUERY
            return super().write(content)
        if not self._full:
            try:
                if self._object is None:
                    self._object = self._begin(self._message)
                    self._open.add(self._object)
                self._object.write(content)
            except (NoRoom, OSError):  # the rest is read and dropped, and the answer says it
                self._full = True
                self.discard()
        return len(content)

    def keep(self) -> None:
        """Bring the object to the disk; `NoRoom` or `OSError` where there is none, `ValueError` if empty."""
        if self._full:
            raise NoRoom("The disk of incoming images is full up to its reserve (reserve_bytes); free space.")
        if self._object is None or self._object not in self._open:
            raise ValueError("empty")
        self._open.discard(self._object)  # from here on the end of the association does not discard it
        try:
            self._object.keep()
        finally:
            self._object.discard()

    def discard(self) -> None:
        if self._object is not None:
            self._open.discard(self._object)
            self._object.discard()


SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""PS3.4 table B.2-1."""
CALLED_AE, CALLING_AE = (0x01, 0x01, 0x07), (0x01, 0x01, 0x03)
LOCAL_LIMIT = (0x02, 0x03, 0x02)
"""Result, source and reason of a rejection (PS3.8 9.3.4)."""
_HANDSHAKE_SECONDS = 10
_UID = re.compile(r"[0-9.]{1,64}")

Worklist = Callable[[Event, HospitalSystem], Iterator[tuple[int, Any]]]
"""Answers a C-FIND of the modality worklist: statuses with their data sets (pynetdicom, EVT_C_FIND)."""
log = structlog.get_logger()


class Acceptor:
    """Serves associations that come over `listening`, until it is stopped."""

    def __init__(
        self,
        configuration: Configuration,
        listening: socket.socket,
        spool: Spool,
        imported: Callable[[Collection[str]], dict[str, bool]],
        worklist: Worklist | None = None,
    ) -> None:
        """`imported` says which of some SOP Instance UIDs wait no more, and whether each is in a case."""
        assert configuration.listen is not None
        self.configuration = configuration
        self.listener = configuration.listen
        self._spool = spool
        self._worklist = worklist
        self._commitment = Commitment(configuration, spool, imported)
        _config.LOG_HANDLER_LEVEL = "none"
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it says patients' words
        ae = AE(self.listener.ae_title)
        ae.maximum_pdu_size = MAXIMUM_PDU
        ae.maximum_associations = 10 * self.listener.associations  # ours is told with a line
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = self.listener.silent_seconds
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_ABORTED, self._on_ended),
            (evt.EVT_CONN_CLOSE, self._on_ended),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_ACTION, self._on_commit),
            (evt.EVT_C_FIND, self._on_find),
        ]
        self._server = _Server(self, ae, listening, handlers)

    def serve(self) -> None:
        """Until `stop` is called in another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self, seconds: float) -> None:
        """Take no more; what is coming in may end, for so long, the rest is aborted."""
        self._server.shutdown_polling()
        end = time.monotonic() + seconds
        while associations := self._server.active_associations:
            for assoc in associations:
                provider: Any = assoc.dimse
                if not provider.busy or time.monotonic() > end:
                    assoc.abort()
            if time.monotonic() > end + 1:
                break
            time.sleep(0.05)
        self._commitment.stop()

    def begin(self, assoc: Association, message: DIMSEMessage) -> Receiving:
        """The place in the spool for an object whose command has come."""
        command = message.command_set
        context = next(one for one in assoc.accepted_contexts if one.context_id == message.context_id)
        uid, sop_class = str(command.AffectedSOPInstanceUID), str(command.AffectedSOPClassUID)
        if not _UID.fullmatch(uid) or sop_class != context.abstract_syntax:
            raise ValueError("no UID")
        if sop_class not in STORAGE_CLASSES:  # whoever may not store has a context of something else
            raise ValueError("no object")
        peer = peer_of(assoc)
        syntax = str(context.transfer_syntax[0])
        return self._spool.receive(Origin(peer.name, peer.ae_title or "", sop_class, uid, syntax, now()))

    def _on_requested(self, event: Event) -> None:
        """Know who calls, and offer what it may (PS3.8 9.3.4 says how to refuse)."""
        assoc: Any = event.assoc
        request = assoc.requestor.primitive
        calling, called = request.calling_ae_title, request.called_ae_title
        address = assoc.requestor.address_info.address
        peer = self.configuration.caller(address, calling)
        many = len(self._server.active_associations)
        if peer is None:
            self._reject(assoc, CALLING_AE, "unknown_calling_ae", address, ae_title=calling)
        elif called != self.listener.ae_title:
            self._reject(assoc, CALLED_AE, "other_called_ae", address, peer=peer.name, ae_title=called)
        elif many > self.listener.associations:
            self._reject(assoc, LOCAL_LIMIT, "too_many_associations", address, peer=peer.name)
        else:
            assoc.peer = peer
            assoc.acceptor.supported_contexts = [
                context
                for service in peer.allow
                if service is not Service.WORKLIST or self._worklist is not None
                for context in offered(service)
            ]

    def _reject(self, assoc: Any, reason: tuple[int, int, int], word: str, address: str, **more: str) -> None:
        assoc.logged = True
        log.warning("dicom_refused", reason=word, address=address, **more)
        assoc.acse.send_reject(*reason)
        assoc.kill()

    def _on_accepted(self, event: Event) -> None:
        refused = sorted({str(context.abstract_syntax) for context in event.assoc.rejected_contexts})
        if refused:
            peer = peer_of(event.assoc).name
            log.warning("dicom_contexts_refused", peer=peer, classes=refused[:20], count=len(refused))

    def _on_ended(self, event: Event) -> None:
        """Tidy what did not come to its end, and say why it did not: one line an association."""
        assoc: Any = event.assoc
        provider, connection = assoc.dimse, assoc.dul.socket
        unfinished = provider.message is not None
        provider.discard()
        fault = assoc.dul.event_queue.fault or connection.fault
        if not fault and (assoc.dul.artim_timer.expired or assoc.dul.idle_timer_expired()):
            fault = "silent"
        elif not fault and (unfinished or (assoc.is_established and not assoc.is_released)):
            fault = "cut"
        if fault and not assoc.logged:
            assoc.logged = True
            name = assoc.peer.name if assoc.peer is not None else ""
            address = assoc.requestor.address_info.address
            log.warning("dicom_association_failed", reason=fault, peer=name, address=address)

    def _on_store(self, event: Event) -> int:
        content = event.request.DataSet  # type: ignore[union-attr]
        peer = peer_of(event.assoc)
        assert isinstance(content, Content)
        try:
            content.keep()
        except (NoRoom, OSError) as error:
            fault = error.strerror if isinstance(error, OSError) else "reserve"
            self._spool.note_refusal()
            log.error("dicom_store_refused", reason="out_of_resources", fault=fault, peer=peer.name)
            return OUT_OF_RESOURCES
        except ValueError:
            self._spool.note_refusal()
            log.warning("dicom_store_refused", reason="empty", peer=peer.name)
            return CANNOT_UNDERSTAND
        return SUCCESS

    def _on_commit(self, event: Event) -> tuple[int, None]:
        return self._commitment.request(event, peer_of(event.assoc)), None

    def _on_find(self, event: Event) -> Iterator[tuple[int, Any]]:
        assert self._worklist is not None  # else its context is not offered
        yield from self._worklist(event, peer_of(event.assoc))


def peer_of(assoc: Any) -> HospitalSystem:
    """Who is at the other end of an association that was accepted."""
    peer: HospitalSystem = assoc.peer
    return peer


class _Handler(RequestHandler):
    server: _Server

    def _create_association(self) -> Association:
        assoc: Any = super()._create_association()
        assoc.dul.event_queue = Events()
        assoc.dul.socket = BoundedSocket(assoc, client_socket=self.request)
        acceptor = self.server.acceptor
        assoc.dul.socket.seconds = float(acceptor.listener.silent_seconds)
        assoc.dimse = BoundedProvider(assoc, lambda message: acceptor.begin(assoc, message))
        assoc.peer, assoc.logged = None, False
        made: Association = assoc
        return made


class _Server(ThreadedAssociationServer):
    """pynetdicom's server over a socket that listens already, closed to unknown addresses."""

    daemon_threads = True

    def __init__(self, acceptor: Acceptor, ae: AE, listening: socket.socket, handlers: list[Any]) -> None:
        self.acceptor = acceptor
        self._listening = listening
        self._tls = server_context(acceptor.listener)
        self._most = 2 * acceptor.listener.associations + 8
        super().__init__(
            ae, listening.getsockname()[:2], acceptor.listener.ae_title, [], None, handlers, _Handler
        )

    def server_bind(self) -> None:
        """Take the socket that is bound: whichever process is first to accept has the connection."""
        self.socket.close()  # type: ignore[union-attr]
        self.socket = self._listening
        self.socket.setblocking(False)
        self.server_address = self._listening.getsockname()[:2]

    def server_activate(self) -> None:
        """It listens already."""

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self._listening.accept()
        connection.settimeout(self.acceptor.listener.silent_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether anybody may call from there; the connection is closed if not."""
        address = client_address[0]
        known = any(peer.calls_from(address) for peer in self.acceptor.configuration.peers)
        crowded = threading.active_count() > 2 * self._most
        if not known or crowded:
            reason = "too_many_connections" if known else "unknown_address"
            log.warning("dicom_refused", reason=reason, address=address)
        return known and not crowded

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is not None:
            request.settimeout(_HANDSHAKE_SECONDS)
            try:
                request = self._tls.wrap_socket(request, server_side=True)
            except (OSError, ValueError):
                log.warning("dicom_refused", reason="tls", address=client_address[0])
                request.close()
                return
            request.settimeout(self.acceptor.listener.silent_seconds)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.error("dicom_failed", exc_info=True)

    def service_actions(self) -> None:
        """Garbage is collected as it comes; pynetdicom would stop everything for it every minute."""

    def shutdown_polling(self) -> None:
        """End `serve_forever`, and leave the socket to the other processes."""
        super(AssociationServer, self).shutdown()
