"""The libraries that read images are kept from warning about every irregularity of a file.

What they warn about (a value too long, a character set that is wrong) quotes the file: patient data would
reach logs. What matters of it is an error or a note here.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LIBRARIES = r"(pydicom|PIL|openjpeg|jpeg_ls)(\.|$)"
_LOGGERS = ("pydicom", "openjpeg", "PIL")
_lock = threading.Lock()
_readers = 0
_silence = ExitStack()


def _is_grave(record: logging.LogRecord) -> bool:
    return record.levelno > logging.ERROR


@contextmanager
def suppress_library_warnings() -> Iterator[None]:
    """Silence the warnings and the logs of the imaging libraries, and of nothing else.

    `warnings.catch_warnings` saves and restores one list for the whole process, so that threads which enter
    and leave by turns would leave it altered: the first reader silences and the last restores.
    """
    global _readers  # noqa: PLW0603 - the filters of `warnings` are the process's, and so is their count
    with _lock:
        if _readers == 0:
            _silence.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=_LIBRARIES)
            for name in _LOGGERS:
                logger = logging.getLogger(name)
                logger.addFilter(_is_grave)
                _silence.callback(logger.removeFilter, _is_grave)
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _silence.close()
