"""One split is written: its rows, its columns and its shards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.store import sha256_of
from tetkik.lab.caption.data import CaptionRow, Reason
from tetkik.lab.caption.decoding import Decoded
from tetkik.lab.caption.prepared import ROWS
from tetkik.lab.caption.shards import ShardFile, ShardWriter, write_array
from tetkik.lab.caption.text import caption_print, clean_caption, word_count

if TYPE_CHECKING:
    from tetkik.caption.families.staged import CaptionTokenizer

_TOKENISED = 1024
"""Captions that are tokenised together."""


@dataclass(slots=True)
class Tally:
    """What was met in a split, kept or not; `colour` counts what is not grey to the eye."""

    listed: int = 0
    rgb: int = 0
    rgb_grey: int = 0
    colour: int = 0
    left_out: Counter[Reason] = field(default_factory=Counter)

    def add(self, picture: Decoded) -> None:
        self.rgb += picture.mode == "RGB"
        self.rgb_grey += picture.mode == "RGB" and picture.grey
        self.colour += not picture.grey


@dataclass(frozen=True, slots=True)
class RowLine:
    """A row as `rows.jsonl` keeps it, and the 64 bits of its words."""

    caption: str
    print: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """A split that was written; `others` are its rows and columns, token counts those before the cut."""

    rows: int
    shards: tuple[ShardFile, ...]
    others: tuple[ShardFile, ...]
    words: Sequence[int]
    token_counts: Sequence[int]
    cut: int
    licences: Counter[str]


class SplitWriter:
    """Writes a split row by row; used as a context, so that its file is closed whatever happens."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir()
        self._folder = folder
        self._shards = ShardWriter(folder, limit)
        # A surrogate that stands alone cannot be written as UTF-8; this escapes it as JSON does.
        self._rows = (folder / ROWS).open("w", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._captions: list[str] = []
        self._prints: list[int] = []
        self._caption_prints: list[int] = []
        self._licences: Counter[str] = Counter()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def line(self, row: CaptionRow) -> RowLine:
        """The row with its caption cleaned; as the source has it too, where that is another."""
        caption = clean_caption(row.caption)
        content: dict[str, Any] = {"id": row.id, "file": row.file, "caption": caption}
        if caption != row.caption:
            content["source_caption"] = row.caption
        content |= {"group": row.group, "concepts": row.concepts, "licence": row.licence}
        return RowLine(caption, caption_print(caption), content)

    def add(self, line: RowLine, picture: Decoded) -> None:
        self._shards.add(picture.square)
        content = {**line.content, "mode": picture.mode}
        self._rows.write(json.dumps(content, ensure_ascii=False) + "\n")
        self._captions.append(line.caption)
        self._prints.append(picture.print)
        self._caption_prints.append(line.print)
        self._licences[line.content["licence"] or "unknown"] += 1

    def finish(self, tokenizer: CaptionTokenizer | None, max_tokens: int) -> SplitFiles:
        self._shards.close()
        self._rows.close()
        columns: dict[str, NDArray[Any]] = {
            "prints": np.array(self._prints, np.uint64),
            "caption_prints": np.array(self._caption_prints, np.uint64),
            "colour": np.array(self._shards.colour, bool),
        }
        counts: list[int] = []
        if tokenizer is not None:
            parts: list[NDArray[np.int32]] = []
            for start in range(0, len(self._captions), _TOKENISED):
                parts += tokenizer.encode(self._captions[start : start + _TOKENISED])
            counts = [len(part) for part in parts]
            parts = [part[:max_tokens].astype(np.int32) for part in parts]
            columns["tokens"] = np.concatenate([np.zeros(0, np.int32), *parts])
            columns["token_ends"] = np.cumsum([len(part) for part in parts], dtype=np.int64)
        count = len(self._captions)
        rows = self._folder / ROWS
        return SplitFiles(
            rows=count,
            shards=tuple(self._shards.files),
            others=(
                ShardFile(ROWS, count, rows.stat().st_size, sha256_of(rows)),
                *(
                    write_array(self._folder / f"{name}.npy", values, count)
                    for name, values in columns.items()
                ),
            ),
            words=tuple(map(word_count, self._captions)),
            token_counts=tuple(counts),
            cut=sum(length > max_tokens for length in counts),
            licences=self._licences,
        )
