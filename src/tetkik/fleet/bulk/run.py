"""A run and its folder: the manifest, the list of inputs, the parts that are written."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import dataset, parquet
from pydantic import BaseModel, ConfigDict, ValidationError

from tetkik.errors import OutputError, UsageError, as_fault_of
from tetkik.files import written_whole
from tetkik.fleet.bulk.job import Job
from tetkik.fleet.bulk.listing import write_listing

MANIFEST, LISTING, KEY = "manifest.json", "inputs.parquet", "paths.key"
_PRIVATE = 0o600


class Manifest(BaseModel):
    """What a folder of parts was made of. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = 1
    task: str
    input: str
    images: str
    column: str | None
    model: str
    bundle_sha256: str
    tetkik: str
    language: str
    answer_settings: dict[str, str]
    hashed_paths: bool
    rows: int = 0
    parts: int = 0
    complete: bool = False


Entries = Any
"""A table as `listing.SCHEMA` says: the inputs of a part."""


class Runner(Protocol):
    """Scores parts somewhere; one that it lost it leaves out, and is asked for it again."""

    def __call__(
        self, job: Job, entries: Callable[[int], Entries], parts: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """The parts' numbers, in any order, with their rows as Parquet."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """How a run ended: the rows in its folder, and those of them that hold an error."""

    rows: int
    errors: int
    parts: int
    kept: int
    """Parts that an earlier run had written."""


def run_bulk(
    job: Job,
    out: Path,
    runner: Runner,
    *,
    part_rows: int,
    hash_paths: bool = False,
    progress: Callable[[int, int], None] = lambda done, parts: None,
) -> BulkResult:
    """Score every input into parts in `out`; those that are there already are kept.

    Args:
        part_rows: inputs of a part.
        hash_paths: whether rows name files by a keyed hash; the key is `paths.key` in `out`.
        progress: told how many parts are written, of how many.

    Raises:
        UsageError: `out` holds another run.
        OutputError: `out` holds something else, or cannot be written.
        InputError: there is nothing to score, or it cannot be reached.
    """
    with as_fault_of(out):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    manifest = _earlier(job, out, hash_paths)
    if hash_paths:
        job = replace(job, path_key=_key(out))
    if manifest is None:
        manifest = _begin(job, out, part_rows, hash_paths)
    names = [f"part-{number:06d}.parquet" for number in range(manifest.parts)]
    for left in out.glob(".part-*.part"):  # of a run that was killed
        left.unlink(missing_ok=True)
    missing = [number for number, name in enumerate(names) if not (out / name).is_file()]
    kept = done = manifest.parts - len(missing)
    progress(done, manifest.parts)
    if missing:
        with parquet.ParquetFile(out / LISTING) as listing:
            while missing:
                waiting = set(missing)
                for number, content in runner(job, listing.read_row_group, missing):
                    with written_whole(out / names[number], mode=_PRIVATE) as file:
                        file.write(content)
                    waiting.discard(number)
                    progress(manifest.parts - len(waiting), manifest.parts)
                if len(waiting) == len(missing):
                    raise OutputError(
                        "No part came back of those that are left ({count}); look into the logs of the nodes "
                        "and run the command again: what was written is kept.",
                        count=len(missing),
                    )
                missing = sorted(waiting)
    if not manifest.complete:
        manifest = manifest.model_copy(update={"complete": True})
        _write(out, manifest)
        (out / LISTING).unlink(missing_ok=True)
    written = dataset.dataset([str(out / name) for name in names])
    errors = written.count_rows(filter=dataset.field("error").is_valid())
    return BulkResult(manifest.rows, errors, manifest.parts, kept)


def _wanted(job: Job, hash_paths: bool) -> Manifest:
    return Manifest(
        task=job.task.value,
        input=job.input.address,
        images=job.images.address,
        column=job.column,
        model=job.model,
        bundle_sha256=job.bundle_sha256,
        tetkik=job.version,
        language=job.language.value,
        answer_settings=dict(job.answer_settings),
        hashed_paths=hash_paths,
    )


def _earlier(job: Job, out: Path, hash_paths: bool) -> Manifest | None:
    """The manifest in `out`, where that is one of the same run; None where nothing is there."""
    try:
        found = Manifest.model_validate_json((out / MANIFEST).read_bytes())
    except FileNotFoundError:
        if {path.name for path in out.iterdir() if not path.name.startswith(".")} - {LISTING, KEY}:
            raise OutputError(
                "{target} holds something else than a run of `tetkik bulk`; choose another --out.", target=out
            ) from None
        return None
    except ValidationError:
        raise OutputError(
            "{path} is damaged or of another Tetkik; choose another --out.", path=out / MANIFEST
        ) from None
    wanted = _wanted(job, hash_paths)
    for name in Manifest.model_fields:
        before, now = getattr(found, name), getattr(wanted, name)
        if name not in {"rows", "parts", "complete"} and before != now:
            raise UsageError(
                "{out} holds another run ({name}: {before}, and now {now}); choose another --out.",
                out=out,
                name=name,
                before=before,
                now=now,
            )
    return found


def _begin(job: Job, out: Path, part_rows: int, hash_paths: bool) -> Manifest:
    with written_whole(out / LISTING, mode=_PRIVATE) as file:
        rows = write_listing(job, file, part_rows)
    parts = parquet.read_metadata(out / LISTING).num_row_groups
    manifest = _wanted(job, hash_paths).model_copy(update={"rows": rows, "parts": parts})
    _write(out, manifest)
    return manifest


def _write(out: Path, manifest: Manifest) -> None:
    with written_whole(out / MANIFEST, mode=_PRIVATE) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")


def _key(out: Path) -> bytes:
    """The key of hashed paths: made once; who has it can find out which path a hash stands for."""
    path = out / KEY
    if not path.exists():
        with written_whole(path, mode=_PRIVATE) as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def as_bytes(entries: Entries) -> bytes:
    """A table as Arrow's stream, for another process."""
    target = pa.BufferOutputStream()
    with pa.ipc.new_stream(target, entries.schema) as stream:
        stream.write_table(entries)
    content: bytes = target.getvalue().to_pybytes()
    return content


def from_bytes(content: bytes) -> Entries:
    with pa.ipc.open_stream(content) as stream:
        return stream.read_all()
