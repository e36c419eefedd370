"""`tetkik demo`: the main job, end to end, on examples that the project made up, or on the user's own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tetkik import __version__
from tetkik.cli.console import language, out, t, writing
from tetkik.cli.triage.answer import show_answer as show_triage
from tetkik.values import DISCLAIMER

EXAMPLES = (
    "Üç haftadır geçmeyen öksürüğüm var, balgam çıkarıyorum, akciğer filmi çekildi. Sigara içiyorum.",
    "bel fitigim var doktor, sag bacagima vuruyor ayagim uyusuyor mr da l4 l5 cikti",
    "Yarım saattir göğsümde baskı var, sol koluma yayılıyor, soğuk soğuk terliyorum.",
    "4 yaşındaki oğlumun iki gündür karnı ağrıyor, dün gece bir kez kustu.",
    "Başım dönüyor, halsizim, ne yapmalıyım?",
)
PHANTOM = "phantom.dcm"
_SEED, _SIGNS = 4, ("Effusion", "Cardiomegaly")


def demo(
    *,
    folder: Annotated[Path, typer.Option("--out", help=t("The folder for the results."))] = Path("demo-out"),
    image: Annotated[
        Path | None,
        typer.Option("--image", help=t("Your own radiograph instead of the drawn one."), metavar="FILE"),
    ] = None,
    complaint: Annotated[
        str | None, typer.Option("--complaint", help=t("Your own complaint instead of the examples."))
    ] = None,
) -> None:
    """Answers on the terminal; the same as JSON, and heatmaps, in the folder."""
    # Before anything is said: a place that cannot be written to is told of first.
    folder.mkdir(parents=True, exist_ok=True)
    out.print(Text(f"Tetkik {__version__}", style="bold"))
    out.print(Text(t(DISCLAIMER["en"]), style="dim"))
    _complaints((complaint,) if complaint is not None else EXAMPLES, folder)
    _radiograph(image, folder)
    _try_your_own()


def _complaints(texts: Iterable[str], folder: Path) -> None:
    from tetkik.workflow import triage

    _headline(t("From a complaint to a department"))
    results = []
    for number, text in enumerate(texts):
        if number:
            out.print()
        results.append(triage(text))
        show_triage(results[-1])
    target = folder / "triage.jsonl"
    _write_json(target, [result.as_json() for result in results])
    out.print()
    _where(results[0].model, target)


def _radiograph(image: Path | None, folder: Path) -> None:
    from tetkik.cli.findings.answer import show_answer
    from tetkik.findings.labels import label_name
    from tetkik.workflow import explain_radiograph

    _headline(t("From a radiograph to its findings"))
    if image is None:
        from tetkik.imaging.phantom import write_phantom

        path = folder / PHANTOM
        with writing(path):
            write_phantom(path, _SEED, _SIGNS)
        out.print(
            t(
                "A synthetic radiograph, drawn by Tetkik: no patient. It shows {signs}; the model learned "
                "films and may not see them in a drawing.",
                signs=", ".join(label_name(sign, language()) for sign in _SIGNS),
            ),
            style="dim",
        )
    result, pictures = explain_radiograph(image or path, folder)
    show_answer(result)
    for picture in pictures.values():
        out.print("  " + t("Heatmap: {path}", path=picture), style="dim", soft_wrap=True)
    target = folder / "findings.jsonl"
    if image is not None:
        # The name of a file may be a patient's; the hash says which file it was to whoever has it.
        result = replace(result, path=f"sha256:{result.sha256[:16]}")
    _write_json(target, [result.as_json()])
    _where(result.model, target)


def _headline(title: str) -> None:
    out.print()
    out.print(Text(title, style="bold cyan"))


def _where(model: str, target: Path) -> None:
    out.print(t("Model: {model}.", model=model), style="dim", soft_wrap=True)
    out.print(t("The answers as JSON: {path}.", path=target), soft_wrap=True)


def _write_json(target: Path, answers: list[dict[str, Any]]) -> None:
    """One object a line, all of them or none."""
    lines = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with writing(target):
            partial.write_text(lines, encoding="utf-8", errors="replace")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _try_your_own() -> None:
    own = "Gözüm kızardı ve sulanıyor" if language().value == "tr" else "Gözüm kızardı"
    out.print()
    for command in (f'tetkik triage predict "{own}"', "tetkik findings predict IMAGE.dcm --heatmaps DIR"):
        out.print(t("Try your own: {command}", command=command), soft_wrap=True)
