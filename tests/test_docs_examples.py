"""The documents are true: blocks fenced as `bash` run, shown answers are those given, links have a target.

Blocks fenced as `sh` need data, a network or an installation, and are not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(page: Path, kind: str) -> list[str]:
    return [found["body"] for found in _FENCED.finditer(text_of(page)) if found["kind"] == kind]


NAMED = [
    (block, f"{name(page)}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "bash"), 1)
]
EXAMPLES = [
    pytest.param(block, id=" ".join(named for same, named in NAMED if same == block))
    for block in dict(NAMED)  # what two pages show in the same words runs once
]
DEMO = "tetkik demo --out demo\n"
"""Many examples begin with it."""


def run(script: str, folder: Path, language: str = "en") -> subprocess.CompletedProcess[str]:
    """Run a script of bash in `folder`, with the `tetkik` and `python` of this environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "TETKIK_LANGUAGE": language},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the demo writes."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:  # made before the settings of any one test
        patch.setenv("TETKIK_MODELS_DIR", str(folder / "models"))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        result = run(DEMO, folder)
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stdout + result.stderr
    return folder / "demo"


def answers(result: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_runs(block, demo, tmp_path):
    if block.startswith(DEMO):
        shutil.copytree(demo, tmp_path / "demo")
    result = run(block.removeprefix(DEMO), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("page", "language"), [("README.md", "en"), ("README.tr.md", "tr")])
def test_the_readme_shows_what_is_printed(page, language, demo, tmp_path):
    """Each line shown is printed, in that order; `…` stands for words left out."""
    shutil.copytree(demo, tmp_path / "demo")
    fenced = [(found["kind"], found["body"]) for found in _FENCED.finditer(text_of(ROOT / page))]
    shown = [
        (block, text) for (kind, block), (then, text) in pairwise(fenced) if (kind, then) == ("bash", "text")
    ]
    assert len(shown) == 3
    for block, text in shown:
        printed = " ".join(run(block.removeprefix(DEMO), tmp_path, language).stdout.split())
        lines = [
            ".*".join(map(re.escape, line.split(" … ")))
            for line in map(" ".join, map(str.split, text.splitlines()))
        ]
        assert re.search(".*".join(lines), printed), printed


def test_there_are_examples_to_run():
    assert {"README.md", "README.tr.md", "docs/answers.md", "docs/yanitlar.md", "docs/how-to/predict.md"} <= {
        named.rpartition("-")[0] for example in EXAMPLES for named in str(example.id).split()
    }


@pytest.mark.parametrize(("page", "language"), [("docs/answers.md", "en"), ("docs/yanitlar.md", "tr")])
def test_the_answer_shown_is_the_answer_given(page, language, tmp_path):
    shown = json.loads(text_of(ROOT / page).split("<!-- example -->")[1].split("```")[1].removeprefix("json"))
    result = run(f'tetkik triage predict "{shown["text"]}" --json', tmp_path, language)
    given = json.loads(result.stdout)
    assert list(shown) == list(given), "keys, in order"
    # A page shows the beginning of a list; a probability may move a little when the model is trained again.
    for ours, theirs in zip(shown["departments"], given["departments"], strict=False):
        assert list(ours) == list(theirs)
    first, truth = shown["departments"][0], given["departments"][0]
    assert {**first, "probability": None} == {**truth, "probability": None}
    assert first["probability"] == pytest.approx(truth["probability"], abs=0.1)
    assert shown["urgency"]["level"] == given["urgency"]["level"]
    assert shown["urgency"]["flags"] == given["urgency"]["flags"][: len(shown["urgency"]["flags"])]
    assert {key: shown[key] for key in ("abstain", "reason", "question", "destination", "model")} == {
        key: given[key] for key in ("abstain", "reason", "question", "destination", "model")
    }
    for item in (*shown["urgency"]["flags"], *shown["evidence"]):
        assert 0 <= item["start"] < item["end"] <= len(shown["text"])


@pytest.mark.parametrize(("page", "language"), [("docs/answers.md", "en"), ("docs/yanitlar.md", "tr")])
def test_the_findings_shown_are_the_findings_given(page, language, demo):
    example = text_of(ROOT / page).split("<!-- findings example -->")[1].split("```")[1]
    shown = json.loads(example.removeprefix("json"))
    (given,) = answers(run(f"tetkik findings predict {shown['path']} --json", demo.parent, language))
    assert list(shown) == list(given), "keys, in order"
    # The hash of the drawn file changes with the version of the library that writes it.
    loose = dict.fromkeys(("screen", "findings", "sha256"))
    assert {**shown, **loose} == {**given, **loose}
    assert shown["screen"] == pytest.approx(given["screen"], abs=0.1)
    truth = {finding["label"]: finding for finding in given["findings"]}
    figures = ("score", "probability", "threshold")
    for finding in shown["findings"]:
        theirs = dict(truth[finding["label"]])
        assert list(finding) == list(theirs)
        assert {**finding, **dict.fromkeys(figures)} == {**theirs, **dict.fromkeys(figures)}
        for figure in figures:
            assert finding[figure] == pytest.approx(theirs[figure], abs=0.1)


@pytest.mark.parametrize(("page", "language"), [("docs/answers.md", "en"), ("docs/yanitlar.md", "tr")])
def test_the_draft_shown_is_the_draft_given(page, language, demo):
    shown = text_of(ROOT / page).split("<!-- draft example -->")[1].split("```")[1].splitlines()
    command = f"tetkik report draft --findings demo/findings.jsonl --history x --language {language}"
    result = run(f"COLUMNS=100 {command}", demo.parent, language)
    # A probability may move a little when the model is trained again.
    given = {re.sub(r"\d+", "#", line) for line in result.stdout.splitlines()}
    lines = [re.sub(r"\d+", "#", line) for line in shown if line.strip() not in {"", "…"}]
    assert len(lines) > 6
    assert [line for line in lines if line not in given] == []


def test_the_python_of_a_report_runs(demo, tmp_path):
    (code,) = blocks(ROOT / "docs" / "how-to" / "report.md", "python")
    shutil.copytree(demo, tmp_path / "demo")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr
    assert (tmp_path / "report" / "report.pdf").is_file()


@pytest.mark.parametrize("number", range(5))
def test_the_python_of_the_api_page_runs(number, demo, tmp_path):
    code = blocks(ROOT / "docs" / "python-api.md", "python")[number]
    if "demo/" in code:
        shutil.copytree(demo, tmp_path / "demo")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout
    assert len([line for line in code.splitlines() if line]) <= 10


def test_every_python_block_of_the_api_page_is_run():
    assert len(blocks(ROOT / "docs" / "python-api.md", "python")) == 5


def test_the_python_example_runs(tmp_path):
    (code,) = blocks(ROOT / "docs" / "how-to" / "predict.md", "python")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("kirmizi ")


def test_the_split_keeps_groups_whole(tmp_path):
    (code,) = blocks(ROOT / "docs" / "how-to" / "retrain.md", "python")
    rows = "".join(f"dizim {number} gündür ağrıyor,Ortopedi,{number // 2}\n" for number in range(40))
    (tmp_path / "complaints.csv").write_text("text,label,group\n" + rows, encoding="utf-8")
    lines = [line.removeprefix("   ") for line in code.splitlines()]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, check=True)
    parts = [(tmp_path / file).read_text("utf-8").splitlines()[1:] for file in ("train.csv", "test.csv")]
    groups = [{row.rpartition(",")[2] for row in part} for part in parts]
    assert sorted(parts[0] + parts[1]) == sorted(rows.splitlines())
    assert groups[0] and groups[1] and groups[0].isdisjoint(groups[1])


def test_an_unsure_answer_asks(tmp_path):
    (answer,) = answers(
        run('tetkik triage predict --json "Başım dönüyor, halsizim, ne yapmalıyım?"', tmp_path)
    )
    assert answer["abstain"] is True
    assert answer["reason"] and answer["question"]


def test_what_cannot_be_read_gets_no_department(tmp_path):
    texts = '"" "asdf" "My head hurts since Monday and I feel sick"'
    result = run(f"tetkik triage predict --json {texts}", tmp_path)
    assert result.returncode == 0
    assert [(answer["departments"], answer["abstain"]) for answer in answers(result)] == 3 * [([], True)]
    assert [answer["urgency"]["level"] for answer in answers(result)] == 3 * [None]
    assert len({answer["reason"] for answer in answers(result)}) == 3


def test_a_bad_row_costs_that_row_alone(tmp_path):
    rows = ['{"text": "Kulağım tıkandı"}', '{"text": 5}', '{"text": "Dizim ağrıyor"}']
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = run("tetkik triage predict --input rows.jsonl --json", tmp_path)
    assert result.returncode == 1
    assert [answer.get("text") for answer in answers(result)] == ["Kulağım tıkandı", None, "Dizim ağrıyor"]
    assert set(answers(result)[1]) == {"error"}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual Markdown viewers make them."""
    plain = _FENCED.sub("", text_of(page))
    titles = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    lost = []
    for found in _LINK.finditer(_FENCED.sub("", text_of(page))):
        link = found[1] or found[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        inside = target.exists() and ROOT in (target, *target.parents)
        if not inside or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            lost.append(link)
    assert not lost


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for found in _LINK.finditer(text_of(page)):
            target = (page.parent / (found[1] or found[2]).partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file() and target not in seen:
                waiting.append(target)
    assert {name(page) for page in PAGES} <= {name(page) for page in seen}


def test_every_scenario_names_tests_that_exist():
    page = text_of(ROOT / "docs" / "test-scenarios.md")
    file, named = "", 0
    for found in re.finditer(r"`(?P<file>tests/[\w/]+\.py)?::(?P<test>\w+)`", page):
        file = found["file"] or file
        assert f"def {found['test']}(" in (ROOT / file).read_text("utf-8"), found[0]
        named += 1
    assert named >= page.count("\n### ")


@pytest.mark.parametrize("page", ["README.md", "README.tr.md"])
def test_the_readme_is_short(page):
    assert len(text_of(ROOT / page).split()) <= 1200


def test_the_pictures_of_the_readme_stand_alone():
    for file in (ROOT / "docs" / "assets").glob("*.svg"):
        drawing = file.read_text("utf-8")
        assert not re.search(r"(?:url\(|href=)[\"']?(?:https?:)?//", drawing), name(file)
