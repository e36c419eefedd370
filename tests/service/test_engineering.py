"""The engineer's desk: figures of the models, and nobody's name."""

from __future__ import annotations

import pytest

from tests.records.kit import made_case, made_user
from tests.records.work import Work
from tests.service.kit import make_context, served, sign_in
from tetkik.bundle.store import available, resolve, sha256_of
from tetkik.language import Language
from tetkik.records.cases import complaints
from tetkik.records.cases.patients import Person
from tetkik.service.engineering import rendered
from tetkik.service.reception import triaged
from tetkik.values.access import Role
from tetkik.values.states import Judgement

PAGES = ("/engineer", "/engineer/agreement", "/engineer/drift", "/engineer/models/findings-mobilenet-cxr")
API = ("/api/v1/models", "/api/v1/models/agreement", "/api/v1/models/drift", "/api/v1/models/gate-image")


@pytest.fixture
def app_context(tmp_path):
    app_context = make_context(tmp_path)
    work = Work(app_context.records)
    report = work.report(weeks_ago=1, corrected=True)
    work.review(report, "Effusion", Judgement.ACCEPTED, positive=True)
    for place in range(55):
        work.run({"Effusion": place / 55}, days_ago=2)
    return app_context


def test_the_desk_shows_the_figures(app_context):
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        client.post("/account/preferences", data={"language": "en"})
        overview = client.get("/engineer").text
        assert "100%" in overview and "drafts corrected before signature, 1 signed" in overview
        assert "findings-mobilenet-cxr 1.1" in overview
        assert "Pleural effusion" in client.get("/engineer/agreement").text
        drift = client.get("/engineer/drift").text
        assert "Pleural effusion" in drift and "too few" in drift
        assert "it carries no reference distribution" in drift  # no model of this hash is here
        assert "Cardiomegaly" in client.get(PAGES[3]).text


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.ENGINEER, Role.ADMINISTRATOR)])
def test_it_is_closed_to_others(app_context, role):
    with served(app_context) as client:
        sign_in(client, app_context, role)
        assert {client.get(page).status_code for page in (*PAGES, *API)} == {403}


def test_no_identity_stands_anywhere(app_context):
    person = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        for page in (*PAGES, *API):
            answer = client.get(page)
            assert answer.status_code == 200
            for said in (person.name, person.name.casefold(), "10000000146", "H-1"):
                assert said not in answer.text


def test_an_empty_hospital_has_calm_pages(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        assert {client.get(page).status_code for page in PAGES} == {200}


@pytest.mark.parametrize("name", ["no-such-model", "...", "%2e%2e%2fsecret", "/etc", "org/model"])
def test_only_a_model_of_this_hospital_is_shown(app_context, name):
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        assert client.get(f"/engineer/models/{name}").status_code == 404
        assert client.get(f"/api/v1/models/{name}").status_code == 404


def test_the_api_tells_the_same(app_context):
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        models = client.get("/api/v1/models").json()["items"]
        assert {"findings-mobilenet-cxr", "triage-linear-tr"} <= {
            one["id"] for one in models if one["in_use"]
        }
        agreement = client.get("/api/v1/models/agreement").json()
        agreed = agreement["labels"][0]["agreed"]
        assert (agreed["hits"], agreed["total"], agreed["high"]) == (1, 1, 1.0)
        (drift,) = client.get("/api/v1/models/drift").json()
        assert (drift["against"], drift["n_before"], drift["n_now"]) == ("first", 56, 0)
        assert drift["labels"][0]["moved"] is None and drift["scores"] is None
        manifest = client.get("/api/v1/models/triage-linear-tr").json()
        assert manifest["task"] == "triage" and len(manifest["labels"]) == 15


@pytest.fixture
def desk(tmp_path):
    """Sixty kept complaints of one kind, as the built-in model of triage answers them."""
    app_context = make_context(tmp_path)
    said = triaged("kalbim çok hızlı çarpıyor", app_context.settings, Language.TR)
    reception = made_user(app_context.records, Role.RECEPTION)
    for number in range(60):
        made_case(app_context.records, reception, Person(f"Hasta {number}"), complaint=said)
    return app_context


def test_triage_is_held_against_its_card_beside_findings(desk):
    Work(desk.records).run({"Effusion": 0.2})
    with served(desk) as client:
        sign_in(client, desk, Role.ENGINEER)
        client.post("/account/preferences", data={"language": "en"})
        first = client.get("/engineer/drift").text
        assert "findings: findings-mobilenet-cxr 1.1" in first and "triage: triage-linear-tr 1.1" in first
        sha256 = sha256_of(resolve("triage-linear-tr").path / "manifest.json")
        page = client.get("/engineer/drift", params={"bundle": sha256}).text
        assert "against the card: 3235 complaints of" in page and "had not learned it" in page
        assert "60 complaints of the last four weeks" in page and "badge red" in page
        assert "Kardiyoloji" in page and "Length in words" in page and "chest" not in page
        own = client.get("/engineer/drift", params={"bundle": sha256, "against": "first"}).text
        assert "the first 60 complaints that the model answered here" in own and "badge red" not in own


def test_the_api_tells_of_triage_too(desk):
    with served(desk) as client:
        sign_in(client, desk, Role.ENGINEER)
        (drift,) = client.get("/api/v1/models/drift").json()
        assert (drift["task"], drift["against"], drift["n_before"], drift["n_now"]) == (
            "triage",
            "card",
            3235,
            60,
        )
        assert drift["scores"] == drift["inputs"] == "shifted"
        heart = next(one for one in drift["labels"] if one["label"] == "Kardiyoloji")
        assert (heart["positive_now"]["hits"], heart["positive_now"]["total"]) == (60, 60)
        assert heart["prevalence"] == pytest.approx(62 / 3235)
        assert [one["figure"] for one in drift["figures"]] == ["words", "plain", "unknown", "refused"]
        assert drift["figures"][0]["moved"]["mean_now"] == 4
        assert "abstained" in {one["figure"] for one in drift["answers"]}


def test_what_is_only_typed_counts_nowhere(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.RECEPTION)
        asked = client.post("/api/v1/triage", json={"text": "kalbim çarpıyor"})
        assert asked.status_code == 200 and asked.json()["departments"]
        assert client.post("/reception/triage", data={"complaint": "kalbim çarpıyor"}).status_code == 200
        with app_context.records.read() as tx:
            assert complaints.list_bundles(tx) == ()
        kept = {"unknown": True, "complaint": "kalbim çarpıyor"}
        assert client.post("/api/v1/cases", json=kept).status_code == 201
    with app_context.records.read() as tx:
        assert [one.runs for one in complaints.list_bundles(tx)] == [1]


@pytest.fixture
def shifted(tmp_path):
    """Sixty runs of the built-in model itself, brighter and surer of an effusion than those of its card."""
    bundle = resolve("findings-mobilenet-cxr")
    app_context, hashed = make_context(tmp_path), sha256_of(bundle.path / "manifest.json")
    work = Work(app_context.records)
    for place in range(60):
        scores = {"Effusion": 0.5 + place / 120}
        work.run(scores, days_ago=2, sha256=hashed, brightness=0.9, contrast=0.2, side=2000)
    work.run({"Glioma": 0.5}, days_ago=2, sha256=hashed, route="brain_mri")
    return app_context


def test_a_model_that_carries_a_reference_is_held_against_its_card(shifted):
    with served(shifted) as client:
        sign_in(client, shifted, Role.ENGINEER)
        client.post("/account/preferences", data={"language": "en"})
        card = client.get("/engineer/drift").text
        assert "against the card: 3977 images" in card and "had not learned the image" in card
        assert "badge red" in card and "Brightness, share of white" in card
        assert "Glioma (1)" in card  # too few
        first = client.get("/engineer/drift", params={"against": "first"}).text
        assert "the first 61 images that the model read here" in first and "badge red" not in first
        assert client.get("/engineer/drift", params={"against": "other"}).status_code == 422


def test_the_api_says_how_far_and_against_what(shifted):
    with served(shifted) as client:
        sign_in(client, shifted, Role.ENGINEER)
        (drift,) = client.get("/api/v1/models/drift").json()
        assert (drift["against"], drift["n_before"], drift["n_now"]) == ("card", 3977, 61)
        assert drift["scores"] == drift["inputs"] == "shifted"
        effusion = next(one for one in drift["labels"] if one["label"] == "Effusion")
        assert effusion["moved"]["verdict"] == "shifted"
        assert effusion["positive_before"]["total"] == 1362
        assert sum(then for then, _ in effusion["moved"]["bins"]) == pytest.approx(1)
        figures = {(one["route"], one["figure"]): one for one in drift["figures"]}
        assert figures["chest", "side"]["moved"]["mean_now"] == 2000
        assert figures["chest", "without_spacing"]["now"] == figures["chest", "refused"]["now"]
        (first,) = client.get("/api/v1/models/drift", params={"against": "first"}).json()
        assert (first["against"], first["n_now"], first["scores"]) == ("first", 0, None)


# A card is shown, and nothing in it can do anything.


def test_front_matter_and_title_are_left_to_the_page():
    html = rendered("---\nlicense: mit\n---\n# A model 1.0\n\nText.\n\n## Use\n")
    assert html == "<p>Text.</p>\n<h2>Use</h2>\n"


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://elsewhere.example/pixel.png)",
        '[x](https://ok.example "a\\" onclick=\\"alert(1)")',
        "| a |\n|:-:|\n| <b onclick=alert(1)>b</b> |",
    ],
)
def test_nothing_in_a_card_runs_or_loads(hostile):
    html = rendered(f"Text.\n\n{hostile}\n")
    assert "<script" not in html and "<img" not in html and "<b " not in html
    assert 'href="javascript' not in html and 'href="data' not in html
    assert ' onclick="' not in html and " style=" not in html


def test_tables_and_links_are_shown():
    html = rendered("Text.\n\n| a | b |\n|---|--:|\n| 1 | [two](https://example.org) |\n")
    assert '<table tabindex="0">' in html
    assert '<a href="https://example.org" rel="noreferrer noopener" target="_blank">two</a>' in html


def test_every_card_that_ships_can_be_shown():
    for bundle in available():
        assert "<h2>" in rendered((bundle.path / "README.md").read_text("utf-8"))
