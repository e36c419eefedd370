"""`tetkik triage reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text

from tetkik.bundle import (
    REFERENCE_COMPLAINTS,
    Task,
    refuse_same_folder,
    resolve,
    with_reference,
)
from tetkik.cli.console import out, print_line, progress, t, writing
from tetkik.cli.options import BundleFolder, CopyName, NeededModel, argument, check_output_folder, option
from tetkik.cli.tables import reference_table
from tetkik.cli.triage.evaluate import Invented, say_left_out
from tetkik.language import Sentence


def reference(
    data: Annotated[Path, argument("A CSV file with the columns text and label.", "DATA.csv")],
    *,
    model: NeededModel,
    folder: BundleFolder,
    data_name: Annotated[str | None, option("What the card calls the data; else the file.")] = None,
    split: Annotated[
        str, option("Which part of the data these complaints are, for the card.")
    ] = "all complaints given",
    limit: Annotated[
        int, option("Most complaints that are read, drawn by chance.", min=1)
    ] = REFERENCE_COMPLAINTS,
    name: CopyName = None,
    invented: Invented = None,
) -> None:
    """A copy of the model with the reference that its drift is measured against; the model stays as it is.

    Of complaints that the model learned, models are asked that are trained here without them.
    """
    from tetkik.lab.triage.data import read_complaints, read_invented
    from tetkik.lab.triage.linear.train import unlearned
    from tetkik.lab.triage.reference import make_reference
    from tetkik.triage.predict import load_triage

    check_output_folder(folder, name)
    bundle = resolve(model, Task.TRIAGE)
    refuse_same_folder(bundle, folder)
    complaints = read_complaints(data, labels=bundle.manifest.labels)
    say_left_out(complaints.left_out)
    with progress(t("reference")) as report, writing(folder):
        tell = report
        more = read_invented(invented, labels=bundle.manifest.labels) if invented else None
        given = unlearned(
            bundle, complaints, (Sentence(split),), lambda done, total: tell("train", done, total), more
        )
        found = make_reference(load_triage(bundle), given.some(limit), data_name or data.stem, tell)
        written = with_reference(bundle, found, folder, name)
    out.print(Text(t("{n} complaints", n=found.complaints), style="bold"))
    out.print(t("Not read by a model: {n}. No department named: {m}.", n=found.refused, m=found.abstained))
    titles = t("department"), "n", t("prevalence"), t("probability, median"), t("first")
    out.print(reference_table(found.labels, *titles))
    print_line("The model is in {path}.", path=written.path)
