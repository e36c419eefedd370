"""Exporters and quantisers that keep their remarks to themselves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Without the exporters' remarks on packages that are not needed and calls that they make themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def strip_notes(file: Path) -> None:
    """Take out torch's notes on where an ONNX file's nodes came from: they name folders of the machine."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    # Shapes that torch noted contradict those that ONNX infers, and the quantiser stops at that.
    del graph.value_info[:]
    file.write_bytes(model.SerializeToString())
