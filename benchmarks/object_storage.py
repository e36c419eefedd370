"""What sealing, checking and asking cost over an object storage: the file store against obstore alone.

    python benchmarks/object_storage.py [--images 500] [--kilobytes 512] [--slices 600]
    python benchmarks/object_storage.py --endpoint https://s3.hastane.local --bucket trial --key-file FILE

Both put and get the same number of images of the same size in the same bucket, in turns of ten, so that a
busy machine slows both alike; the ratio is that of the sums. The server is Ceph's RADOS Gateway in the memory
of this machine (of the tests) unless one is named; `FILE` holds its access key and its secret, a line each.

Then a CT of `--slices` files is paged through twice in `FileStore.plain`, as the decoder reads it, from the
bucket and from a folder: what a cache of sealed files on the disk could save at most.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import obstore

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.records.object_storage import ObjectStorage
from tetkik.records.files import FileStore
from tetkik.records.keyring import open_keyring
from tetkik.records.storage.folder import FileStorage, FolderStorage
from tetkik.records.storage.s3 import Bucket, S3Storage
from tetkik.records.vault import Key, Vault

_TURN = 10
_LEAST = 0.8


def main() -> None:
    """Print rates and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kilobytes", type=int, default=512, help="of an image")
    parser.add_argument("--slices", type=int, default=600, help="of the CT")
    parser.add_argument("--endpoint")
    parser.add_argument("--bucket")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--key-file", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as folder, bucket_of(given) as bucket:
        measure(bucket, Path(folder), given.images, given.kilobytes << 10)
        page_through(bucket, Path(folder), given.slices, given.kilobytes << 10)


@contextmanager
def bucket_of(given: argparse.Namespace) -> Iterator[Bucket]:
    """The bucket that was named, or a fresh one of a gateway of our own."""
    if given.endpoint:
        key, secret = given.key_file.read_text("utf-8").split()
        yield Bucket(given.endpoint, given.bucket, f"bench-{os.getpid()}", given.region, key, secret)
        return
    gateway = ObjectStorage()
    try:
        yield gateway.bucket()
    finally:
        gateway.stop()


def store_of(storage: FileStorage, folder: Path) -> tuple[FileStore, Key]:
    """A file store with a fresh key of a patient."""
    from tests.records.kit import made_sqlite
    from tetkik.choices import Cipher
    from tetkik.records.database import _engine
    from tetkik.records.keyring import MasterKey

    engine = _engine(made_sqlite(folder / "tetkik.db"))
    vault: Vault = open_keyring(engine, MasterKey(folder / "keys" / "master.key"), Cipher.AES_256_GCM)
    engine.dispose()
    return FileStore(storage, folder / "tmp", vault), Key(os.urandom(32), Cipher.AES_256_GCM)


def measure(bucket: Bucket, folder: Path, images: int, size: int) -> None:
    """Put and get."""
    (folder / "tmp").mkdir(exist_ok=True)
    storage = S3Storage(bucket, folder / "tmp")
    files, key = store_of(storage, folder)
    names: list[str] = []
    contents = [os.urandom(size) for _ in range(_TURN)]

    def put(turn: int) -> None:
        for one, content in enumerate(contents):
            names.append(files.put(key, f"{turn}-{one}", BytesIO(content)).name)

    def put_bare(turn: int) -> None:
        for one, content in enumerate(contents):
            obstore.put(storage._store, f"bare/{turn}-{one}", content)

    def get(turn: int) -> None:
        for name in names[turn * _TURN : (turn + 1) * _TURN]:
            files.get(key, name)

    def get_bare(turn: int) -> None:
        for one in range(_TURN):
            obstore.get(storage._store, f"bare/{turn}-{one}").bytes()

    for what, ours, bare in (("put", put, put_bare), ("get", get, get_bare)):
        took, alone = turns(images // _TURN, ours, bare)
        ratio = alone / took
        print(f"{what}: {images / took:.0f} images/s, obstore alone {images / alone:.0f}; ratio {ratio:.2f}")
        cell = judged(f"{ratio:.2f} ({images / took:.0f} images/s)", met=ratio >= _LEAST)
        record(f"object-storage/{what}", {"reached": cell, "n": f"{images}"})


def turns(count: int, ours: Callable[[int], None], bare: Callable[[int], None]) -> tuple[float, float]:
    """Seconds of both, in turns; the first, which opens connections, does not count."""
    took = alone = 0.0
    for turn in range(count + 1):
        began = time.perf_counter()
        ours(turn)
        between = time.perf_counter()
        bare(turn)
        if turn:
            took, alone = took + between - began, alone + time.perf_counter() - between
    return took, alone


def page_through(bucket: Bucket, folder: Path, slices: int, size: int) -> None:
    """A CT from the bucket and from a folder, as the decoder reads it."""
    places: dict[str, FileStorage] = {
        "bucket": S3Storage(bucket, folder / "tmp"),
        "folder": FolderStorage(folder / "files", folder / "tmp"),
    }
    seconds = {}
    for name, storage in places.items():
        files, key = store_of(storage, folder)
        kept = [files.put(key, "ct", BytesIO(os.urandom(size))).name for _ in range(slices)]
        for _ in range(2):  # the second time is kept
            began = time.perf_counter()
            for one in kept:
                with files.plain(key, one) as path:
                    path.read_bytes()
            seconds[name] = time.perf_counter() - began
    each = {name: 1000 * took / slices for name, took in seconds.items()}
    print(f"a slice again: bucket {each['bucket']:.1f} ms, folder {each['folder']:.1f} ms, n = {slices}")
    cell = f"{each['bucket']:.1f} ms; {each['folder']:.1f} ms"
    record("object-storage/slice", {"reached": cell, "n": f"{slices}"})


if __name__ == "__main__":
    main()
