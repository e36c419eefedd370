"""A large file on the disk: sealed, read from anywhere, and gone with its process."""

from __future__ import annotations

import os

import pytest

from tetkik.service.kit.http.incoming_files import MOST_AT_ONCE, EncryptedSpool

MARK = b"GIZLI HASTA ADI "


def test_what_was_written_is_read_from_anywhere_and_the_disk_never_shows_it(tmp_path):
    content = os.urandom(1 << 20) + MARK * 100_000 + os.urandom(12_345)
    with EncryptedSpool(tmp_path) as spool:
        for start in range(0, len(content), 300_001):
            spool.write(content[start : start + 300_001])
        spool.seal()
        for start, size in ((0, 10), (len(content) - 5, 50), ((1 << 20) - 3, 9), (700_000, 2_000_000)):
            assert spool.seek(start) == start
            assert spool.read(size) == content[start : start + size]
        assert spool.seek(-7, os.SEEK_END) == len(content) - 7 and spool.read() == content[-7:]
        assert list(tmp_path.iterdir()) == []  # it has no name from the start
        descriptor = spool._file.fileno()
        assert MARK not in os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def test_more_at_once_than_anything_sound_asks_for_is_refused(tmp_path):
    with EncryptedSpool(tmp_path) as spool:
        spool.write(bytes(MOST_AT_ONCE + 1))
        spool.seal()
        with pytest.raises(ValueError, match="too much"):
            spool.read()
        with pytest.raises(OSError, match="before"):
            spool.seek(-1)
        assert len(spool.read(MOST_AT_ONCE)) == MOST_AT_ONCE
