"""Many files at once: prepared by several processes, answered in order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from queue import LifoQueue, SimpleQueue
from threading import Semaphore, Thread

from tetkik.errors import TetkikError
from tetkik.findings.preprocess import (
    PreparedImage,
    PreprocessRequest,
    load_all,
    preprocess_content,
    preprocess_file,
)
from tetkik.imaging.image_source import Source, load_content, name_of
from tetkik.imaging.read import load_readers
from tetkik.imaging.subprocess_worker import SECONDS, SubprocessWorker
from tetkik.settings import cores

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
