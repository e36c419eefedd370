"""`tetkik findings reference`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from tetkik.bundle import REFERENCE_IMAGES, ImageReference, Task, refuse_same_folder, resolve, with_reference
from tetkik.cli.console import note, out, print_line, progress, t, writing
from tetkik.cli.findings.evaluate import Images, Known, read_images
from tetkik.cli.findings.inputs import Workers, image_files
from tetkik.cli.options import BundleFolder, CopyName, NeededModel, argument, check_output_folder, option
from tetkik.cli.tables import reference_table
from tetkik.errors import UsageError
from tetkik.language import Sentence

if TYPE_CHECKING:
    from tetkik.lab.findings.reference import ReferenceImages


def reference(
    data: Annotated[Path | None, argument("A table of images and their labels.", "[LABELS.csv]")] = None,
    *,
    model: NeededModel,
    folder: BundleFolder,
    images: Images = None,
    log: Annotated[
        Path | None,
        option(
            "What a training left beside its bundle: scores of networks that had not learned the image.",
            metavar="DIR",
        ),
    ] = None,
    data_name: Annotated[str | None, option("What the card calls the data; else the folder.")] = None,
    split: Annotated[
        str, option("Which part of the data these images are, for the card.")
    ] = "all images given",
    limit: Annotated[int, option("Most images that are read, drawn by chance.", min=1)] = REFERENCE_IMAGES,
    name: CopyName = None,
    known: Known = None,
    workers: Workers = None,
) -> None:
    """A copy of the model with the reference that its drift is measured against; the model stays as it is."""
    from tetkik.findings.predict import load_findings
    from tetkik.lab.findings.reference import make_reference

    check_output_folder(folder, name)
    bundle = resolve(model, Task.FINDINGS)
    refuse_same_folder(bundle, folder)
    given = _given(data, images, log, known or [])
    taken = given.some(limit)
    called = data_name or (data or images or Path()).resolve().name
    with progress(t("reference")) as report, writing(folder):
        found = make_reference(
            load_findings(bundle), taken, called, (Sentence(split),), workers=workers, progress=report
        )
        written = with_reference(bundle, found, folder, name)
    _show(found)
    print_line("The model is in {path}.", path=written.path)


def _given(data: Path | None, images: Path | None, log: Path | None, known: list[str]) -> ReferenceImages:
    from tetkik.lab.findings.reference import ReferenceImages, read_log

    if log is not None:
        if data is not None or images is None:
            raise UsageError("--log needs --images, the folder that its names start from, and no table.")
        return read_log(log, images)
    if data is not None:
        labelled = read_images(data, [], images, known, check_files=True)
        return ReferenceImages(labelled.files, labelled.labels, labelled.truth)
    if images is None:
        raise UsageError("There is nothing to look at; name a table of labels, or a folder with --images.")
    found = (file for file in image_files([str(images)], None) if isinstance(file, str))
    return ReferenceImages.unlabelled(tuple(Path(file) for file in found))


def _show(found: ImageReference) -> None:
    out.print(Text(t("{n} images", n=found.images), style="bold"))
    if found.unreadable:
        note("Images that cannot be read: {count}; they count nowhere.", count=found.unreadable)
    if found.labels:
        titles = t("label"), "n", t("prevalence"), t("score, median"), t("above the threshold")
        out.print(reference_table(found.labels, *titles))
    else:
        note("No image was suitable, so no score could be described.")
