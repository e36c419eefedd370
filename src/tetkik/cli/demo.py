"""`tetkik demo`: the main job, end to end, on examples that the project made up, or on the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from rich.text import Text

from tetkik import __version__
from tetkik.cli.console import language, out, print_line, t, writing
from tetkik.cli.options import option
from tetkik.cli.serve import need_extra
from tetkik.cli.triage.predict import show_answer as show_triage
from tetkik.errors import MissingExtra, install_line
from tetkik.files import written_whole
from tetkik.settings import settings
from tetkik.values import DISCLAIMER

if TYPE_CHECKING:
    from tetkik.workflow import Reported

EXAMPLES = (
    "Üç haftadır geçmeyen öksürüğüm var, balgam çıkarıyorum, akciğer filmi çekildi. Sigara içiyorum.",
    "bel fitigim var doktor, sag bacagima vuruyor ayagim uyusuyor mr da l4 l5 cikti",
    "Yarım saattir göğsümde baskı var, sol koluma yayılıyor, soğuk soğuk terliyorum.",
    "4 yaşındaki oğlumun iki gündür karnı ağrıyor, dün gece bir kez kustu.",
    "Başım dönüyor, halsizim, ne yapmalıyım?",
)
PHANTOM = "phantom.dcm"
REPORT = "report"
"""The folder of the documents: they name the patient, as they must; nothing beside it does."""


def demo(
    *,
    folder: Annotated[Path, option("The folder for the results.", "--out")] = Path("demo-out"),
    image: Annotated[
        Path | None, option("Your own radiograph instead of the drawn one.", metavar="FILE")
    ] = None,
    complaint: Annotated[str | None, option("Your own complaint instead of the examples.")] = None,
) -> None:
    """From complaint to draft report on the terminal; answers, heatmaps and documents in the folder."""
    from tetkik.cli.report.draft import show_files

    # Before anything is said: a place that cannot be written to is reported first.
    folder.mkdir(parents=True, exist_ok=True)
    out.print(Text(f"Tetkik {__version__}", style="bold"))
    out.print(Text(t(DISCLAIMER["en"]), style="dim"))
    complaints = (complaint,) if complaint is not None else EXAMPLES
    files = dict(_complaints(complaints, folder))
    # The patient of the first complaint is the one who was sent for a film.
    reported, more = _radiograph(image, complaints[0], folder)
    files |= more
    documents = _report(reported, folder / REPORT)
    _try_your_own()
    out.print()
    out.print(t("Open these files:"), style="bold")
    show_files({**documents, **files})


def _complaints(texts: Iterable[str], folder: Path) -> dict[Path, str]:
    from tetkik.workflow import triage

    _headline(t("From a complaint to a department"))
    results = [triage(text, settings().triage_model) for text in texts]
    target = folder / "triage.jsonl"
    _write_json(target, [result.as_json() for result in results])
    for number, result in enumerate(results):
        if number:
            out.print()
        show_triage(result)
    _say_model(results[0].model)
    return {target: t("every triage answer as JSON")}


def _radiograph(image: Path | None, history: str, folder: Path) -> tuple[Reported, dict[Path, str]]:
    """The findings of the image, shown; the draft is made in the same pass and shown later."""
    from tetkik.cli.findings.predict import show_answer
    from tetkik.findings.demonstration import demonstration_model
    from tetkik.values import label_name
    from tetkik.workflow import report_image

    _headline(t("From a radiograph to its findings"))
    files = {}
    path = image or _drawn(folder)
    with TemporaryDirectory() as place:
        model = str(demonstration_model(Path(place) / "model")) if image is None else None
        reported = report_image(
            path, settings(), history=history, language=language(), heatmaps=folder, model=model
        )
    result = kept = reported.result
    target = folder / "findings.jsonl"
    if image is None:
        files[path] = t("the drawn radiograph")
    else:
        # The name of a file may be a patient's; the hash says which file it was to whoever has it.
        kept = replace(result, path=f"sha256:{result.sha256[:16]}")
    _write_json(target, [kept.as_json()])
    show_answer(result)
    _say_model(result.model)
    files[target] = t("the findings as JSON")
    for label, picture in reported.pictures.items():
        files[picture] = t("where the model looked: {finding}", finding=label_name(label, language()))
    return reported, files


def _drawn(folder: Path) -> Path:
    """The example radiograph, copied into the folder."""
    from tetkik.imaging.examples import CHEST_SIGNS, example_chest
    from tetkik.values import label_name

    path = folder / PHANTOM
    with writing(path):
        path.write_bytes(example_chest())
    out.print(
        t(
            "A synthetic radiograph, drawn by Tetkik: no patient. It shows {signs}, and is one of the few "
            "drawings in which the model, which learned from films, sees something.",
            signs=", ".join(label_name(sign, language()) for sign in CHEST_SIGNS),
        ),
        style="dim",
    )
    return path


def _report(reported: Reported, folder: Path) -> dict[Path, str]:
    from tetkik.cli.report.draft import meaning, show_draft, write_report

    files = write_report(reported, folder)
    _headline(t("From the findings to a draft report"))
    show_draft(reported.drafted.draft, disclaimer=False)
    return {file: meaning(file) for file in files}


def _headline(title: str) -> None:
    out.print()
    out.print(Text(title, style="bold magenta"))


def _say_model(model: str) -> None:
    out.print(t("Model: {model}.", model=model), style="dim", soft_wrap=True)


def _write_json(target: Path, answers: list[dict[str, Any]]) -> None:
    """One object a line, all of them or none."""
    lines = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
    with writing(target), written_whole(target) as file:
        file.write(lines.encode("utf-8", errors="replace"))


def _try_your_own() -> None:
    own = "Gözüm kızardı ve sulanıyor" if language().value == "tr" else "Gözüm kızardı"
    out.print()
    for command in (
        f'tetkik triage predict "{own}"',
        "tetkik findings predict IMAGE.dcm --heatmaps DIR",
        "tetkik report draft IMAGE.dcm --out DIR",
    ):
        print_line("Try your own: {command}", command=command)
    print_line("In a browser, with invented patients: {command}", command="tetkik serve --demo")
    try:
        need_extra()
    except MissingExtra:
        print_line("It needs the reading room first: {command}", command=install_line("service"))
