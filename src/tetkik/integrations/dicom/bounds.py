"""pynetdicom within bounds: what a peer sends is read with a deadline, and never more than it may be.

An object of C-STORE goes piece by piece from the network into the spool, so that no image lies in memory.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.transport import AssociationSocket

from tetkik.integrations.dicom.spool import NoRoom, Receiving

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
