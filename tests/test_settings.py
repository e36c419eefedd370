"""Settings: from the environment, the file or the default; a fault is one sentence with its remedy."""

from __future__ import annotations

import os

import pytest

from tetkik.errors import SettingError
from tetkik.language import Language
from tetkik.settings import Settings, config_file, settings


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "tetkik.toml"
    monkeypatch.setenv("TETKIK_CONFIG", str(path))
    for name in ("TETKIK_LANGUAGE", "TETKIK_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)
    return path


def test_defaults_need_no_network_and_no_file(monkeypatch):
    monkeypatch.delenv("TETKIK_MODELS_DIR")
    found = settings()
    assert found.offline
    assert found.triage_model == "triage-linear-tr"
    assert found.models_dir.is_absolute()


def test_the_environment_comes_before_the_file(file, monkeypatch):
    file.write_text('threads = 3\nlanguage = "tr"\n')
    monkeypatch.setenv("TETKIK_THREADS", "5")
    assert settings().threads == 5
    assert settings().language is Language.TR


def test_read_once():
    assert settings() is settings()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("threads = 0", "threads"),
        ('threads = "many"', "threads"),
        ('langauge = "tr"', "langauge"),
        ('language = "de"', "language"),
        ("max_text_chars = 1", "max_text_chars"),
        ("threads = ", "not valid TOML"),
        ("threads = 1\nthreads = 2", "not valid TOML"),
    ],
)
def test_a_bad_file_is_one_sentence(file, text, fault):
    file.write_text(text)
    with pytest.raises(SettingError, match=fault) as caught:
        settings()
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text(file):
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match="not valid TOML"):
        settings()


def test_a_file_that_is_not_there_is_told_where_it_was_named(file, monkeypatch):
    with pytest.raises(SettingError, match="There is no settings file"):
        settings()
    monkeypatch.delenv("TETKIK_CONFIG")
    assert not config_file().exists()
    settings()


def test_a_file_that_may_not_be_read(file, monkeypatch):
    file.write_text("threads = 3")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("tetkik.settings.TomlConfigSettingsSource", refuse)
    with pytest.raises(SettingError, match="cannot be read"):
        settings()


def test_a_bad_variable_names_itself(monkeypatch):
    monkeypatch.setenv("TETKIK_THREADS", "four")
    with pytest.raises(SettingError, match="TETKIK_THREADS"):
        settings()


@pytest.mark.parametrize(
    ("locale", "language"),
    [("tr_TR.UTF-8", Language.TR), ("en_GB.UTF-8", Language.EN), ("C", Language.EN), ("de_DE", Language.EN)],
)
def test_the_language_is_that_of_the_system(monkeypatch, locale, language):
    monkeypatch.delenv("TETKIK_LANGUAGE")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", locale)
    assert settings().language is language


def test_every_setting_says_what_it_is():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert f"TETKIK_{name.upper()}" not in os.environ or name in {
            "allow_root",
            "language",
            "models_dir",
            "passages_dir",
        }
