from typing import Any

from numpy.typing import NDArray

Buffer = NDArray[Any]

def document_frequency(texts: list[bytes], groups: Buffer, characters: Buffer, words: Buffer, /) -> None: ...
def featurise(texts: list[bytes], tables: tuple[object, ...], /) -> tuple[bytes, bytes, bytes]: ...
def attribute(text: bytes, tables: tuple[object, ...], gain: Buffer, change: Buffer, /) -> None: ...
def score(
    texts: list[bytes], tables: tuple[object, ...], weights: Buffer, out: Buffer, stride: int, /
) -> None: ...
def multiply(
    indptr: Buffer, indices: Buffer, values: Buffer, weights: Buffer, out: Buffer, stride: int, /
) -> None: ...
def ascend(
    indptr: Buffer,
    indices: Buffer,
    values: Buffer,
    squares: Buffer,
    labels: Buffer,
    costs: Buffer,
    order: Buffer,
    dual: Buffer,
    weights: Buffer,
    classes: int,
    stride: int,
    regularisation: float,
    loss: int,
    /,
) -> float: ...
