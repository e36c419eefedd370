"""A run and its folder: the manifest, the list of inputs, the parts that are written."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import dataset, fs, parquet
from pydantic import BaseModel, ConfigDict, ValidationError

from tetkik._version import __version__
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import Bundle, resolve
from tetkik.choices import Device
from tetkik.csv_rows import each_row
from tetkik.errors import (
    BundleMismatch,
    DataError,
    InputError,
    OutputError,
    TetkikError,
    UsageError,
    as_fault_of,
    file_fault,
)
from tetkik.files import inside, written_whole
from tetkik.imaging.limits import check_bytes, read_file
from tetkik.language import Language
from tetkik.settings import settings

# Where inputs lie: a folder or a file of this machine, or of S3.


_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Location:
    """An absolute path of this machine, or `s3://bucket/key` with what `pyarrow.fs` takes behind a `?`."""

    address: str

    @classmethod
    def of(cls, text: str) -> Location:
        """The location that somebody wrote.

        Raises:
            UsageError: an address of another kind, or with a password in it.
        """
        if not text.startswith(_S3):
            if "://" in text:
                raise UsageError("{input} is neither a path nor an address s3://…; give one.", input=text)
            return cls(str(Path(text).expanduser().resolve()))
        if "@" in urlsplit(text).netloc:
            raise UsageError(
                "The address of the bucket holds a password; leave it out and set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY in the environment."
            )
        return cls(text)

    @property
    def is_local(self) -> bool:
        return not self.address.startswith(_S3)

    def folder(self) -> Location:
        """Where the paths in a table start: beside it."""
        if self.is_local:
            return Location(str(Path(self.address).parent))
        path, mark, options = self.address.partition("?")
        return Location(f"{path.rpartition('/')[0]}{mark}{options}")

    def open(self) -> Storage:
        """The files there.

        Raises:
            InputError: the storage cannot be reached.
        """
        if self.is_local:
            return Storage(fs.LocalFileSystem(), self.address, local=True)
        try:
            system, path = fs.FileSystem.from_uri(self.address)
        except (pa.ArrowException, OSError, ValueError):
            raise unreachable(self.address) from None
        return Storage(system, path, local=False)


@dataclass(frozen=True, slots=True)
class Storage:
    """Files below `root`; a file is named by its path below it, or by "" where `root` is the file itself."""

    system: Any
    root: str
    local: bool

    def path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}" if name else self.root

    def kind(self) -> Any:
        """The `pyarrow.fs.FileType` of the root."""
        return self.system.get_file_info(self.root).type

    def walk(self, name: str = "") -> Iterator[str]:
        """Every file, folder by folder in order of names; hidden ones and links to folders are left out."""
        found = self.system.get_file_info(fs.FileSelector(self.path(name)))
        for info in sorted(found, key=lambda info: info.base_name):
            inner = f"{name}/{info.base_name}".lstrip("/")
            if info.base_name.startswith("."):
                continue
            if info.type == fs.FileType.Directory:
                if not (self.local and Path(info.path).is_symlink()):
                    yield from self.walk(inner)
            elif info.type == fs.FileType.File:
                yield inner

    def stream(self, name: str) -> Any:
        return self.system.open_input_stream(self.path(name))

    def random_access(self, name: str) -> Any:
        return self.system.open_input_file(self.path(name))

    def read(self, name: str, shown: str) -> bytes | TetkikError:
        """A file's content, or what is wrong with it; errors call it `shown`.

        Raises:
            InputError: S3 or a network folder does not answer, which is no file's fault.
        """
        try:
            if self.local:
                return read_file(Path(self.path(name)))
            with self.stream(name) as file:
                data: bytes = file.read(settings().max_image_bytes + 1)
            check_bytes(len(data), shown)
        except TetkikError as error:
            if self.local and not _answers(Path(self.root)):
                raise unreachable(self.root) from None
            return type(error)(error.template, **{**error.values, "file": shown})
        except FileNotFoundError as error:
            error.filename = shown
            return file_fault(error)
        except OSError:
            raise unreachable(f"{_S3}{self.root}") from None
        return data


def _answers(root: Path) -> bool:
    """Whether a folder, or that of a file, can be listed: of a server that is gone it cannot."""
    try:
        with os.scandir(root if root.is_dir() else root.parent) as found:
            next(found, None)
    except OSError:
        return False
    return True


def unreachable(address: str) -> InputError:
    return InputError(
        "{input} cannot be reached; check the address, the network and the credentials, and run the command "
        "again: what was written is kept.",
        input=address.partition("?")[0],
    )


# What a run is: it is the same in every process and on every node, and its rows depend on nothing else.


TABLES = (".parquet", ".csv", ".tsv")
ANSWER_SETTINGS = (
    "findings_provider", "max_image_bytes", "max_image_pixels", "max_text_chars", "rules_out_bound",
    "triage_clinics", "triage_priors", "triage_rules", "triage_urgency_model",
)  # fmt: skip
"""Settings that change answers; every process takes those of the machine that started the run."""


@dataclass(frozen=True, slots=True)
class BulkJob:
    """One run.

    Attributes:
        images: where the paths in a table start.
        column: of a table, with the texts, the images or their paths; None finds it by its name.
        bundle_sha256: of the bundle's manifest, which holds the hash of each of its files.
        version: of Tetkik.
        answer_settings: names and values of `ANSWER_SETTINGS`.
        path_key: paths are written as their HMAC with it; None writes them as they are.
    """

    task: Task
    input: Location
    images: Location
    column: str | None
    model: str
    bundle_sha256: str
    language: Language
    device: Device
    answer_settings: tuple[tuple[str, str], ...]
    version: str = __version__
    path_key: bytes | None = field(default=None, repr=False)

    def shown(self, path: str) -> str:
        """A path as rows and errors name it."""
        if self.path_key is None:
            return path
        return hmac.new(self.path_key, path.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

    def open_bundle(self) -> Bundle:
        """The run's bundle, with the settings of the run in force in this process.

        Raises:
            BundleError: it is not here, damaged, or another than where the run was started.
            UsageError: this process runs another Tetkik.
        """
        if self.version != __version__:
            raise UsageError(
                "This node has Tetkik {here}, and the run was started with {there}; install the same on "
                "every node.",
                here=__version__,
                there=self.version,
            )
        os.environ.update({f"TETKIK_{name.upper()}": value for name, value in self.answer_settings})
        settings.cache_clear()
        bundle = resolve(self.model, self.task)
        if bundle_sha256(bundle) != self.bundle_sha256:
            raise BundleMismatch(
                "The bundle {model} on this node is another than where the run was started; copy the bundle "
                "to every node.",
                model=self.model,
            )
        return bundle


def bundle_sha256(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.path / "manifest.json").read_bytes()).hexdigest()


def make_job(
    task: Task,
    input_: str,
    *,
    model: str | None = None,
    images: str | None = None,
    column: str | None = None,
    device: Device | None = None,
) -> BulkJob:
    """The run over what `input_` names, a folder, a table or `s3://…`, with the settings of this process.

    Raises:
        BundleError: no such model, damaged, or for another task.
        UsageError: the input is no path and no such address.
    """
    chosen = settings()
    location = Location.of(input_)
    is_table = location.address.partition("?")[0].endswith(TABLES)
    base = Location.of(images) if images else location.folder() if is_table else location
    name = model or (chosen.findings_model if task is Task.FINDINGS else chosen.triage_model)
    name = str(Path(name).resolve()) if Path(name).is_dir() else name
    values = tuple(
        (one, str(value)) for one in ANSWER_SETTINGS if (value := getattr(chosen, one)) is not None
    )
    return BulkJob(
        task=task,
        input=location,
        images=base,
        column=column,
        model=name,
        bundle_sha256=bundle_sha256(resolve(name, task)),
        language=chosen.language,
        device=device or chosen.device,
        answer_settings=values,
    )


# The inputs of a run, listed once: a rerun reads the same inputs in the same parts, whatever came since.
#
# A row group of the list is a part. The list holds paths and texts, and is removed when every part is
# written.


SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("source", pa.string()),
        ("source_row", pa.int64()),
        ("path", pa.string()),
        ("group", pa.int32()),
        ("column", pa.string()),
        ("text", pa.large_string()),
        ("error", pa.string()),
    ]
)
"""The number of the input; the file that it lies in, and the row there if that is a table; then one of: a
path below `Job.images`, a row group and column of the table, a text, what is wrong."""
_IMAGE_COLUMNS = ("image", "img", "picture", "pixels", "dicom")
_PATH_COLUMNS = ("path", "file", "filename", "file_name")
_TEXT_COLUMNS = ("text",)
_NO_IMAGES = (*TABLES[1:], ".txt", ".json", ".jsonl", ".xml", ".html", ".md", ".pdf")
"""What lies beside images and describes them; a file without an ending may be DICOM."""
_MOST_BYTES = 32 << 20
"""Of the texts in a part."""
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class BulkEntry:
    """A row of the list, without its number."""

    source: str
    source_row: int | None = None
    path: str | None = None
    group: int | None = None
    column: str | None = None
    text: str | None = None
    error: str | None = None


def write_listing(job: BulkJob, target: IO[bytes], part_rows: int) -> int:
    """List the inputs as Parquet, in row groups of `part_rows`; the number of inputs.

    Raises:
        InputError: nothing is there, or it cannot be reached.
    """
    count, size = 0, 0
    rows: list[dict[str, object]] = []
    with parquet.ParquetWriter(target, SCHEMA) as writer:
        for entry in entries(job):
            rows.append({"row": count, **{name: getattr(entry, name) for name in SCHEMA.names[1:]}})
            count, size = count + 1, size + len(entry.text or "")
            if len(rows) == part_rows or size > _MOST_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows, size = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    if not count:
        raise InputError("There is nothing to score in {input}; check the path.", input=job.input.address)
    return count


def entries(job: BulkJob) -> Iterator[BulkEntry]:
    """Every input, in order; an entry with an error for a table, or a row of one, that cannot be read."""
    storage = job.input.open()
    try:
        kind = storage.kind()
        if kind == fs.FileType.NotFound:
            raise InputError("There is no file {file}; check the path.", file=job.input.address)
        names = storage.walk() if kind == fs.FileType.Directory else iter([""])
        for name in names:
            shown = name or storage.root.rsplit("/", 1)[-1]
            ending = shown.lower()
            images = job.task is Task.FINDINGS
            if ending.endswith(TABLES[:1] if images and name else TABLES):
                yield from _table(job, storage, name, shown)
            elif images and not ending.endswith((*_NO_IMAGES, "dicomdir")):
                yield BulkEntry(shown, path=name)
    except OSError as error:
        raise (file_fault(error) if storage.local else unreachable(job.input.address)) from None


def _table(job: BulkJob, storage: Storage, name: str, shown: str) -> Iterator[BulkEntry]:
    try:
        if shown.lower().endswith(TABLES[0]):
            yield from _parquet(job, storage, name, shown)
        else:
            yield from _csv(job, storage, name, shown)
    except DataError as fault:  # what came before it is listed
        yield BulkEntry(shown, error=_sentence(job, fault))


def _csv(job: BulkJob, storage: Storage, name: str, shown: str) -> Iterator[BulkEntry]:
    column = job.column or ("text" if job.task is Task.TRIAGE else "path")
    with storage.stream(name) as file:
        for number, row in enumerate(each_row(job.shown(shown), (column,), cast(RawIOBase, file))):
            yield _cell(job, shown, number, row if isinstance(row, DataError) else row[0])


def _parquet(job: BulkJob, storage: Storage, name: str, shown: str) -> Iterator[BulkEntry]:
    try:
        with storage.random_access(name) as opened, parquet.ParquetFile(opened) as file:
            column, packed = _column(job, file.schema_arrow, shown)
            number = 0
            if packed:
                for group in range(file.num_row_groups):
                    for _ in range(file.metadata.row_group(group).num_rows):
                        yield BulkEntry(shown, number, path=name, group=group, column=column)
                        number += 1
                return
            for batch in file.iter_batches(_BATCH, columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _cell(job, shown, number, value)
                    number += 1
    except (pa.ArrowException, ValueError):
        raise damaged(job.shown(shown)) from None


def damaged(shown: str) -> DataError:
    return DataError("{path} is damaged or cut short; fetch it again.", path=shown)


def _column(job: BulkJob, schema: Any, shown: str) -> tuple[str, bool]:
    """The column that is read, and whether it holds images and not their paths."""
    known = _TEXT_COLUMNS if job.task is Task.TRIAGE else (*_IMAGE_COLUMNS, *_PATH_COLUMNS)
    for name in (job.column,) if job.column else known:
        place = schema.get_field_index(name)
        kind = schema.field(place).type if place >= 0 else pa.null()
        if job.task is Task.FINDINGS and _holds_bytes(kind):
            return name, True
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return name, False
    raise DataError(
        "{path} has no column {column} that can be read (its columns are: {names}); name one with --column.",
        path=job.shown(shown),
        column=job.column or known[0],
        names=", ".join(schema.names)[:200],
    )


def _holds_bytes(kind: Any) -> bool:
    """Plain bytes, or a structure with them as `datasets` keeps images."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _cell(job: BulkJob, shown: str, number: int, value: str | DataError | None) -> BulkEntry:
    if isinstance(value, DataError):
        return BulkEntry(shown, number, error=_sentence(job, value))
    if job.task is Task.TRIAGE and value is not None:
        return BulkEntry(shown, number, text=value)
    path = inside(value or "")
    if path is not None:
        return BulkEntry(shown, number, path=path)
    fault = DataError(
        "Row {row} of {path} has no text and no path below the folder of the images; correct it.",
        row=number + 1,
        path=job.shown(shown),
    )
    return BulkEntry(shown, number, error=_sentence(job, fault))


def _sentence(job: BulkJob, fault: TetkikError) -> str:
    return fault.in_language(job.language)


MANIFEST, LISTING, KEY = "manifest.json", "inputs.parquet", "paths.key"
_PRIVATE = 0o600


class BulkManifest(BaseModel):
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
        self, job: BulkJob, entries: Callable[[int], Entries], parts: Sequence[int]
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
    job: BulkJob,
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


def _wanted(job: BulkJob, hash_paths: bool) -> BulkManifest:
    return BulkManifest(
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


def _earlier(job: BulkJob, out: Path, hash_paths: bool) -> BulkManifest | None:
    """The manifest in `out`, where that is one of the same run; None where nothing is there."""
    try:
        found = BulkManifest.model_validate_json((out / MANIFEST).read_bytes())
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
    for name in BulkManifest.model_fields:
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


def _begin(job: BulkJob, out: Path, part_rows: int, hash_paths: bool) -> BulkManifest:
    with written_whole(out / LISTING, mode=_PRIVATE) as file:
        rows = write_listing(job, file, part_rows)
    parts = parquet.read_metadata(out / LISTING).num_row_groups
    manifest = _wanted(job, hash_paths).model_copy(update={"rows": rows, "parts": parts})
    _write(out, manifest)
    return manifest


def _write(out: Path, manifest: BulkManifest) -> None:
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
