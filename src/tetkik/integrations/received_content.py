"""What the records keep of the header of a received file."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tetkik.integrations.configuration import Peer
from tetkik.integrations.dicom.headers import Header
from tetkik.records.images.receiving import ReceivedContent
from tetkik.values import Identity

_AHEAD = timedelta(minutes=5)
"""A study that was made so long after it came shows that the sender's clock is ahead."""


def content_of(header: Header, peer: Peer | None, received_at: datetime, zone: ZoneInfo) -> ReceivedContent:
    """What a file of a peer says of its study; `zone` is the hospital's."""
    offset = timedelta(minutes=peer.clock_offset_minutes if peer is not None else 0)
    made_at = _made_at(header.identity, zone, offset)
    ahead = made_at - received_at if made_at is not None else timedelta()
    issuer = peer.issuer if peer is not None else ""
    return ReceivedContent(
        identity=header.identity,
        modality=header.tags.modality,
        body_part=header.tags.body_part,
        description=header.description[:200],
        issuer=header.issuer or issuer,
        accession_issuer=header.accession_issuer or issuer,
        made_at=made_at,
        clock_ahead=int(ahead.total_seconds() // 60) if ahead > _AHEAD else None,
        declared=header.declared[:40],
        repaired=header.repaired,
        proposed=header.proposed,
    )


def _made_at(identity: Identity, zone: ZoneInfo, offset: timedelta) -> datetime | None:
    """When a study was made, by the file, with the sender's clock put right; None where it does not say."""
    date, time = identity.study_date or "", (identity.study_time or "").partition(".")[0]
    with suppress(ValueError, OverflowError):
        stated = datetime.strptime(date + time.ljust(6, "0")[:6], "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if identity.study_offset:
            stated = stated.replace(tzinfo=datetime.strptime(identity.study_offset, "%z").tzinfo)
        return stated.astimezone(UTC) - offset
    return None
