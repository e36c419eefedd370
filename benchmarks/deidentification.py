"""What de-identification leaves of identifiers, and what it takes of the rest: Turkish texts, and DICOM
files.

    python benchmarks/deidentification.py [--file judges.csv]... [--files 500]

The texts are one JSON object a line, {"text": ..., "spans": [[substring, kind], ...]}, or the CSV of
data/deidentification, by writers who had not seen the rules. A span counts as found where none of its letters
and digits is left, signs between them aside. Of the words outside every span (runs of letters or digits)
those that went are the loss; an ending written together with a span belongs to neither.

Without --file the development texts are read: all figures of them are flattered, since the rules were written
with them in view and the tagger was trained on them. `--leave-out` trains it anew without each writer in
turn.

The DICOM files are made by tests/imaging/planted.py: identifiers, each used once, in every attribute that can
hold one and in every place beside the attributes; they are looked for in the bytes written, in five
encodings.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from figures import interval, judged, record
from tetkik.statistics import wilson_interval

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.privacy.marked_texts import DEVELOPMENT, Score, Text, measure, read_texts, whole


def show(title: str, score: Score, listed: bool = False) -> None:
    found, spans = score.found.total(), score.spans.total()
    print(
        f"{title}: recall {share(found, spans)} of {spans}; "
        f"useful words lost {share(score.lost, score.words, 4)} of {score.words}"
    )
    for kind in sorted(score.spans):
        print(f"  {kind:9} {share(score.found[kind], score.spans[kind])} of {score.spans[kind]}")
    if listed:
        for kind, part, text in score.missed:
            print(f"  missed {kind} {part!r}: {text}")
        for word, text in score.gone:
            print(f"  lost {word!r}: {text}")


def share(part: int, whole: int, digits: int = 3) -> str:
    bounds = wilson_interval(part, whole)
    low_high = interval(bounds.low, bounds.high, digits) if bounds else "not known"
    return f"{part / max(whole, 1):.{digits}f} ({low_high})"


def record_texts(score: Score, name: str) -> None:
    found, spans = score.found.total(), score.spans.total()
    recall, loss = wilson_interval(found, spans), wilson_interval(score.lost, score.words)
    assert recall is not None and loss is not None
    reached, taken = found / spans, score.lost / score.words
    record(
        f"deidentification/{name}-recall",
        {
            "reached": judged(f"{reached:.3f}", met=reached >= 0.99),
            "95% interval": interval(recall.low, recall.high),
            "n": f"{spans} identifiers",
        },
    )
    record(
        f"deidentification/{name}-loss",
        {
            "reached": judged(f"{taken:.2%}", met=taken < 0.01),
            "95% interval": f"{loss.low:.2%} to {loss.high:.2%}",
            "n": f"{score.words:,} words",
        },
    )


def leave_out(texts: Sequence[Text], listed: bool) -> None:
    """Each writer judged by a tagger that never saw that writer."""
    from deidentification_training import train
    from tetkik.privacy import tagger

    total = Score(Counter(), Counter())
    kept = tagger.model
    for writer in sorted({text.writer for text in texts}):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "tagger.npz"
            train([text for text in texts if text.writer != writer], file)
            made = tagger.read_model(file)
        tagger.model = lambda made=made: made  # type: ignore[assignment]
        own = [text for text in texts if text.writer == writer]
        show(f"{writer}, tagger trained without", measure(own, whole), listed)
        for text in own:
            total.add(text, whole)
    tagger.model = kept
    show("each writer left out in turn", total)
    record_texts(total, "left-out")


def speed(texts: Sequence[Text]) -> None:
    """Microseconds a character, on one text and on the same ones joined 16 times."""
    whole("bir")
    line = " ".join(text.text for text in texts)[:20_000]
    for times in (1, 16):
        start = time.perf_counter()
        whole(line * times)
        took = time.perf_counter() - start
        print(
            f"{len(line) * times:,} characters: {took:.2f} s, "
            f"{took / len(line) / times * 1e6:.1f} us a character"
        )


def measure_files(count: int) -> None:
    """What is left in de-identified DICOM files of the identifiers planted in them, and what useful is
    lost."""
    import pydicom

    from tests.imaging.planted import left_in, planted_files
    from tetkik.errors import InputError
    from tetkik.imaging.deidentify import BurnedIn, Options, Secret, deidentify_bytes

    warnings.simplefilter("ignore")
    secret, options = Secret(b"0123456789abcdef"), Options(burned_in=BurnedIn.WARN)
    left: Counter[str] = Counter()
    refused = planted = files = 0
    places: set[str] = set()
    for item in planted_files(count):
        files += 1
        planted += len(item.identifiers)
        places |= item.identifiers.keys()
        try:
            content, uid, _ = deidentify_bytes(item.content, item.name, secret, options)
        except InputError:
            refused += 1
            continue
        left.update(left_in(content, item))
        left.update(["file name"] if item.identifiers["file name"].lower() in uid else [])
    print(
        f"{planted:,} identifiers in {len(places):,} kinds of places of {files} files; "
        f"{refused} refused; left: {left.total()}"
    )
    print("  ", dict(left.most_common(20)))
    if count >= 500:
        reached = {
            "reached": judged(f"{left.total()} left", met=not left),
            "n": f"{planted:,} identifiers, {files} files",
        }
        record("deidentification/dicom-left", reached)
    kept: Counter[str] = Counter()
    had: Counter[str] = Counter()
    for file in sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm")):
        try:
            data = file.read_bytes()
            content, _, _ = deidentify_bytes(data, file.name, secret, options)
        except InputError:
            continue
        before, after = (pydicom.dcmread(io.BytesIO(part), force=True) for part in (data, content))
        for element in before:
            if element.keyword in USEFUL and element.value not in (None, "", []):
                had[element.keyword] += 1
                kept[element.keyword] += str(after.get(element.keyword)) == str(element.value)
    print(
        "useful attributes of pydicom's own files that stay as they are: "
        f"{share(kept.total(), had.total())} of {had.total()}"
    )
    print(
        "  lost:",
        {name: f"{had[name] - kept[name]} of {had[name]}" for name in sorted(had) if kept[name] < had[name]},
    )
    if count >= 500:
        record(
            "deidentification/dicom-useful",
            {"reached": f"{kept.total() / had.total():.3f}", "n": f"{had.total():,} attributes"},
        )


# What image research reads, besides the pixels and what places them (PS3.3).
USEFUL = frozenset(
    """
    Modality BodyPartExamined ViewPosition ImageLaterality Laterality PatientPosition PatientOrientation
    ImageType Manufacturer
    ManufacturerModelName SoftwareVersions ConvolutionKernel KVP XRayTubeCurrent Exposure ExposureTime
    SliceThickness
    SpacingBetweenSlices PixelSpacing ImagerPixelSpacing ImagePositionPatient ImageOrientationPatient
    SliceLocation MagneticFieldStrength EchoTime RepetitionTime FlipAngle InversionTime ScanningSequence
    SequenceVariant SequenceName ScanOptions
    MRAcquisitionType ImagedNucleus NumberOfAverages EchoTrainLength WindowCenter WindowWidth
    RescaleSlope RescaleIntercept
    RescaleType LossyImageCompression LossyImageCompressionRatio PhotometricInterpretation Rows Columns
    BitsStored
    NumberOfFrames InstanceNumber SeriesNumber AcquisitionNumber PresentationIntentType ConversionType
    FilterType Grid
    DistanceSourceToDetector DistanceSourceToPatient GantryDetectorTilt TableHeight RotationDirection
    DoseUnits DoseType
    PulseSequenceName ReceiveCoilName TransmitCoilName FrameTime UltrasoundColorDataPresent Units
    """.split()  # noqa: SIM905
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--file", type=Path, action="append", help="judges' texts, JSON lines or CSV")
    parser.add_argument(
        "--leave-out", action="store_true", help="train the tagger without each writer in turn"
    )
    parser.add_argument(
        "--files", type=int, default=0, metavar="N", help="DICOM files to make, 500 for the figure"
    )
    parser.add_argument("--list", action="store_true", help="print what was missed and what was lost")
    arguments = parser.parse_args()
    if arguments.file:
        judges = [text for file in arguments.file for text in read_texts(file)]
        for writer in sorted({text.writer for text in judges}):
            show(writer, measure([text for text in judges if text.writer == writer], whole))
        score = measure(judges, whole)
        show("judges", score, arguments.list)
        record_texts(score, "judges")
    texts = read_texts(DEVELOPMENT)
    if arguments.leave_out:
        leave_out(texts, arguments.list)
    elif not arguments.file:
        score = measure(texts, whole)
        show("development", score, arguments.list)
        record_texts(score, "development")
        speed(texts)
    if arguments.files:
        measure_files(arguments.files)


if __name__ == "__main__":
    main()
