"""From an image to a draft and its documents: the workflow, `report draft IMAGE`, and `tetkik demo`."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.phantom import write_phantom
from tests.report.model_server import model_server
from tetkik.cli.app import app
from tetkik.errors import InputError
from tetkik.findings.demonstration import demonstration_model
from tetkik.imaging.examples import example_chest
from tetkik.language import Language
from tetkik.report.llm import open_model
from tetkik.settings import settings
from tetkik.values import BasisKind, ReportState, Section
from tetkik.workflow import report_image

NAME = (b"YILMAZ", b"AYSE", b"10000000146")


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film of the demo, in which the built-in model sees something, with a name on it."""
    import pydicom

    path = tmp_path_factory.mktemp("films") / "AYSE_YILMAZ.dcm"
    dataset = pydicom.dcmread(BytesIO(example_chest()))
    dataset.PatientName, dataset.PatientID = "YILMAZ^AYSE", "10000000146"
    dataset.save_as(path)
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a demonstration, whose drafts state what is positive."""
    return demonstration_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture
def stating(bundle, monkeypatch):
    monkeypatch.setenv("TETKIK_FINDINGS_MODEL", str(bundle))
    settings.cache_clear()


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film in which the built-in model sees nothing."""
    path = tmp_path_factory.mktemp("films") / "well.dcm"
    write_phantom(path, 8, rows=512, columns=512)
    return path


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No radiograph at all."""
    path = tmp_path_factory.mktemp("films") / "noise.png"
    grey = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
    Image.fromarray(grey).save(path)
    return path


# The workflow


def test_of_a_drawing_the_model_that_ships_states_nothing_and_suggests(ill):
    reported = report_image(ill, settings())
    assert reported.drafted.facts.suggested == ("Pneumonia",) and reported.document.heatmap is None
    assert {item.section for item in reported.drafted.draft.sentences} == {Section.TECHNIQUE}


def test_an_image_becomes_a_draft_with_everything_its_documents_need(ill, stating):
    reported = report_image(ill, settings(), history="Efüzyon?")
    draft, document = reported.drafted.draft, reported.document
    assert draft.language is Language.TR
    assert "PA akciğer grafisi" in draft.section(Section.TECHNIQUE)[0].text
    found = {basis.key for basis in draft.evidence if basis.kind is BasisKind.FINDING}
    assert found == {"Pneumonia"}
    assert document.draft == draft and document.result == reported.result
    assert document.state is ReportState.DRAFT
    assert document.identity.patient_name == "YILMAZ^AYSE"
    assert document.id not in {document.identity.patient_id, document.identity.accession}
    assert document.image is not None and document.heatmap is not None
    with Image.open(BytesIO(document.image)) as picture:
        assert (picture.mode, picture.format, max(picture.size)) == ("L", "PNG", 1024)
    with Image.open(BytesIO(document.heatmap)) as picture:
        assert picture.format == "PNG" and picture.mode != "L"
    assert reported.pictures == {}


def test_no_side_is_stated_from_an_image(ill):
    draft = report_image(ill, settings(), language=Language.EN).drafted.draft
    assert {basis.side for basis in draft.evidence} == {None}
    words = " ".join(sentence.text for sentence in draft.sentences).lower().split()
    assert not {"left", "right", "bilateral"} & set(words)


def test_where_nothing_was_found_there_is_no_heatmap_to_mislead(well, tmp_path):
    reported = report_image(well, settings(), heatmaps=tmp_path)
    assert not [item for item in reported.result.findings if item.positive and item.label != "Normal"]
    assert reported.document.image is not None and reported.document.heatmap is None
    # The folder gets the picture of what came nearest; its name says nothing of the patient.
    assert {path.parent for path in reported.pictures.values()} == {tmp_path}
    assert all(path.name.startswith(reported.result.sha256[:16]) for path in tmp_path.iterdir())


def test_an_image_that_is_refused_gets_a_report_that_says_why_in_its_own_language(noise):
    for language in Language:
        reported = report_image(noise, settings(), language=language)
        draft = reported.drafted.draft
        assert not reported.result.suitable and reported.document.heatmap is None
        (reason, *_) = reported.result.reasons
        assert reason in {notice.in_language(language) for notice in draft.notices}
        assert ("right file" in reason) is (language is Language.EN)
        assert not draft.sentences


def test_a_captioner_that_fails_costs_a_notice(ill, monkeypatch):
    monkeypatch.setenv("TETKIK_CAPTION_MODEL", "no-such-captioner")
    settings.cache_clear()
    draft = report_image(ill, settings()).drafted.draft
    notice = draft.notices[-1].in_language(Language.EN)
    assert notice.startswith("The image got no automatic caption: ") and "no-such-captioner" in notice
    assert "AYSE" not in notice
    assert [sentence.text for sentence in draft.sentences]


def test_a_caption_that_is_given_is_not_asked_for_and_adds_no_finding(well, monkeypatch):
    monkeypatch.setenv("TETKIK_CAPTION_MODEL", "no-such-captioner")
    settings.cache_clear()
    plain = [item.text for item in report_image(well, settings()).drafted.draft.sentences]
    draft = report_image(well, settings(), caption="Large right pneumothorax with a mass.").drafted.draft
    assert [item.text for item in draft.sentences if "caption:text" not in item.evidence] == plain
    assert not any("no-such-captioner" in str(notice.values) for notice in draft.notices)


def test_a_broken_image_is_an_error_that_names_it(tmp_path):
    for content in (b"", b"no image", b"\0" * 128 + b"DICM" + b"\xff" * 500):
        (tmp_path / "x.dcm").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.dcm"):
            report_image(tmp_path / "x.dcm", settings())


def test_nothing_of_the_patient_reaches_a_language_model(ill, stating):
    with model_server() as (url, received):
        reported = report_image(
            ill, settings(), history="Ayşe Yılmaz (10000000146) öksürüyor", writer=open_model(url)
        )
    assert reported.drafted.draft.writer == "small-model"
    tags = reported.document.identity
    sent = b"".join(received.raw)
    for word in (*NAME, "Yılmaz".encode(), "Ayşe".encode()):
        assert word not in sent
    for value in (tags.study_uid, tags.instance_uid, tags.birth_date, tags.study_date, tags.accession):
        assert value and value.encode() not in sent
    assert "öksürüyor" in sent.decode()


# The command


def test_the_command_with_an_image(ill, stating, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["report", "draft", str(ill), "--out", str(out), "--json", "--history", "Yılmaz ailesi, öksürük"]
    )
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert "finding:Pneumonia" in {item["id"] for item in made["evidence"]}
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert files.keys() == {
        *("draft.json", "report.pdf", "report.fhir.json", "report.sr.dcm", "report.hl7", "report.txt"),
        "report.heatmap.dcm",
    }
    identities = (*NAME, "Yılmaz".encode())
    for text in (
        result.stdout.encode(),
        result.stderr.encode(),
        files["draft.json"],
        "".join(files).encode(),
    ):
        assert not [word for word in identities if word in text]
    # The documents are the patient's.
    assert b"YILMAZ" in files["report.hl7"] and b"YILMAZ" in files["report.sr.dcm"]


def test_the_command_with_a_bad_image(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"no image")
    for name in ("x.dcm", "none.dcm"):
        arguments = ["report", "draft", str(tmp_path / name), "--out", str(tmp_path / "out")]
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1 and name in result.stderr
        assert list((tmp_path / "out").iterdir()) == []


# The demo


@pytest.fixture
def shown(tmp_path, monkeypatch, request):
    """What `tetkik demo` prints in a language, and its folder."""
    monkeypatch.setenv("TETKIK_LANGUAGE", request.param)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    result = CliRunner().invoke(app, ["demo"], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout, tmp_path / "demo-out"


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("en", ("From a complaint", "From a radiograph", "finding: Pneumonia", "Open these")),
        (
            "tr",
            ("Şikâyetten bölüme", "Radyografiden", "rapor taslağına", "bulgu: Pnömoni", "Açılacak dosyalar"),
        ),
    ],
    indirect=["shown"],
)
def test_the_demo_goes_from_a_complaint_to_documents_and_names_every_file(shown, words):
    said, folder = shown
    places = [said.find(word) for word in words]
    assert -1 not in places and places == sorted(places)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"report.pdf", "draft.json", "triage.jsonl", "findings.jsonl"}
    ending = said[places[-1] :]
    for path in files:
        assert str(path.relative_to(folder.parent)) in ending
    # The patient's own words are no sentence of a report.
    complaint = json.loads((folder / "triage.jsonl").read_text("utf-8").splitlines()[0])["text"]
    made = json.loads((folder / "report" / "draft.json").read_text("utf-8"))
    assert not any(complaint in sentence["text"] for sentence in made["sentences"])
    assert not [sentence for sentence in made["sentences"] if sentence["marks"]]
    # What was drawn is what was found, or there would be nothing to show.
    assert {item["key"] for item in made["evidence"] if item["kind"] == "finding"} == {"Pneumonia"}


def test_the_demo_needs_none_of_the_optional_packages(tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'matplotlib', 'scipy', 'sklearn', 'jinja2', 'httpx', 'google.genai'):\n"
        "    sys.modules[name] = None\n"
        "from tetkik.cli import main\nsys.argv = ['tetkik', 'demo']\nmain()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "demo-out" / "report" / "report.pdf").is_file()
