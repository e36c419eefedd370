"""How much one person may upload in a day (OWASP ASVS 12.1.3); counted from the stored images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from tetkik.errors import TooManyRequests
from tetkik.records.database import Transaction
from tetkik.records.schema import Image, User

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """Of one person in 24 hours."""

    files: int
    size: int


def measure_usage(tx: Transaction) -> UploadQuota:
    """What the actor has uploaded in the last 24 hours; a file that was there before counts once."""
    found = select(func.count(), func.coalesce(func.sum(Image.size), 0)).where(
        Image.created_by == tx.actor.user_id, Image.created_at > tx.now - _DAY
    )
    files, size = tx.session.execute(found).one()
    return UploadQuota(files, int(size))


def check_quota(tx: Transaction, most: UploadQuota, more: UploadQuota) -> None:
    """Refuse more than a person may upload in 24 hours."""
    if tx.actor.user_id is None:
        return
    now = measure_usage(tx)
    if now.files + more.files > most.files:
        raise TooManyRequests(
            "You have uploaded {files} images in 24 hours, as many as one person may; go on later, or ask "
            "for the setting upload_files_per_day to be raised.",
            files=now.files,
        )
    if now.size + more.size > most.size:
        raise TooManyRequests(
            "This file goes beyond the {megabytes} MB that one person may upload in 24 hours; go on later, "
            "or ask for the setting upload_bytes_per_day to be raised.",
            megabytes=most.size // 1_000_000,
        )


def lock_uploads(tx: Transaction) -> None:
    """Let nobody else count the actor's uploads until this transaction is over.

    SQLite has one writer in any case; on PostgreSQL two uploads at once would each not see the other.
    """
    if tx.actor.user_id is not None:
        tx.session.execute(select(User.id).where(User.id == tx.actor.user_id).with_for_update())
