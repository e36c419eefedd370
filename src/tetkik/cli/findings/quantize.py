"""`tetkik findings quantize`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

from tetkik.bundle import Task, resolve
from tetkik.cli.console import note, print_line, progress, writing
from tetkik.cli.findings.inputs import image_files
from tetkik.cli.options import BundleFolder, argument, check_output_folder, option


def quantize(
    model: Annotated[str, argument("A built-in or imported id, a path, or a Hugging Face id.", "MODEL")],
    *,
    images: Annotated[Path, option("A folder of images of the kind that the model will see.")],
    folder: BundleFolder,
    limit: Annotated[int, option("Most images that are read.", min=16)] = 128,
    name: Annotated[
        str | None, option("Name of the model; without it the old name and -int8.", "--id")
    ] = None,
) -> None:
    """The same model in int8: smaller, and faster where the processor multiplies int8 well."""
    from tetkik.lab.findings.quantize import quantise_bundle

    check_output_folder(folder, name)
    bundle = resolve(model, Task.FINDINGS)
    found = (file for file in image_files([str(images)], None) if isinstance(file, str))
    files = [Path(file) for file in islice(found, limit)]
    with progress("int8") as report, writing(folder):
        written = quantise_bundle(bundle, files, folder, report, name)
    measured = written.manifest.training["int8"]
    print_line(
        "On {count} images the scores differ from fp32 by {mean} on average and {most} at most.",
        count=measured["compared_images"],
        mean=f"{measured['mean_score_difference']:.4f}",
        most=f"{measured['largest_score_difference']:.4f}",
    )
    note("It was not evaluated: run `tetkik findings evaluate` on labelled images before you trust it.")
    print_line("The model is in {path}.", path=written.path)
