"""Elements of bytes (OB, OW, OF, …): pixels, tables of grey values and colour profiles, each as long as
it says.

A text can hide in any other, and behind the last value of these.
"""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset

from tetkik.imaging.dicom_frame import PIXELS
from tetkik.imaging.tags import whole

_PALETTES = {
    f"{name}PaletteColorLookupTableData": f"{name}PaletteColorLookupTableDescriptor"
    for name in ("Red", "Green", "Blue", "Alpha")
}
TABLES = frozenset({"LUTData", *_PALETTES})


def clean_binary(dataset: Dataset, nested: bool) -> None:
    """Take out of one level of `dataset`, in place, every element of bytes that is not known to be numbers.

    The pixels stand on top, and are seen to by `clean_pixels`.
    """
    for tag in list(dataset.keys()):
        try:
            keyword, vr = dataset[tag].keyword, dataset[tag].VR
        except Exception:  # noqa: S112 - what cannot be decoded is removed later, whatever pydicom raises
            continue
        if keyword in TABLES:
            _shorten_table(dataset, keyword)
        elif keyword == "ICCProfile":
            _replace_profile(dataset)
        elif keyword == "WaveformData":
            _shorten(dataset, keyword, _waveform_bytes(dataset))
        elif vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") and (nested or keyword not in PIXELS):
            del dataset[tag]


def _shorten(dataset: Dataset, keyword: str, size: int | None) -> None:
    if size is None or not isinstance(dataset[keyword].value, bytes):
        del dataset[keyword]
    else:
        kept = dataset[keyword].value[:size]
        dataset[keyword].value = kept + b"\0" * (len(kept) % 2)


def _shorten_table(dataset: Dataset, keyword: str) -> None:
    """A table with the number of entries, and of bits, that its descriptor says (PS3.3, C.7.6.3.1.5)."""
    descriptor = dataset.get(_PALETTES.get(keyword, "LUTDescriptor"))
    if not isinstance(descriptor, (list, tuple)) and not hasattr(descriptor, "__len__"):
        del dataset[keyword]
        return
    entries, _, bits = (int(value) for value in descriptor)
    entries = entries or 1 << 16
    value = dataset[keyword].value
    if isinstance(value, bytes):
        # Eight bits may be packed two to a word, or stand in one each.
        wide = bits > 8 or len(value) >= 2 * entries
        _shorten(dataset, keyword, 2 * entries if wide else entries)
    elif len(value) > entries:
        dataset[keyword].value = list(value)[:entries]


def _waveform_bytes(dataset: Dataset) -> int | None:
    """PS3.3, C.10.9: channels, samples of each, and their bits."""
    stated = [
        whole(dataset, name)
        for name in ("NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformBitsAllocated")
    ]
    if None in stated:
        return None
    channels, samples, bits = (number or 0 for number in stated)
    return channels * samples * bits // 8


# ICC.1:2022, 7.2 to 7.3 and 10: what makes a profile of three curves and a matrix, or of one curve.
_NUMBERS = frozenset({b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"chad"})
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
_D50 = bytes.fromhex("0000f6d6000100000000d32d")
_WORDS = {b"desc": "Colour", b"cprt": "None"}


def _replace_profile(dataset: Dataset) -> None:
    value = dataset["ICCProfile"].value
    profile = clean_profile(value) if isinstance(value, bytes) else None
    if profile is None:
        del dataset["ICCProfile"]
    else:
        dataset["ICCProfile"].value = profile


def clean_profile(profile: bytes) -> bytes | None:
    """An ICC profile with its curves and its matrix alone; None where its colours need more than these.

    Its description, maker, date and identifier go, and so does every byte that no table of tags names.
    """
    try:
        space, usage = profile[16:20], profile[12:16]
        if space not in (b"RGB ", b"GRAY") or usage not in (b"scnr", b"mntr", b"prtr", b"spac"):
            return None
        count = struct.unpack_from(">I", profile, 128)[0]
        tags = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100)))
        kept = {name: _numbers(profile, start) for name, start, _ in tags if name in _NUMBERS}
    except (struct.error, KeyError):
        return None
    if not {b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ"} <= kept.keys() and b"kTRC" not in kept:
        return None
    for name, words in _WORDS.items():
        text = words.encode("utf-16-be")
        kept[name] = struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(text), 28) + text
    place, table, body = 132 + 12 * len(kept), b"", b""
    for name, content in kept.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    size = place + len(body)
    head = struct.pack(">I4sI", size, b"\0" * 4, 0x04300000) + usage + space + b"XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + _D50
    return head.ljust(128, b"\0") + struct.pack(">I", len(kept)) + table + body + b"\0" * (size % 2)


def _numbers(profile: bytes, start: int) -> bytes:
    """A tag's value, as long as its type makes it."""
    kind = profile[start : start + 4]
    if kind == b"curv":
        size = 12 + 2 * struct.unpack_from(">I", profile, start + 8)[0]
    elif kind == b"para":
        size = 12 + 4 * _PARAMETERS[struct.unpack_from(">H", profile, start + 8)[0]]
    else:
        size = {b"XYZ ": 20, b"sf32": 44}[kind]
    value = profile[start : start + size]
    if len(value) != size:
        raise KeyError(kind)
    return value[:4] + b"\0" * 4 + value[8:]
