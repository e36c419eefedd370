"""Reading and preparing a radiograph, against the bare decoder, on one core, in one run.

    python benchmarks/imaging_decode.py [--side 2500] [--rounds 9] [--out TABLE.md]

The picture is the project's own phantom, 12 bits, written in each transfer syntax. "Bare decoder" is the
codec's own call on the codestream, in memory; "Tetkik" is a file's path to the input of a network: reading,
SHA-256, tags, decoding, window, 224 x 224. "pydicom" is what a user would otherwise write for the same:
`dcmread`, `pixel_array`, `apply_voi_lut`, a resize. The three take turns; each figure is the median of the
rounds, and so is each ratio.

JPEG 2000 could be decoded at a quarter of its size in less time. It is not: the wavelet's small image is
another than the resized large one, so the same radiograph would get other findings by how it was packed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import gdcm  # noqa: E402 - after the threads
import jpeg_ls  # noqa: E402
import numpy as np  # noqa: E402
import openjpeg  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from PIL import Image  # noqa: E402
from pydicom import Dataset, dcmread  # noqa: E402
from pydicom.dataset import FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate, get_frame  # noqa: E402
from pydicom.pixels import apply_modality_lut, apply_voi_lut  # type: ignore[attr-defined]  # noqa: E402
from pydicom.uid import (  # noqa: E402
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record  # noqa: E402
from tests.phantom import draw_phantom  # noqa: E402
from tetkik.imaging.decoders import decode, parse_codestream  # noqa: E402
from tetkik.imaging.prepare import Preprocessing, prepare  # noqa: E402
from tetkik.imaging.read import read_image  # noqa: E402

PREPROCESSING = Preprocessing(size=224)
RECORDED = "JPEG 2000 lossless"
"""The case that has a row in docs/figures.json."""


@dataclass(frozen=True)
class Case:
    """One transfer syntax.

    Attributes:
        title: of the syntax.
        file: in it.
        bare: the codec alone; None where there is none.
    """

    title: str
    file: Path
    bare: Callable[[], object] | None


def dataset(pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> Dataset:
    """A radiograph without compression, with a window."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = ComputedRadiographyImageStorage, "1.2.826.0.1.3680043.8.498.2"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "CR", "MONOCHROME2", 1
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 8 * pixels.itemsize, bits, bits - 1
    made.PixelRepresentation = 0
    made.WindowCenter, made.WindowWidth = 1 << (bits - 1), 3 << (bits - 2)
    made.PixelData = pixels.tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def encapsulated(made: Dataset, codestream: bytes, syntax: UID) -> Dataset:
    """`made` around a codestream."""
    made.PixelData = encapsulate([codestream])
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = syntax
    return made


def lossless_jpeg(source: Path) -> bytes:
    """The file's picture as lossless JPEG, which GDCM alone encodes."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    change.Change()
    writer = gdcm.ImageWriter()
    target = source.with_suffix(".lossless")
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.Write()
    return get_frame(dcmread(target).PixelData, 0, number_of_frames=1)


def cases(pixels: NDArray[np.uint16], folder: Path) -> list[Case]:
    """A file in each syntax."""
    octets = (pixels >> 4).astype(np.uint8)
    plain = folder / "plain.dcm"
    dataset(pixels, 12).save_as(plain, enforce_file_format=True)
    j2k = bytes(openjpeg.encode(pixels, bits_stored=12))
    jls = bytes(jpeg_ls.encode_array(pixels))
    lossless = lossless_jpeg(plain)
    buffer = BytesIO()
    Image.fromarray(octets).save(buffer, "JPEG", quality=95)
    baseline = buffer.getvalue()
    deflated = dataset(pixels, 12)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    rle = dataset(pixels, 12)
    rle.compress(RLELossless, generate_instance_uid=False)
    made: list[tuple[str, Dataset, Callable[[], object] | None]] = [
        (
            "JPEG 2000 lossless",
            encapsulated(dataset(pixels, 12), j2k, JPEG2000Lossless),
            lambda: openjpeg.decode(j2k),
        ),
        (
            "JPEG-LS lossless",
            encapsulated(dataset(pixels, 12), jls, JPEGLSLossless),
            lambda: jpeg_ls.decode_buffer(jls),
        ),
        (
            "JPEG lossless",
            encapsulated(dataset(pixels, 12), lossless, JPEGLosslessSV1),
            lambda: decode(lossless, parse_codestream(lossless), is_rgb=False),
        ),
        (
            "JPEG baseline, 8 bits",
            encapsulated(dataset(octets, 8), baseline, JPEGBaseline8Bit),
            lambda: np.asarray(Image.open(BytesIO(baseline))),
        ),
        ("RLE lossless", rle, None),
        ("deflated", deflated, None),
        ("uncompressed", dataset(pixels, 12), None),
    ]
    found = []
    for number, (title, written, bare) in enumerate(made):
        file = folder / f"{number}.dcm"
        written.save_as(file, enforce_file_format=True)
        found.append(Case(title, file, bare))
    return found


def by_pydicom(file: Path) -> NDArray[np.float64]:
    """What one writes without this package."""
    read = dcmread(file)
    values = apply_voi_lut(apply_modality_lut(read.pixel_array, read), read)
    shades = (values / ((1 << read.BitsStored) - 1)).astype(np.float32)
    size = (PREPROCESSING.size, PREPROCESSING.size)
    return np.asarray(Image.fromarray(shades).resize(size, Image.Resampling.BILINEAR))


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row(case: Case, rounds: int) -> str:
    """One line of the table."""
    taken: list[tuple[float, float, float]] = []
    for _ in range(rounds + 1):
        bare = seconds(case.bare) if case.bare else 0.0
        ours = seconds(lambda: prepare(read_image(case.file), PREPROCESSING))
        taken.append((bare, ours, seconds(lambda: by_pydicom(case.file))))
    # The first round loads the libraries.
    taken = taken[1:]
    bare, ours, theirs = (1e3 * statistics.median(times[side] for times in taken) for side in range(3))
    over = f"{statistics.median(times[1] / times[0] for times in taken):.2f}" if case.bare else ""
    if over and case.title == RECORDED:
        record("findings-speed/jpeg2000", {"reached": judged(over, met=float(over) <= 1.5)})
    under = f"{statistics.median(times[2] / times[1] for times in taken):.1f}"
    size = case.file.stat().st_size / 1e6
    alone = f"{bare:.0f}" if case.bare else ""
    return f"| {case.title} | {size:.1f} | {alone} | {ours:.0f} | {over} | {theirs:.0f} | {under} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    pixels = np.ascontiguousarray(draw_phantom(0, rows=arguments.side, columns=arguments.side))
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f"{arguments.side} x {arguments.side} pixels, median of {arguments.rounds} rounds, milliseconds",
            "",
            "| syntax | MB | bare decoder | Tetkik | over the bare decoder | pydicom | Tetkik is faster by |",
            "|---|---|---|---|---|---|---|",
            *(row(case, arguments.rounds) for case in cases(pixels, Path(folder))),
        ]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
