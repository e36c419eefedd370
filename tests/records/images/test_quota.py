"""What one person may upload in a day: counted in the database, for that person, for that day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.records.kit import made_case, made_user
from tests.records.pictured import film, put
from tetkik.errors import TooManyRequests
from tetkik.records.images import images
from tetkik.records.images.images import UploadQuota
from tetkik.values import Role


@pytest.mark.both_databases
def test_what_is_kept_counts_for_its_sender_for_a_day(both_records):
    desk = made_user(both_records, Role.RECEPTION)
    sender, other = (made_user(both_records, Role.TECHNICIAN) for _ in range(2))
    case = made_case(both_records, desk)
    for seed in (0, 1, 1):
        put(both_records, sender, case, seed)
    size = len(film(0)) + len(film(1))

    def used(actor):
        with both_records.read(actor) as tx:
            return images.measure_usage(tx)

    assert used(sender) == UploadQuota(2, size) and used(other) == UploadQuota(0, 0)
    with both_records.write(sender) as tx:
        images.lock_uploads(tx)
        images.check_quota(tx, UploadQuota(3, size + 10), UploadQuota(1, 10))
        with pytest.raises(TooManyRequests, match="upload_files_per_day"):
            images.check_quota(tx, UploadQuota(2, size + 10), UploadQuota(1, 10))
        with pytest.raises(TooManyRequests, match="upload_bytes_per_day"):
            images.check_quota(tx, UploadQuota(3, size + 9), UploadQuota(1, 10))
        tx.now += timedelta(days=1, seconds=1)
        assert images.measure_usage(tx) == UploadQuota(0, 0)
