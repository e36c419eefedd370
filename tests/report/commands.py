"""`tetkik report` for tests: the command, and the findings that it is given."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from tetkik.cli.app import app
from tetkik.values import FINDING_LABELS, route_of

FOUND = {"Effusion": 0.83, "Cardiomegaly": 0.95}
ASSESSED = {"Effusion", "Cardiomegaly", "Pneumothorax", "Mass", "Nodule", "Normal"}
RULED_OUT = ("Pneumothorax", "Mass")


def _row(label: str, found: dict[str, float], ruled_out: tuple[str, ...]) -> dict[str, Any]:
    assessed = label in ASSESSED
    probability = found.get(label, 0.02) if assessed else None
    return {
        "label": label,
        "assessed": assessed,
        "score": probability,
        "probability": probability,
        "threshold": 0.4 if assessed else None,
        "threshold_on": "probability" if assessed else None,
        "positive": label in found,
        "asserts": label in found,
        "rules_out": label in ruled_out and label not in found,
    }


def answer(found: dict[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    """What `findings predict --json` prints of a chest film."""
    rows = [_row(label, FOUND if found is None else found, RULED_OUT) for label in FINDING_LABELS]
    kept = [item for item in rows if route_of(item["label"]) == "chest"]
    common = {"path": "AYSE_YILMAZ.dcm", "route": "chest", "suitable": True, "reasons": []}
    return {**common, "screen": 0.9, "findings": kept, "model": "model 1.0", "graded": True, **changes}


def run(*arguments: object, columns: int = 80, text: str | None = None) -> tuple[int, str, str]:
    """`tetkik report …`: the exit status, standard output and standard error."""
    result = CliRunner().invoke(
        app, ["report", *map(str, arguments)], input=text, env={"COLUMNS": str(columns)}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def draft(*arguments: object) -> dict[str, Any]:
    """The object that `report draft --json` prints."""
    status, said, _ = run("draft", *arguments, "--json")
    assert status == 0
    (line,) = said.splitlines()
    read: dict[str, Any] = json.loads(line)
    return read


def flat(text: str) -> str:
    """A text without its line ends and indents."""
    return " ".join(text.split())


def words_of(sentences: list[dict[str, Any]], section: str) -> str:
    """The sentences of one part of a draft."""
    return " ".join(item["text"] for item in sentences if item["section"] == section)


def one_sentence(arguments: list[object], status: int, *words: str) -> None:
    """A command ends in one sentence that has these words."""
    given, said, fault = run(*arguments)
    assert (given, said) == (status, "")
    assert len(fault.splitlines()) == 1, fault
    for word in words:
        assert word in fault
