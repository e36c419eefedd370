"""Every sentence that a user may see has a Turkish translation, and the two name the same values."""

from __future__ import annotations

import re
import runpy
from gettext import GNUTranslations

import pytest
from babel.messages.mofile import write_mo

from tests.templates import SOURCE, catalogue, constants, fields, templates, translations
from tests.test_documentation import COMMANDS
from tetkik.cli import translation
from tetkik.cli.triage.predict import _LEVEL
from tetkik.lab.triage.clean.read import Reason, Repair
from tetkik.lab.triage.evaluate import PERTURBATIONS, PERTURBING, SCORING
from tetkik.language import Language, Sentence, restated, translate
from tetkik.triage.text_quality import Unreadable
from tetkik.values import DISCLAIMER


def test_every_template_has_a_turkish_twin():
    known = {english for _, english, _ in translations()}
    missing = sorted({f"{found.where}: {found.text}" for found in templates() if found.text not in known})
    assert not missing, "no Turkish translation for:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    "sentences",
    [
        [member.value for member in Unreadable],
        [member.value for member in Reason],
        [member.value for member in Repair],
        _LEVEL.values(),
        translation._HELP_WORDS,
        [parameter.help for command in COMMANDS.values() for parameter in command.params],
        [SCORING, PERTURBING, *(item.title for item in PERTURBATIONS)],
        ["environment", "file", "default", DISCLAIMER["en"]],
    ],
    ids=["unreadable", "reason", "repair", "level", "help words", "options", "evaluation", "other"],
)
def test_what_is_said_by_a_name_has_a_turkish_twin(sentences):
    known = {english for _, english, _ in translations()}
    assert [sentence for sentence in sentences if sentence not in known] == []


def test_the_disclaimer_is_one_in_both_places():
    assert translate(DISCLAIMER["en"], Language.TR) == DISCLAIMER["tr"]


def test_the_walk_finds_templates_of_every_kind():
    texts = {found.text for found in templates()}
    assert "Stopped." in texts  # console: warn
    assert "Check every hash of a model, or of all of them." in texts  # help=t(...)
    assert "There is no settings file {file}; correct TETKIK_CONFIG." in texts  # an error
    assert any(
        "it is truncated or altered, fetch or train it again." in text for text in texts
    )  # two literals


def test_twins_name_the_same_values():
    wrong = [
        f"{file}: {english}"
        for file, english, turkish in translations()
        if fields(english) != fields(turkish)
    ]
    assert not wrong


def test_calls_give_what_their_template_names():
    wrong = [
        f"{found.where}: {found.text}"
        for found in templates()
        if found.given is not None and fields(found.text) != found.given - {"language"}
    ]
    assert not wrong


def test_no_twin_is_orphaned():
    said = constants()
    orphans = [f"{file}: {english}" for file, english, _ in translations() if english not in said]
    assert not orphans, "no such sentence in the source:\n" + "\n".join(orphans)


@pytest.mark.parametrize("language", Language)
def test_the_compiled_catalogue_is_that_of_its_source_which_stands_in_its_one_form(language, tmp_path):
    script = runpy.run_path(str(SOURCE.parent.parent / "docs" / "messages.py"))
    source = SOURCE / "messages" / f"{language}.po"
    catalog = script["read"](source)
    text = source.read_text("utf-8")
    assert script["as_po"](catalog).decode() == text, "run `make messages`"
    assert text.count('\nmsgid "') == len(catalog) + 1, "a sentence stands twice"
    assert not any(item.fuzzy for item in catalog if item.id), "a translation is not confirmed"
    made = tmp_path / "made.mo"
    with made.open("wb") as file:
        write_mo(file, catalog)
    with made.open("rb") as file, source.with_suffix(".mo").open("rb") as shipped:
        new, old = (dict(GNUTranslations(one)._catalog) for one in (file, shipped))  # type: ignore[attr-defined]
    assert old | {"": ""} == new | {"": ""}, "run `make messages`"


def test_turkish_differs_and_ends_as_the_english_does():
    for file, english, turkish in translations():
        assert turkish.strip() == turkish and turkish, f"{file}: {english}"
        if english.endswith("."):
            assert turkish.endswith((".", "…")), f"{file}: {turkish}"


@pytest.mark.parametrize("english", ["No such sentence: {name}."])
def test_a_sentence_without_a_twin_stays_english(english):
    assert translate(english, Language.TR, name="x") == "No such sentence: x."


def test_values_are_filled_in_both_languages():
    sentence = "There is no settings file {file}; correct TETKIK_CONFIG."
    assert translate(sentence, Language.EN, file="a.toml") == sentence.format(file="a.toml")
    turkish = translate(sentence, Language.TR, file="a.toml")
    assert "a.toml" in turkish and turkish != sentence.format(file="a.toml")


def counts() -> dict[str, str]:
    return {str(item.id): str(item.string) for item in catalogue("en") if item.id}


def test_a_count_of_one_is_singular_in_english():
    sentence = "Whole: {entries} entries ({erased} of them erased), {files} files, {signatures} signatures."
    counted = {"entries": 1, "erased": 0, "files": 2, "signatures": "1"}
    assert (
        translate(sentence, Language.EN, **counted)
        == "Whole: 1 entry (0 of them erased), 2 files, 1 signature."
    )
    assert "{" not in translate(sentence, Language.TR, **counted)


def test_a_stored_sentence_keeps_its_key_and_gets_the_singular():
    stored = Sentence(
        "{count} findings that the report states are not judged; accept or reject each, then sign.",
        {"count": 1},
    )
    assert stored.in_language(Language.EN).startswith("1 finding that the report states is")
    assert stored.in_language(Language.TR) != stored.in_language(Language.EN)


def test_every_counted_sentence_is_its_template_for_many():
    known = {english for _, english, _ in translations()}
    for template, form in counts().items():
        assert template in known
        assert re.sub(r"\{(\w+):[^}|]*\|([^}]*)\}", r"\2", form) == template


def test_a_noun_in_the_plural_after_a_count_has_a_singular():
    counted = re.compile(
        r"\{(?:n|count|files|images|entries|captions|tokens|sessions|passkeys|patients|steps)\} \w+s\b"
    )
    verbs = re.compile(r"\} (?:is|was|has|does|needs|years from)\b")
    lacking = [
        f"{file}: {english}"
        for file, english, _ in translations()
        if counted.search(verbs.sub("}", english)) and english not in counts()
    ]
    assert lacking == []


def test_the_number_under_which_a_hospital_keeps_a_patient_has_one_name():
    others = re.compile(r"\b(hasta|hastane) (no\b|numara)", re.IGNORECASE)
    said = {turkish for _, _, turkish in translations()}
    assert [sentence for sentence in said if others.search(sentence)] == []
    assert "Dosya numarası" in said
    strange = re.compile(r"patient('s)? number|record number", re.IGNORECASE)
    assert [english for _, english, _ in translations() if strange.search(english)] == []


def test_a_stored_sentence_is_said_in_the_language_of_its_reader():
    for template, values in (
        ("There seems to be text in the picture, which may name the patient.", {}),
        (
            "The patient's age is outside the {low:.0f} to {high:.0f} years that the model was trained on.",
            {"low": 18.0, "high": 90.0},
        ),
    ):
        english, turkish = (translate(template, one, **values) for one in (Language.EN, Language.TR))
        assert restated(turkish, Language.EN) == english and restated(english, Language.TR) == turkish
    assert restated("Bilinmeyen bir cümle.", Language.EN) == "Bilinmeyen bir cümle."
