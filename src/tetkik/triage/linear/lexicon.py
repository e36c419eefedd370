"""What medicine knows before any data: terms, each with the departments that it speaks for.

The files of `terms/` were written from medical knowledge, not from complaints. A term is one to eight stems;
each is the beginning of a word (`$` at the end asks for the whole word), letters folded by `tetkik.turkish`.
`typical` counts 3, `common` 2, `possible` 1.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish

LEVELS = {"typical": 3, "common": 2, "possible": 1}
FNV_OFFSET = 2166136261
_DEPTH = 8
_MIX = 0x9E3779B97F4A7C15
_SIEVE_BITS = 19


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The terms as a trie over stems."""

    levels: NDArray[np.uint8]  # (terms, departments), uint8, 0 to 3
    # (2^k,), uint64: open addressing on (node + 1) << 32 | FNV-1a of a stem; 0 is an empty slot
    keys: NDArray[np.uint64]
    children: NDArray[np.int32]  # (2^k,), int32: the node that each key leads to
    node_term: NDArray[np.int32]  # (nodes,), int32: the term that ends at a node, or -1. Node 0 is the root
    # (2^13,), uint64: a bitmap over the first 19 bits of a mixed key, small enough for the cache
    sieve: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.keys)
        if size & (size - 1) or len(self.children) != size or not (self.keys == 0).any():
            raise ValueError("the trie's table must be a power of two with an empty slot")
        if self.children.min() < 0 or self.children.max() >= len(self.node_term):
            raise ValueError("the trie leads out of its nodes")
        if self.node_term.max(initial=-1) >= len(self.levels):
            raise ValueError("the trie names a term that is not there")
        mixed = self.keys[self.keys > 0] * np.uint64(_MIX)
        bits = np.zeros(1 << _SIEVE_BITS, dtype=np.uint8)
        bits[mixed >> np.uint64(64 - _SIEVE_BITS)] = 1
        object.__setattr__(self, "sieve", np.packbits(bits, bitorder="little").view("<u8"))

    def child(self, node: int, stem_hash: int) -> int:
        """The node below `node` by a stem with that hash, or -1."""
        key = ((node + 1) << 32) | stem_hash
        mask = len(self.keys) - 1
        slot = (key * _MIX % (1 << 64)) >> 32
        while True:
            found = int(self.keys[slot & mask])
            if found == key:
                return int(self.children[slot & mask])
            if found == 0:
                return -1
            slot += 1


def fnv(data: bytes, value: int = FNV_OFFSET) -> int:
    """FNV-1a, 32 bit (Fowler, Noll, Vo), of `data` after what gave `value`."""
    for byte in data:
        value = (value ^ byte) * 16777619 % (1 << 32)
    return value


def stems_of(term: str) -> tuple[str, ...]:
    """The stems of a term as the files write it: `"göz kapağ"` → `("goz", "kapag")`."""
    words = re.findall(r"[^\s$]+\$?", term)
    stems: list[str] = []
    for word in words:
        parts = turkish.fold(word.rstrip("$")).split()
        if parts and word.endswith("$"):
            parts[-1] += "$"
        stems.extend(parts)
    return tuple(stems)


@cache
def builtin() -> Lexicon:
    """The lexicon that ships with the package."""
    levels: dict[tuple[str, ...], dict[str, int]] = {}
    departments: list[str] = []
    for file in sorted(
        resources.files("tetkik.triage.linear").joinpath("terms").iterdir(), key=lambda f: f.name
    ):
        if not file.name.endswith(".toml"):
            continue
        for department, lists in tomllib.loads(file.read_text("utf-8")).items():
            if department not in departments:
                departments.append(department)
            for name, level in LEVELS.items():
                for term in lists.get(name, ()):
                    stems = stems_of(term)
                    if 0 < len(stems) <= _DEPTH:
                        entry = levels.setdefault(stems, {})
                        entry[department] = max(level, entry.get(department, 0))
    order = sorted(levels)
    matrix = np.zeros((len(order), len(departments)), dtype=np.uint8)
    for row, stems in enumerate(order):
        for department, level in levels[stems].items():
            matrix[row, departments.index(department)] = level
    return build(order, matrix)


def build(terms: Sequence[tuple[str, ...]], levels: NDArray[np.uint8]) -> Lexicon:
    """Compile terms into the trie; `levels` is (terms, departments), uint8."""
    edges: dict[int, int] = {}
    node_term = [-1]
    for number, stems in enumerate(terms):
        node = 0
        for stem in stems:
            key = ((node + 1) << 32) | fnv(stem.encode("ascii", "replace"))
            if key not in edges:
                edges[key] = len(node_term)
                node_term.append(-1)
            node = edges[key]
        node_term[node] = number
    size = 16
    while size < 2 * len(edges):
        size *= 2
    keys, children = np.zeros(size, dtype=np.uint64), np.zeros(size, dtype=np.int32)
    for key, child in edges.items():
        slot = (key * _MIX % (1 << 64)) >> 32
        while keys[slot & (size - 1)]:
            slot += 1
        keys[slot & (size - 1)] = key
        children[slot & (size - 1)] = child
    return Lexicon(levels, keys, children, np.array(node_term, dtype=np.int32))
