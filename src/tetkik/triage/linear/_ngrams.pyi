from typing import Any

from numpy.typing import NDArray

Buffer = NDArray[Any]

def document_frequency(texts: list[bytes], groups: Buffer, characters: Buffer, words: Buffer, /) -> None: ...
def featurise(
    texts: list[bytes],
    character_bits: Buffer,
    character_ranks: Buffer,
    character_idf: Buffer,
    word_bits: Buffer,
    word_ranks: Buffer,
    word_idf: Buffer,
    keys: Buffer,
    children: Buffer,
    node_term: Buffer,
    term_idf: Buffer,
    levels: Buffer,
    departments: int,
    term_scale: float,
    department_scale: float,
    /,
) -> tuple[bytes, bytes, bytes]: ...
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
