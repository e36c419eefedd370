"""One image in, the whole answer out: route, reasons, findings with probabilities, screening."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from queue import LifoQueue, SimpleQueue
from threading import Semaphore, Thread
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import Bundle, resolve
from tetkik.choices import Device, FindingsProvider
from tetkik.errors import (
    BundleCorrupt,
    BundleError,
    BundleMismatch,
    InputError,
    MissingExtra,
    TetkikError,
    UsageError,
)
from tetkik.findings.onnx_model import THREADS, FindingsModel, OnnxFindings
from tetkik.findings.operating_points import OperatingPoints, screen
from tetkik.findings.preprocess import (
    PreparedImage,
    PreprocessRequest,
    load_all,
    preprocess,
    preprocess_content,
    preprocess_file,
)
from tetkik.imaging.image_source import ImageInput, Source, load_content, name_of, source_of, sources_of
from tetkik.imaging.prepare import normalise
from tetkik.imaging.read import load_readers, one_file
from tetkik.imaging.subprocess_worker import SECONDS, SubprocessWorker
from tetkik.language import Language, Sentence
from tetkik.networks.huggingface import model_folder
from tetkik.settings import cores, settings
from tetkik.values.finding import Finding, FindingsResult
from tetkik.values.radiograph import Radiograph

if TYPE_CHECKING:
    from tetkik.findings.heatmaps.method import Method
    from tetkik.findings.heatmaps.overlay import Heat
    from tetkik.findings.torch_model import TorchFindings


# Many files at once: prepared by several processes, answered in order, in bounded memory.


BATCH = 16
_AHEAD = 2
"""Files that are asked for beyond those being read, for each process, so that none waits."""

Preprocessed = tuple[str, PreparedImage | TetkikError]


class PreprocessWorker(SubprocessWorker):
    """A process that looks at files for this one: a decoder that crashes there takes nothing else with it.

    For one thread at a time.
    """

    def __init__(self, request: PreprocessRequest, seconds: float = SECONDS) -> None:
        super().__init__((preprocess_content,), seconds, load_all if request.gate else load_readers)
        self._request = request

    def preprocess_file(self, source: Source) -> PreparedImage | TetkikError:
        """Have one file looked at; a process that dies over it is replaced for the next."""
        name = name_of(source)
        try:
            content = load_content(source)
        except TetkikError as error:
            return error
        return self.call(preprocess_content, (content, name, self._request), name)


def preprocess_many(
    paths: Iterable[Source], request: PreprocessRequest, workers: int | None = None
) -> Generator[list[Preprocessed], None, None]:
    """Preprocess files, in order, and hand on as many as are ready, at most `BATCH` at a time.

    Args:
        workers: processes; 0 works in this process; None takes one for each core, and 0 for a single file.
    """
    remaining = iter(paths)
    if workers is None:
        first = list(islice(remaining, 2))
        workers = cores() if len(first) > 1 else 0
        remaining = chain(first, remaining)
    if workers == 0:
        for path in remaining:
            try:
                yield [(name_of(path), preprocess_file(path, request))]
            except TetkikError as error:
                yield [(name_of(path), error)]
    else:
        yield from _in_processes(remaining, request, workers)


def _in_processes(
    paths: Iterable[Source], request: PreprocessRequest, count: int
) -> Iterator[list[Preprocessed]]:
    everyone = [PreprocessWorker(request) for _ in range(count)]
    # The one that was busy last goes first: a process is started only when all those before it are busy.
    idle: LifoQueue[PreprocessWorker] = LifoQueue()
    for worker in everyone:
        idle.put(worker)

    def ask(path: Source) -> Preprocessed:
        worker = idle.get()
        try:
            return name_of(path), worker.preprocess_file(path)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count, thread_name_prefix="preprocess")
    feed = _Feed(paths, lambda path: pool.submit(ask, path), count * _AHEAD + BATCH)
    try:
        yield from feed.in_order()
    finally:
        feed.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in everyone:
            worker.close()
        pool.shutdown()


class _Feed:
    """Hands files to the pool from a thread of its own, so that answers come out while more are awaited.

    Whatever fails in taking the paths is raised where the answers are taken.
    """

    def __init__(
        self, paths: Iterable[Source], submit: Callable[[Source], Future[Preprocessed]], most: int
    ) -> None:
        self._paths = paths
        self._submit = submit
        self._room = Semaphore(most)
        self._queue: SimpleQueue[Future[Preprocessed] | BaseException | None] = SimpleQueue()
        self._stopped = False
        # A daemon: it may wait for a standard input that never ends.
        Thread(target=self._run, name="feed", daemon=True).start()

    def in_order(self) -> Iterator[list[Preprocessed]]:
        """The answers, in the order of the files, as many at a time as are ready."""
        ahead: deque[Future[Preprocessed] | BaseException | None] = deque()
        while True:
            if not ahead:
                ahead.append(self._queue.get())
            while not self._queue.empty():
                ahead.append(self._queue.get())
            batch = [self._taken(ahead.popleft())]
            while len(batch) < BATCH and ahead and isinstance(ahead[0], Future) and ahead[0].done():
                batch.append(self._taken(ahead.popleft()))
            if batch == [None]:
                return
            yield [item for item in batch if item is not None]

    def _taken(self, item: Future[Preprocessed] | BaseException | None) -> Preprocessed | None:
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return None
        looked = item.result()
        self._room.release()
        return looked

    def stop(self) -> None:
        """Hand out no more."""
        self._stopped = True
        self._room.release()

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            for path in self._paths:
                self._room.acquire()
                if self._stopped:
                    return
                self._queue.put(self._submit(path))
        except BaseException as fault:
            end = fault
        finally:
            self._queue.put(end)


def load_model(
    model: str | Bundle,
    provider: FindingsProvider = FindingsProvider.ONNXRUNTIME,
    threads: int = THREADS,
    *,
    on_torch: bool = False,
    device: Device = Device.AUTO,
) -> FindingsModel:
    """Load a model of findings.

    Args:
        model: a built-in or imported id, the path of a bundle, a folder that transformers wrote, a Hugging
            Face id of either, or an opened bundle.
        provider: what runs an ONNX network, with so many `threads`.
        on_torch: whether torch runs it, though it has an ONNX network too.
        device: on what.

    Raises:
        BundleError: none such, damaged, or not for findings.
        MissingExtra: it needs torch or transformers, and that is not installed.
    """
    if isinstance(model, str):
        folder = _transformers_folder(model)
        if folder is not None:
            return _torch().from_transformers(model, folder, device)
        _refuse_checkpoint(model)
        model = resolve(model, Task.FINDINGS)
    if "model.onnx" in model.manifest.files and not on_torch:
        return OnnxFindings.load(model, provider, threads, device)
    model.file("model.safetensors")
    return _torch().load(model, device)


def _refuse_checkpoint(model: str) -> None:
    path = user_path(model)
    if path.suffix in {".pt", ".pth", ".ckpt", ".safetensors"} and path.is_file():
        raise BundleMismatch(
            "{path} is a checkpoint and no bundle; "
            "`tetkik findings import {path} --out DIR` makes one of it.",
            path=path,
        )


def _transformers_folder(model: str) -> Path | None:
    """Where `model` lies if it is one of transformers and no bundle; None otherwise."""
    path = user_path(model)
    if not (model and path.is_dir()):
        if not looks_like_hub_id(model):
            return None
        path = model_folder(model)
    is_transformers = (path / "config.json").is_file() and not (path / "manifest.json").is_file()
    return path if is_transformers else None


def _torch() -> type[TorchFindings]:
    try:
        from tetkik.findings.torch_model import TorchFindings
    except ImportError:
        raise MissingExtra(
            "A model without ONNX needs torch and transformers; `{extra}`.", extra="torch"
        ) from None
    return TorchFindings


_UNGATED = Sentence(
    "The quality gate was switched off: nothing is refused, and every label that the model was taught is "
    "assessed."
)
_UNTAUGHT = Sentence("The model was taught nothing about this kind of image.")


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """An answer and the image that it was given to, as far as it is needed to explain the answer."""

    result: FindingsResult
    prepared: PreparedImage
    maps: NDArray[np.float32] | None = None
    """The network's own maps (labels, h, w), where it has them and the picture was asked for."""


@dataclass(frozen=True, slots=True)
class Findings:
    """A model with everything around it."""

    model: FindingsModel
    language: Language = Language.TR
    gate: bool = True
    """Whether images are judged before they are read; off for evaluation only."""
    rules_out_bound: float = 0.90
    """What the lower 95% bound of a label's sensitivity must reach for `rules_out`."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Of some labels, in the place of the bundle's."""
    points: OperatingPoints = field(init=False)

    def __post_init__(self) -> None:
        points = OperatingPoints.of(self.model.manifest, self.rules_out_bound)
        object.__setattr__(self, "points", points.with_thresholds(self.thresholds))

    @property
    def name(self) -> str:
        """Id and version of the model."""
        return self.model.manifest.name

    def predict(self, image: ImageInput) -> FindingsResult:
        """The answer to one image.

        Args:
            image: a path, the bytes of a file, a Pillow image, or an array: (rows, columns) in 8 or 16 bits
                or (rows, columns, 3) in 8, or either in floats from 0 to 1.

        Raises:
            InputError: it cannot be read as an image.
        """
        return self.study(image).result

    def heatmap(self, image: ImageInput, label: str, method: Method | None = None) -> Heat:
        """Where the network looked for one label; `values` are 0 to 1 over `picture`.

        Args:
            image: as for `predict`.
            method: None takes the best that the model allows.

        Raises:
            InputError: it cannot be read as an image, or is not suitable.
            UsageError: the label is not assessed, or the model does not allow the method.
        """
        from tetkik.findings.heatmaps.choice import heatmaps_for
        from tetkik.findings.heatmaps.overlay import SIDE, find_heat

        study = self.study(image, SIDE)
        result = study.result
        if not result.suitable:
            raise InputError(
                "{file} is not suitable, so there is no heatmap: {reasons}",
                file=result.path,
                reasons=" ".join(result.reasons),
            )
        shown = [finding for finding in result.findings if finding.label == label and finding.assessed]
        if not shown:
            raise UsageError(
                "{label} is not assessed in {file}; choose from {labels}.",
                label=label,
                file=result.path,
                labels=", ".join(finding.label for finding in result.findings if finding.assessed),
            )
        return find_heat(self.model, heatmaps_for(self.model, method), study.prepared, shown)[0]

    def read(self, image: Radiograph, path: str = "") -> FindingsResult:
        """The answer to an image that has been read, which `path` names."""
        return self.study_image(image, path).result

    def study(self, image: ImageInput, picture: int = 0) -> Study:
        """The answer to one image, with what explains it and a picture of that longer side, in pixels."""
        source = source_of(image)
        prepared = preprocess_file(source, self.request(picture))
        return self._studies([(name_of(source), prepared)])[0]

    def study_image(self, image: Radiograph, path: str = "", picture: int = 0) -> Study:
        """As `study`, of an image that has been read."""
        with one_file(path):
            prepared = preprocess(image, self.request(picture))
        return self._studies([(path, prepared)])[0]

    def predict_many(
        self, images: Iterable[ImageInput], workers: int | None = None
    ) -> Iterator[FindingsResult | TetkikError]:
        """The answers to many images, in order; an error in the place of one that cannot be read.

        Args:
            images: as for `predict`; taken as they are needed, so there may be any number.
            workers: processes that read; 0 reads in this process; None takes one for each core.
        """
        for item in self.study_many(sources_of(images), workers):
            yield item.result if isinstance(item, Study) else item

    def study_many(
        self, paths: Iterable[Source], workers: int | None = None, picture: int = 0, *, origin: bool = False
    ) -> Iterator[Study | TetkikError]:
        """As `predict_many`, with what is needed to explain each answer; with `origin` whose image it is."""
        for batch in preprocess_many(paths, replace(self.request(picture), origin=origin), workers):
            yield from self.study_prepared(batch)

    def study_prepared(self, batch: Sequence[Preprocessed]) -> Iterator[Study | TetkikError]:
        """The answers to images that were prepared as `request` says, scored as one batch."""
        studies = iter(
            self._studies([(path, item) for path, item in batch if isinstance(item, PreparedImage)])
        )
        for _, item in batch:
            if isinstance(item, BundleError):  # the gate's own network: no file is at fault
                raise item
            yield next(studies) if isinstance(item, PreparedImage) else item

    def request(self, picture: int = 0) -> PreprocessRequest:
        """How an image must be prepared, with a picture of that longer side, in pixels."""
        return PreprocessRequest(self.model.preprocessing, self.gate, self.points.ages, picture)

    def _studies(self, prepared: Sequence[tuple[str, PreparedImage]]) -> list[Study]:
        squares = [item.square for _, item in prepared if item.square is not None]
        rows = self._network_outputs(squares, maps=any(item.picture is not None for _, item in prepared))
        outputs = [(None, None) if item.square is None else next(rows) for _, item in prepared]
        return [
            Study(self._answer(path, item, scores), item, maps)
            for (path, item), (scores, maps) in zip(prepared, outputs, strict=True)
        ]

    def _network_outputs(
        self, squares: Sequence[NDArray[np.float32]], *, maps: bool
    ) -> Iterator[tuple[list[float], NDArray[np.float32] | None]]:
        """The scores of each, and its maps, in one run of the network."""
        if not squares:
            return
        batch = normalise(np.stack(squares), self.model.preprocessing)
        scores, shown = self.model.scores_and_maps(batch) if maps else (self.model.scores(batch), None)
        if not np.isfinite(scores).all():
            raise BundleCorrupt(
                "The model {model} gives no finite score; its weights are damaged, train or import it again.",
                model=self.name,
            )
        numbers: list[list[float]] = scores.astype(np.float64).tolist()
        yield from zip(numbers, [None] * len(numbers) if shown is None else shown, strict=True)

    def _answer(self, path: str, item: PreparedImage, scores: list[float] | None) -> FindingsResult:
        """`scores` is None where the image was refused."""
        route, reasons, notes = item.gate_result.route, item.gate_result.reasons, list(item.notes)
        findings: tuple[Finding, ...] = ()
        if scores is not None:
            findings = self.points.read(scores, route)
            if not any(finding.assessed for finding in findings):
                notes.append(_UNTAUGHT)
        if not self.gate:
            notes.append(_UNGATED)
        sentences = [reason.sentence.in_language(self.language) for reason in reasons]
        return FindingsResult(
            path=path,
            route=route,
            suitable=scores is not None,
            reasons=tuple(sentences),
            flaws=tuple(reason.flaw for reason in reasons),
            screen=screen(findings, route),
            findings=findings,
            model=self.name,
            sha256=item.sha256,
            degraded=item.degraded,
            # The gate gives some of what was done to an image as a reason.
            notes=tuple(
                note for note in (n.in_language(self.language) for n in notes) if note not in sentences
            ),
            gated=self.gate,
            measured=item.measured,
            graded=self.points.graded,
        )


def load_findings(
    model: str | Bundle | None = None,
    language: Language | None = None,
    *,
    gate: bool = True,
    on_torch: bool = False,
    thresholds: Mapping[str, float] | None = None,
    device: Device | None = None,
) -> Findings:
    """Load a model for use.

    Args:
        model: an id, a path or an opened bundle; None takes the setting `findings_model`.
        language: of the answers; None takes the setting `language`.
        gate: whether images are judged before they are read; off for evaluation only.
        on_torch: whether torch runs it, as Grad-CAM needs.
        thresholds: of some labels, in the place of the bundle's.
        device: on what it runs; None takes the setting `device`.

    Raises:
        BundleError: no such model, damaged, or not for findings.
        UsageError: a threshold is for a label that the model does not assess.
    """
    chosen = settings()
    loaded = load_model(
        chosen.findings_model if model is None else model,
        chosen.findings_provider,
        chosen.threads,
        on_torch=on_torch,
        device=device or chosen.device,
    )
    language = language or chosen.language
    return Findings(loaded, language, gate, chosen.rules_out_bound, thresholds or {})
