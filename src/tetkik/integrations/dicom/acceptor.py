"""One process that takes associations: who calls is known, what it may is offered, the rest refused.

Several of these share one listening socket (`integrations.listening`).
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import structlog
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.events import Event
from pynetdicom.transport import AssociationServer, RequestHandler, ThreadedAssociationServer

from tetkik.integrations.configuration import Configuration, Peer, Service
from tetkik.integrations.dicom.bounds import MAXIMUM_PDU, BoundedProvider, BoundedSocket, Content, Events
from tetkik.integrations.dicom.commitment import Commitment
from tetkik.integrations.dicom.offer import STORAGE_CLASSES, offered
from tetkik.integrations.dicom.spool import NoRoom, Origin, Receiving, Spool, now
from tetkik.integrations.tls import server_context

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""PS3.4 table B.2-1."""
CALLED_AE, CALLING_AE = (0x01, 0x01, 0x07), (0x01, 0x01, 0x03)
LOCAL_LIMIT = (0x02, 0x03, 0x02)
"""Result, source and reason of a rejection (PS3.8 9.3.4)."""
_HANDSHAKE_SECONDS = 10
_UID = re.compile(r"[0-9.]{1,64}")

Worklist = Callable[[Event, Peer], Iterator[tuple[int, Any]]]
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


def peer_of(assoc: Any) -> Peer:
    """Who is at the other end of an association that was accepted."""
    peer: Peer = assoc.peer
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
