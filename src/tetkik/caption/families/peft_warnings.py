"""Peft without its remarks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from tetkik.networks.huggingface import quiet_transformers


@contextmanager
def suppress_peft_warnings() -> Iterator[None]:
    """As `quiet_transformers`, and without the warnings of peft.

    It asks models for an attribute that transformers 5 has renamed, and remarks on the name of the base,
    which is not a path on purpose.
    """
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
