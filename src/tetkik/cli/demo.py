"""`tetkik demo`: the main job, end to end, on examples that the project made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from tetkik import __version__
from tetkik.cli.console import language, out, t, writing
from tetkik.cli.triage.answer import show_answer
from tetkik.values import DISCLAIMER

EXAMPLES = (
    "Üç haftadır geçmeyen öksürüğüm var, balgam çıkarıyorum, akciğer filmi çekildi. Sigara içiyorum.",
    "bel fitigim var doktor, sag bacagima vuruyor ayagim uyusuyor mr da l4 l5 cikti",
    "Yarım saattir göğsümde baskı var, sol koluma yayılıyor, soğuk soğuk terliyorum.",
    "4 yaşındaki oğlumun iki gündür karnı ağrıyor, dün gece bir kez kustu.",
    "Başım dönüyor, halsizim, ne yapmalıyım?",
)


def demo(
    *,
    folder: Annotated[Path, typer.Option("--out", help=t("The folder for the results."))] = Path("demo-out"),
    complaint: Annotated[
        str | None, typer.Option("--complaint", help=t("Your own complaint instead of the examples."))
    ] = None,
) -> None:
    """Answers on the terminal, and the same as JSON in the folder."""
    from tetkik.workflow import triage

    # Before anything is said: a place that cannot be written to is told of first.
    folder.mkdir(parents=True, exist_ok=True)
    out.print(Text(f"Tetkik {__version__} · ", style="bold").append(t("from a complaint to a department")))
    out.print(Text(t(DISCLAIMER["en"]), style="dim"))
    results = []
    for text in (complaint,) if complaint is not None else EXAMPLES:
        out.print()
        result = triage(text)
        show_answer(result)
        results.append(result)
    target = folder / "triage.jsonl"
    lines = "".join(json.dumps(result.as_json(), ensure_ascii=False) + "\n" for result in results)
    partial = folder / ".triage.jsonl.partial"
    try:
        with writing(target):
            partial.write_text(lines, encoding="utf-8", errors="replace")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    out.print()
    out.print(t("Model: {model}.", model=results[0].model), style="dim", markup=False)
    out.print(t("The answers as JSON: {path}.", path=target), markup=False, soft_wrap=True)
    own = "Gözüm kızardı ve sulanıyor" if language().value == "tr" else "Gözüm kızardı"
    out.print(
        t("Try your own: {command}", command=f'tetkik triage predict "{own}"'), markup=False, soft_wrap=True
    )
