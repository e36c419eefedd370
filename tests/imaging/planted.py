"""DICOM files with identifiers of their own planted wherever a file has room for a text.

Every attribute of DICOM's dictionary that can hold one is used over a few hundred files, on top and
nested, and
all that lies beside the attributes: preamble, file meta information, private and unknown elements, overlays,
curves, icons, tables, colour profiles, comments of codestreams, bytes behind every kind of pixel data and
behind the data set. No identifier stands twice.
"""

from __future__ import annotations

import io
import random
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.phantom import write_phantom

SYNTAXES = ("", ".1", ".1.99", ".2", ".5", ".4.50", ".4.80", ".4.90")
_ROOT = "1.2.840.10008.1.2"
_SYLLABLES = [a + b + c for a in "bcçdfgğhkmnprsştvyz" for b in "aeıioöuü" for c in ("", "r", "n", "ş", "k")]
# What a reader needs to find the pixels, or what says that the file is of another kind.
_STRUCTURE = frozenset(
    """
    SOPClassUID SpecificCharacterSet Rows Columns SamplesPerPixel BitsAllocated BitsStored HighBit
    PixelRepresentation PlanarConfiguration PhotometricInterpretation NumberOfFrames PixelData FloatPixelData
    DoubleFloatPixelData BurnedInAnnotation DirectoryRecordSequence ContentSequence EncapsulatedDocument
    PixelDataProviderURL ExtendedOffsetTable ExtendedOffsetTableLengths DataSetTrailingPadding
    LengthToEnd OffendingElement NumberOfPatientRelatedStudies
    """.split()  # noqa: SIM905
)
_PLANTABLE = {
    entry[4]: entry[0].split(" or ")[-1]
    for tag, entry in DicomDictionary.items()
    if entry[4] and entry[4] not in _STRUCTURE and tag >> 16 not in (0, 2, 4) and tag >> 16 < 0x7FE0
}
TEXT = {
    "AE": 16,
    "CS": 16,
    "SH": 16,
    "LO": 64,
    "PN": 60,
    "LT": 900,
    "ST": 900,
    "UC": 900,
    "UT": 900,
    "UR": 900,
}
_BYTES = ("OB", "OW", "UN", "OF", "OL", "OD", "OV")


@dataclass
class Planted:
    """A file, its name, and what must not be found in what becomes of it: the identifiers by their places."""

    name: str
    content: bytes = field(repr=False)
    identifiers: dict[str, str]


class _Maker:
    """Identifiers that no other place has."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.planted: dict[str, str] = {}
        self.used: set[str] = set()

    def _once(self, place: str, made: str) -> str:
        if made in self.used:
            return ""
        self.used.add(made)
        self.planted[place] = made
        return made

    def word(self, place: str) -> str:
        made = "".join(self.random.choices(_SYLLABLES, k=4))
        return self._once(place, made.title().replace("i̇", "i")) or self.word(place)

    def number(self, place: str, digits: int = 11) -> str:
        if digits == 11:
            first = [self.random.randrange(1, 10), *(self.random.randrange(10) for _ in range(8))]
            tenth = (7 * sum(first[0:9:2]) - sum(first[1:8:2])) % 10
            made = "".join(map(str, (*first, tenth, (sum(first) + tenth) % 10)))
        else:
            made = str(self.random.randrange(10 ** (digits - 1), 10**digits))
        return self._once(place, made) or self.number(place, digits)

    def date(self, place: str) -> str:
        year, month, day = (self.random.randrange(*ends) for ends in ((1901, 2020), (1, 13), (1, 29)))
        made = f"{year}{month:02}{day:02}"
        return self._once(place, made) or self.date(place)

    def text(self, place: str, longest: int) -> str:
        """A name, a number or a date, with other words around it where there is room."""
        kind = self.random.randrange(4)
        made = self.word(place) if kind < 2 else self.number(place) if kind == 2 else self.date(place)
        around = ("{}", "TC {}", "{} geldi", "Hasta {} hk.", "doğum {}, kontrol", "CHEST {}")
        fitting = [words for words in around if len(words) - 2 + len(made) <= longest]
        return (self.random.choice(fitting) if fitting else "{}").format(made)[:longest]

    def of_vr(self, place: str, vr: str) -> object:
        """A value with an identifier in it; None where the VR has no room for one."""
        if vr == "PN":
            return f"{self.word(place)}^X"
        if vr == "CS":
            made = _ascii(self.word(place)).upper()[:16]
            self.planted[place] = made
            return made
        if vr in ("AE", "UR"):
            made = _ascii(self.word(place))[:16]
            self.planted[place] = made
            return made if vr == "AE" else f"http://{made.lower()}.example/{made}"
        if vr in TEXT:
            return self.text(place, TEXT[vr])
        if vr == "DA":
            return self.date(place)
        if vr == "DT":
            return f"{self.date(place)}101500"
        if vr == "UI":
            return f"1.2.840.10008.{self.number(place)}.{self.date(place + ' date')}"
        if vr == "DS":
            return self.number(place)
        if vr == "IS":
            return self.number(place, 9)
        if vr in _BYTES:
            return _even(self.word(place).encode() * 4, 8)
        if vr in ("US", "UL"):
            word = _ascii(self.word(place)).ljust(16)[:16].encode()
            self.planted[place] = word.decode().strip()
            return list(struct.unpack("<8H" if vr == "US" else "<4I", word))
        return None


def _ascii(word: str) -> str:
    return word.translate(str.maketrans("çğıöşüÇĞİÖŞÜ", "cgiosuCGIOSU"))


def _even(data: bytes, to: int = 2) -> bytes:
    return data + b" " * (-len(data) % to)


def planted_files(count: int, seed: int = 1, attributes: int = 120) -> Iterator[Planted]:
    """`count` files; over some 60 of them every attribute was used, over 8 every transfer syntax."""
    maker = _Maker(seed)
    keywords = sorted(_PLANTABLE)
    maker.random.shuffle(keywords)
    turn = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            maker.planted = {}
            file = Path(folder) / "phantom.dcm"
            syntax = SYNTAXES[number % len(SYNTAXES)]
            bits = 8 if syntax == ".4.50" else 12
            write_phantom(
                file,
                number % 5,
                rows=64,
                columns=72,
                transfer_syntax=f"{_ROOT}{syntax}",
                marker=False,
                bits=bits,
            )
            dataset = pydicom.dcmread(file)
            with pydicom.config.disable_value_validation():
                for _ in range(attributes):
                    _plant_attribute(dataset, keywords[turn % len(keywords)], maker, number % 3)
                    turn += 1
                _plant_beside(dataset, maker, syntax)
                content = _written(dataset, maker)
            name = f"{maker.word('file name')}_{maker.number('file name, number')}.dcm"
            yield Planted(name, content, maker.planted)


def _plant_attribute(dataset: Dataset, keyword: str, maker: _Maker, depth: int) -> None:
    """On top, in a sequence, or in one within another."""
    target = dataset
    for level in range(depth):
        inner = Dataset()
        name = ("AnatomicRegionSequence", "DerivationCodeSequence", "SourceImageSequence")[level]
        if name not in target:
            target.add_new(name, "SQ", Sequence([inner]))
        target = target[name].value[0] if target[name].value else inner
    vr = _PLANTABLE[keyword]
    if vr == "SQ":
        inner = Dataset()
        inner.CodeValue = maker.text(f"{keyword}, code", 16)
        inner.CodingSchemeDesignator = maker.random.choice(("DCM", "SCT", "99LOCAL"))
        inner.CodeMeaning = maker.text(f"{keyword}, meaning", 64)
        inner.PersonName = f"{maker.word(f'{keyword}, person')}^A"
        target.add_new(keyword, "SQ", Sequence([inner]))
        return
    if keyword in target and depth == 0 and keyword in ("SOPInstanceUID", "StudyInstanceUID"):
        return
    value = maker.of_vr(keyword, vr)
    if value is not None:
        target.add_new(keyword, vr, value)


def _plant_beside(dataset: Dataset, maker: _Maker, syntax: str) -> None:
    word = maker.word
    dataset.PatientName, dataset.PatientID = f"{word('name')}^{word('given name')}", maker.number("number")
    dataset.SOPInstanceUID = maker.of_vr("instance", "UI")
    dataset.StudyInstanceUID = maker.of_vr("study", "UI")
    dataset.add_new((0x0009, 0x0010), "LO", word("private creator"))
    dataset.add_new((0x0009, 0x1001), "LT", word("private text"))
    inner = Dataset()
    inner.PatientComments = word("private sequence")
    dataset.add_new((0x0009, 0x1002), "SQ", Sequence([inner]))
    dataset.add_new((0x0018, 0x9FFE), "LO", word("unknown element"))
    dataset.add_new((0x6000, 0x0010), "US", 16)
    dataset.add_new((0x6000, 0x0022), "LO", word("overlay, description"))
    dataset.add_new((0x6000, 0x1500), "LO", word("overlay, label"))
    dataset.add_new((0x6000, 0x3000), "OW", _even(word("overlay, data").encode()))
    dataset.add_new((0x5000, 0x0022), "LO", word("curve, description"))
    dataset.add_new((0x5000, 0x3000), "OW", _even(word("curve, data").encode()))
    dataset.add_new("PatientBirthDateInAlternativeCalendar", "LO", f"hicri {maker.number('hijri', 8)}")
    dataset.add_new("ManufacturerModelName", "LT", word("another VR"))
    dataset.add_new("BodyPartExamined", "CS", f"CHEST\0{_ascii(word('behind a zero')).upper()}")
    maker.planted["behind a zero"] = _ascii(maker.planted["behind a zero"]).upper()
    dataset.add_new("SoftwareVersions", "LO", ["1.0", maker.text("second value", 64)])
    dataset.add_new(
        "ICCProfile", "OB", _profile(word("profile, description"), maker.number("profile, behind"))
    )
    table = Dataset()
    table.LUTDescriptor = [16, 0, 16]
    table.LUTExplanation = word("table, explanation")
    table.add_new("LUTData", "OW", bytes(range(32)) + _even(word("table, behind").encode()))
    dataset.VOILUTSequence = Sequence([table])
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.PixelData = bytes(64) + _even(word("icon, behind").encode())
    icon["PixelData"].VR = "OW"
    dataset.DerivationImageSequence = Sequence([icon])
    dataset.add_new((0xFFFC, 0xFFFC), "OB", _even(word("padding").encode()))
    _plant_in_pixels(dataset, maker, syntax)


def _profile(description: str, behind: str) -> bytes:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    words = (
        description.encode("ascii", "ignore") if description.isascii() else description.encode("utf-16-be")
    )
    tag = struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"trTR", len(words), 28) + words
    tag += b"\0" * (-len(tag) % 4)
    count = struct.unpack_from(">I", profile, 128)[0]
    changed = bytearray(profile)
    for index in range(count):
        if profile[132 + 12 * index :][:4] == b"desc":
            struct.pack_into(">II", changed, 132 + 12 * index + 4, len(profile), len(tag))
    whole = bytes(changed) + tag + _even(behind.encode())
    return struct.pack(">I", len(whole)) + whole[4:] + b"\0" * (len(whole) % 2)


def _plant_in_pixels(dataset: Dataset, maker: _Maker, syntax: str) -> None:
    behind = _even(maker.word("behind the pixels").encode())
    if syntax in ("", ".1", ".1.99", ".2"):
        dataset.PixelData = dataset.PixelData + behind
        return
    frame = next(iter(generate_frames(dataset.PixelData, number_of_frames=1)))
    inside = maker.word("within the codestream").encode()
    if syntax == ".5":
        count, *starts = struct.unpack_from("<16I", frame)
        moved = [start + len(inside) if index < count else 0 for index, start in enumerate(starts)]
        frame = struct.pack("<16I", count, *moved) + inside + frame[64:]
    elif syntax == ".4.90":
        place = frame.index(b"\xff\x64") if b"\xff\x64" in frame[:300] else frame.index(b"\xff\x90")
        frame = frame[:place] + struct.pack(">HHH", 0xFF64, len(inside) + 4, 1) + inside + frame[place:]
    else:
        text = maker.word("comment of the codestream").encode()
        exif = b"Exif\0\0" + inside
        frame = (
            frame[:2]
            + struct.pack(">HH", 0xFFE1, len(exif) + 2)
            + exif
            + struct.pack(">HH", 0xFFFE, len(text) + 2)
            + text
            + frame[2:]
        )
    frame += behind
    dataset.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])


def _written(dataset: Dataset, maker: _Maker) -> bytes:
    dataset.preamble = maker.word("preamble").encode().ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = _ascii(maker.word("source AE"))[:16]
    maker.planted["source AE"] = dataset.file_meta.SourceApplicationEntityTitle
    dataset.file_meta.PrivateInformationCreatorUID = UID(str(maker.of_vr("creator", "UI")))
    dataset.file_meta.PrivateInformation = _even(maker.word("private information").encode())
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.SpecificCharacterSet = maker.random.choice(("ISO_IR 192", "ISO_IR 148"))
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def left_in(content: bytes, planted: Planted) -> list[str]:
    """The places whose identifiers still stand in a file, in any encoding or case; deflated data is
    inflated."""
    import zlib

    hay = content
    head = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    if head.file_meta.TransferSyntaxUID == f"{_ROOT}.1.99":
        start = content.index(b"DICM") + 4 + 12 + head.file_meta[0x0002, 0x0000].value
        hay += zlib.decompressobj(-15).decompress(content[start:])
    hay = hay.lower()
    return [place for place, made in planted.identifiers.items() if any(form in hay for form in _forms(made))]


def _forms(made: str) -> set[bytes]:
    spellings = {made, made.lower(), made.upper(), _ascii(made)}
    encodings = ("utf-8", "iso8859-9", "iso8859-1", "utf-16-le", "utf-16-be")
    forms = {word.encode(encoding, "ignore").lower() for word in spellings for encoding in encodings}
    return {form for form in forms if len(form) >= 5}
