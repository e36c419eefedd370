"""Makers of image files for tests: small, drawn here, in every syntax that is read."""

from __future__ import annotations

import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
BY_PYDICOM = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
BY_GDCM = (JPEGLossless, JPEGLosslessSV1)
LOSSLESS = (*NATIVE, *BY_PYDICOM, *BY_GDCM)


def picture(rows: int = 40, columns: int = 36, bits: int = 12, seed: int = 0) -> NDArray[np.uint16]:
    """(rows, columns), uint16: waves and noise over nearly the whole range of `bits`."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:rows, :columns]
    waves = np.sin(row / 7) * np.cos(column / 9) + random.normal(0, 0.05, (rows, columns))
    white = (1 << bits) - 1
    levels: NDArray[np.uint16] = np.clip((waves + 1.2) / 2.4 * white, 0, white).astype(np.uint16)
    return levels


def dataset(pixels: NDArray[np.generic], bits: int | None = None, **tags: object) -> Dataset:
    """A data set around `pixels`: (rows, columns), (rows, columns, 3) or (frames, rows, columns)."""
    made = Dataset()
    made.SOPClassUID = DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    made.Modality = "DX"
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == 3 and not colour else 1
    made.Rows, made.Columns = pixels.shape[:2] if frames == 1 else pixels.shape[1:3]
    made.SamplesPerPixel = 3 if colour else 1
    if colour:
        made.PlanarConfiguration = 0
    if frames > 1:
        made.NumberOfFrames = frames
    made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.add_new("PixelData", "OB" if made.BitsAllocated == 8 else "OW", pixels.tobytes())
    with _wrong_values():
        for name, value in tags.items():
            setattr(made, name, value)
    return made


@contextmanager
def _wrong_values() -> Iterator[None]:
    """Wrong values are written on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom\.")
        yield


def as_bytes(made: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file, in one of `LOSSLESS`."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    if syntax in BY_GDCM:
        return _by_gdcm(_written(made), syntax)
    if syntax in BY_PYDICOM:
        made.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        if made.BitsAllocated == 16:
            made.PixelData = np.frombuffer(made.PixelData, "<u2").byteswap().tobytes()
        made.file_meta.TransferSyntaxUID = syntax
    else:
        made.file_meta.TransferSyntaxUID = syntax
    return _written(made)


def _written(made: Dataset) -> bytes:
    buffer = BytesIO()
    with _wrong_values():
        dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def with_codestream(made: Dataset, codestream: bytes, syntax: UID) -> bytes:
    """A file around a codestream that was made elsewhere."""
    made.PixelData = encapsulate([codestream])
    made["PixelData"].is_undefined_length = True
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return _written(made)


def codestream_of(data: bytes) -> bytes:
    """The codestream of the only frame of a file."""
    from pydicom.encaps import get_frame

    return get_frame(dcmread(BytesIO(data)).PixelData, 0, number_of_frames=1)


def _by_gdcm(data: bytes, syntax: UID) -> bytes:
    """Transcoded by GDCM, which alone encodes lossless JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(data)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return target.read_bytes()


def deflated(body: bytes) -> bytes:
    """A file that says that it is deflated, with `body` after its meta information."""
    sound = as_bytes(dataset(np.zeros((2, 2), np.uint8)), DeflatedExplicitVRLittleEndian)
    # The length of group 2 counts from behind its own element (PS3.10 7.1).
    (length,) = struct.unpack_from("<I", sound, 132 + 8)
    return sound[: 132 + 12 + length] + body


def segment(marker: int, content: bytes) -> bytes:
    """A marker segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _packed(bits: str) -> bytes:
    """Entropy-coded data: filled up with ones, and 0xFF followed by 0."""
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\0")


def _coded(difference: int) -> str:
    """A difference as its size, in a Huffman code of five bits, and its value."""
    size = abs(difference).bit_length()
    value = difference if difference > 0 else difference + (1 << size) - 1
    return f"{size:05b}" + (f"{value:0{size}b}" if size else "")


_SIZES = bytes([0, 0, 0, 0, 0, 17] + [0] * 11) + bytes(range(17))


def jpeg_lossless(pixels: NDArray[np.uint16], bits: int, predictor: int = 1) -> bytes:
    """A lossless JPEG of any depth: GDCM encodes 8 and 16 bits only.

    Args:
        pixels: (rows, columns) or (rows, columns, 3), below `2**bits`.
        bits: a sample.
        predictor: 1 (left) or 2 (above).
    """
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    rows, columns, count = planes.shape
    values = planes.astype(np.int64)
    predicted = np.empty_like(values)
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 1:] = values[0, :-1]
    predicted[0, 0] = 1 << (bits - 1)
    predicted[1:, 1:] = values[1:, :-1] if predictor == 1 else values[:-1, 1:]
    coded = "".join(_coded(int(difference)) for difference in (values - predicted).ravel())
    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, count + 1))
    scanned = b"".join(bytes([number, 0]) for number in range(1, count + 1))
    return (
        b"\xff\xd8"
        + segment(0xC3, struct.pack(">BHHB", bits, rows, columns, count) + components)
        + segment(0xC4, _SIZES)
        + segment(0xDA, bytes([count]) + scanned + bytes([predictor, 0, 0]))
        + _packed(coded)
        + b"\xff\xd9"
    )


def jpeg_12_of_blocks(levels: NDArray[np.int64]) -> bytes:
    """An extended sequential JPEG of 12 bits whose 8 x 8 blocks are each of one level.

    Args:
        levels: (rows / 8, columns / 8), 0 to 4095. Only the mean of a block is coded, so it is exact.
    """
    means = 8 * (levels.ravel() - 2048)
    differences = np.diff(means, prepend=0)
    # A zero ends the block.
    coded = "".join(_coded(int(difference)) + "0" for difference in differences)
    rows, columns = (8 * side for side in levels.shape)
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC1, struct.pack(">BHHB", 12, rows, columns, 1) + b"\1\x11\0")
        + segment(0xC4, _SIZES)
        + segment(0xC4, bytes([0x10, 1] + [0] * 15) + b"\0")
        + segment(0xDA, b"\1\1\0\0\x3f\0")
        + _packed(coded)
        + b"\xff\xd9"
    )


@cache
def sound_files() -> dict[str, bytes]:
    """A valid file of every kind that is read."""
    grey, colour = (
        picture(),
        np.stack([picture(bits=8, seed=seed).astype(np.uint8) for seed in range(3)], axis=-1),
    )
    files: dict[str, bytes] = {}
    for syntax in LOSSLESS:
        window = {"WindowCenter": 2000, "WindowWidth": 3000, "PatientAge": "045Y"}
        files[f"grey {syntax.name}"] = as_bytes(dataset(grey, 12, **window), syntax)
        files[f"colour {syntax.name}"] = as_bytes(dataset(colour), syntax)
    for syntax in (ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless):
        files[f"frames {syntax.name}"] = as_bytes(dataset(np.stack([grey] * 3), 12), syntax)
    deep = dataset(np.stack([grey.astype(np.uint32) * 9000] * 2), 32)
    files["32 bits"] = as_bytes(deep)
    real = dataset(grey.astype("f4") / 7)
    real.add_new("FloatPixelData", "OF", real.PixelData)
    del real.PixelData
    files["floating point"] = as_bytes(real)
    levels = np.random.default_rng(0).integers(0, 4096, (5, 4))
    twelve = dataset(np.zeros((40, 32), np.uint16), 12)
    files["12-bit JPEG"] = with_codestream(twelve, jpeg_12_of_blocks(levels), JPEGExtended12Bit)
    baseline = dataset(colour, PhotometricInterpretation="YBR_FULL_422")
    files["JPEG"] = with_codestream(baseline, raster(colour, "JPEG"), JPEGBaseline8Bit)
    for kind, options in (("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("TIFF", {})):
        files[f"{kind} {options}"] = raster(colour, kind, **options)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"TIFF {compression}"] = raster(colour, "TIFF", compression=compression)
    files["PNG 16"], files["TIFF 16"] = raster(grey, "PNG"), raster(grey, "TIFF")
    return files


def raster(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
