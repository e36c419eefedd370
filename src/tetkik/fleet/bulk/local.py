"""Parts scored by processes of this machine, each with the model and as many threads as it has cores."""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from threading import Thread
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import fs, parquet

from tetkik.bundle.manifest import Task
from tetkik.errors import InputError, OutputError, TetkikError
from tetkik.findings.predict import BATCH, Findings, Preprocessed, PreprocessWorker, Study
from tetkik.findings.predict import load_model as load_findings_model
from tetkik.fleet.bulk.run import BulkJob, Entries, Storage, damaged, unreachable
from tetkik.imaging.image_source import StoredContent
from tetkik.settings import cores, settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values.complaint import TriageResult

# One part in, its rows with answers out: the same function in a local process and in an actor of Ray.


Row = dict[str, Any]
_LINEAGE = [
    ("row", pa.int64()),
    ("source", pa.string()),
    ("source_row", pa.int64()),
    ("path", pa.string()),
    ("input_sha256", pa.string()),
    ("model", pa.string()),
    ("bundle_sha256", pa.string()),
    ("tetkik", pa.string()),
    ("error", pa.string()),
]


class Scorer(Protocol):
    """A loaded model."""

    @property
    def model(self) -> str:
        """Id and version."""

    @property
    def columns(self) -> list[tuple[str, Any]]:
        """Names and types of the answer's columns."""

    def answers(self, entries: Sequence[Row]) -> Iterator[tuple[str | None, Row | TetkikError]]:
        """For each entry of the list the SHA-256 of its content and its answer, or an error."""


@cache
def open_scorer(job: BulkJob, threads: int) -> Scorer:
    """The model of the run, loaded once in each process.

    Raises:
        BundleError: it is not here, or not the one that the run was started with.
        InputError: the images are not to be seen from here.
    """
    bundle = job.open_bundle()
    if job.task is Task.TRIAGE:
        return TriageScorer(job, load_triage(bundle, job.language, priors=True, device=job.device))
    provider = settings().findings_provider
    model = load_findings_model(bundle, provider, threads, device=job.device)
    findings = Findings(model, job.language, rules_out_bound=settings().rules_out_bound)
    images = job.images.open()
    if images.kind() == fs.FileType.NotFound:
        raise unreachable(job.images.address)
    decoder = PreprocessWorker(findings.request())
    atexit.register(decoder.close)
    return FindingsScorer(job, findings, decoder, images)


def score_batch(job: BulkJob, scorer: Scorer, entries: Any) -> bytes:
    """The rows of a part, one for each entry of the list, as the bytes of a Parquet file.

    Args:
        entries: a table as `listing.SCHEMA` says.

    Raises:
        InputError: S3 does not answer.
    """
    listed: list[Row] = entries.to_pylist()
    sound = [entry for entry in listed if entry["error"] is None]
    answers = scorer.answers(sound)
    constant = {"model": scorer.model, "bundle_sha256": job.bundle_sha256, "tetkik": job.version}
    rows: list[Row] = []
    for entry in listed:
        row: Row = {name: entry[name] for name in ("row", "source_row", "error")} | constant
        row["source"] = job.shown(entry["source"])
        if entry["path"] and entry["group"] is None and entry["source_row"] is not None:
            row["path"] = job.shown(entry["path"])
        if entry["error"] is None:
            row["input_sha256"], answer = next(answers)
            row |= {"error": answer.in_language(job.language)} if isinstance(answer, TetkikError) else answer
        rows.append(row)
    target = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, pa.schema([*_LINEAGE, *scorer.columns]))
    parquet.write_table(table, target, compression="zstd")
    written: bytes = target.getvalue().to_pybytes()
    return written


@dataclass(frozen=True)
class TriageScorer:
    job: BulkJob
    triage: Triage

    @property
    def model(self) -> str:
        return self.triage.name

    @property
    def columns(self) -> list[tuple[str, Any]]:
        texts = ("urgency", "department", "destination", "reason", "question")
        return [
            *((name, pa.string()) for name in texts),
            ("flags", pa.list_(pa.string())),
            ("abstain", pa.bool_()),
            *((f"probability_{label}", pa.float64()) for label in self.triage.labels),
        ]

    def answers(self, entries: Sequence[Row]) -> Iterator[tuple[str | None, Row | TetkikError]]:
        texts = [entry["text"] for entry in entries]
        for text, result in zip(texts, self.triage.predict_many(texts), strict=True):
            yield hashlib.sha256(text.encode()).hexdigest(), self._row(result)

    @staticmethod
    def _row(result: TriageResult) -> Row:
        level, first = result.urgency.level, next(iter(result.departments), None)
        return {
            "urgency": level.value if level else None,
            "department": first.name if first and not result.abstain else None,
            "destination": result.destination.text if result.destination else None,
            "reason": result.reason,
            "question": result.question,
            "flags": [flag.id for flag in result.urgency.flags],
            "abstain": result.abstain,
            **{f"probability_{one.name}": one.probability for one in result.departments},
        }


@dataclass(frozen=True)
class FindingsScorer:
    job: BulkJob
    findings: Findings
    decoder: PreprocessWorker
    """A process of its own: a file that crashes its decoder costs one row."""
    images: Storage

    @property
    def model(self) -> str:
        return self.findings.name

    @property
    def columns(self) -> list[tuple[str, Any]]:
        labels = tuple(self.findings.points.points)
        kinds = (("score", pa.float64()), ("probability", pa.float64()), ("positive", pa.bool_()))
        return [
            ("route", pa.string()),
            ("suitable", pa.bool_()),
            ("reasons", pa.list_(pa.string())),
            ("screen", pa.float64()),
            *((f"{name}_{label}", kind) for label in labels for name, kind in kinds),
        ]

    def answers(self, entries: Sequence[Row]) -> Iterator[tuple[str | None, Row | TetkikError]]:
        # Batches of one size: what is scored beside an image may change its last decimal.
        held: list[tuple[str | None, Preprocessed]] = []
        for name, content in self._contents(entries):
            if isinstance(content, TetkikError):
                held.append((None, (name, content)))
            else:
                source = StoredContent(name, lambda data=content: data)  # type: ignore[misc]
                sha256 = hashlib.sha256(content).hexdigest()
                held.append((sha256, (name, self.decoder.preprocess_file(source))))
            if len(held) == BATCH:
                yield from self._answered(held)
                held.clear()
        yield from self._answered(held)

    def _answered(
        self, held: Sequence[tuple[str | None, Preprocessed]]
    ) -> Iterator[tuple[str | None, Row | TetkikError]]:
        studies = self.findings.study_prepared([prepared for _, prepared in held])
        for (sha256, _), study in zip(held, studies, strict=True):
            yield sha256, self._row(study) if isinstance(study, Study) else study

    @staticmethod
    def _row(study: Study) -> Row:
        result = study.result
        row = {
            "route": result.route.value if result.route else None,
            "suitable": result.suitable,
            "reasons": list(result.reasons),
            "screen": result.screen,
        }
        for finding in result.findings:
            if finding.assessed:
                for name in ("score", "probability", "positive"):
                    row[f"{name}_{finding.label}"] = getattr(finding, name)
        return row

    def _contents(self, entries: Sequence[Row]) -> Iterator[tuple[str, bytes | TetkikError]]:
        for (source, group), several in groupby(entries, lambda entry: (entry["source"], entry["group"])):
            if group is None:
                for entry in several:
                    name = self.job.shown(entry["path"] or source)
                    yield name, self.images.read(entry["path"], name)
            else:
                yield from self._packed(self.job.shown(source), list(several))

    def _packed(self, shown: str, entries: list[Row]) -> Iterator[tuple[str, bytes | TetkikError]]:
        """The images in one row group of a Parquet file; no more of them at once than a batch."""
        first, tables = entries[0], self.job.input.open()
        done = 0
        try:
            with tables.random_access(first["path"]) as opened, parquet.ParquetFile(opened) as file:
                start = sum(file.metadata.row_group(group).num_rows for group in range(first["group"]))
                skipped = first["source_row"] - start
                for batch in file.iter_batches(BATCH, [first["group"]], columns=[first["column"]]):
                    for value in batch.column(0)[skipped:].to_pylist()[: len(entries) - done]:
                        data = value.get("bytes") if isinstance(value, dict) else value
                        name = f"{shown}:{entries[done]['source_row']}"
                        done += 1
                        yield (
                            name,
                            data or InputError("{file} is empty; fetch or export it again.", file=name),
                        )
                    skipped = max(0, skipped - batch.num_rows)
                    if done == len(entries):
                        break
        except (pa.ArrowException, ValueError, FileNotFoundError):
            pass
        except OSError:
            raise unreachable(self.job.input.address) from None
        for entry in entries[done:]:
            yield f"{shown}:{entry['source_row']}", damaged(shown)


_AHEAD = 2
"""Parts that wait for each process, so that none is idle."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TETKIK_THREADS")


class LocalRunner:
    """Scores parts in `processes`; together they use every core.

    A part that cannot be scored stops the run with the sentence that says why.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or cores()
        self.threads = max(1, cores() // self.processes)

    def __call__(
        self, job: BulkJob, entries: Callable[[int], Entries], parts: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """As `Runner`.

        Raises:
            OutputError: a process was killed, or a part cannot be scored.
        """
        processes = min(self.processes, len(parts))
        remaining = iter(parts)
        waiting: dict[Future[bytes | str], int] = {}
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, context, _start)
        try:
            with _threads(self.threads):
                while True:
                    while len(waiting) < processes * _AHEAD and (part := next(remaining, None)) is not None:
                        waiting[pool.submit(scored, job, self.threads, entries(part))] = part
                    if not waiting:
                        return
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        yield checked(waiting.pop(future), future.result())
        except BrokenProcessPool:
            raise OutputError(
                "A process that scored was killed, perhaps for want of memory; run the command again, with "
                "fewer --processes: what was written is kept."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def checked(part: int, answer: bytes | str) -> tuple[int, bytes]:
    """A part with its rows; where the answer is the sentence of a fault, an `OutputError`."""
    if isinstance(answer, str):
        raise OutputError("Part {part} could not be scored: {fault}", part=part, fault=answer)
    return part, answer


def scored(job: BulkJob, threads: int, entries: Entries) -> bytes | str:
    """The rows of a part, or the sentence that says why there are none; in whatever process."""
    try:
        return score_batch(job, open_scorer(job, threads), entries)
    except TetkikError as fault:
        return fault.in_language(job.language)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Started processes take the number of threads from the environment, before they load a library."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start() -> None:
    """Ctrl-C is the parent's to answer; where that is killed, this process must not stay."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()
