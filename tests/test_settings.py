"""Settings: from the environment, the file or the default; a fault is one sentence with its remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tetkik.credentials import credential_of
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
        ('hospital_time_zone = "Mars/Olympus"', "hospital_time_zone"),
        ('hospital_oid = "Çınarlı"', "hospital_oid"),
        ('signature_agent = "http://example.org:7465"', "signature_agent"),
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
    page = Path(__file__).parent.with_name("docs") / "reference" / "settings.md"
    rows = {line.split("`")[1]: line for line in page.read_text("utf-8").splitlines() if line[:3] == "| `"}
    for name in Settings.model_fields:
        assert rows[name].endswith(". |"), name
        assert f"TETKIK_{name.upper()}" not in os.environ or name in {
            "allow_root",
            "language",
            "models_dir",
            "passages_dir",
        }


SECRETS = {
    "llm_key": "sk-geheim-çok gizli",
    "database_url": "postgresql+psycopg://tetkik:gizli@db/tetkik",
    "oidc_client_secret": "Zürafa.42",
    "ldap_bind_password": "dizin 9",
    "dictation_key": "dikte-9",
    "sms_key": "sms-9",
    "pager_key": "çağrı-9",
    "smtp_password": "posta 9",
    "object_storage_key": "DEPO9",
    "object_storage_secret": "depo/+=9",
}


def put(folder, **secrets):
    folder.mkdir(exist_ok=True)
    for name, secret in secrets.items():
        (folder / credential_of(name)).write_text(f"{secret}\n", "utf-8")
    return folder


def secrets_of(found):
    return {name: getattr(found, name) and getattr(found, name).get_secret_value() for name in SECRETS}


def test_every_secret_is_read_from_a_file_of_its_own(file, tmp_path, monkeypatch):
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret == set(SECRETS)
    file.write_text("")
    assert secrets_of(settings()) == dict.fromkeys(SECRETS)
    settings.cache_clear()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(put(tmp_path / "credentials", **SECRETS)))
    assert secrets_of(settings()) == SECRETS
    for secret_value in SECRETS.values():
        assert secret_value not in repr(settings()) and secret_value not in settings().model_dump_json()


def test_a_folder_of_secrets_that_cannot_be_looked_into_is_said(file, tmp_path, monkeypatch):
    file.write_text("")
    folder = put(tmp_path / "secrets")
    (folder / "tetkik-llm-key").symlink_to("tetkik-llm-key")
    monkeypatch.setenv("TETKIK_SECRETS_DIR", str(folder))
    with pytest.raises(SettingError, match="tetkik-llm-key of the secret setting llm_key cannot be read"):
        settings()


def test_what_names_a_secret_first_holds(file, tmp_path, monkeypatch):
    file.write_text('llm_key = "of the file"\n')
    folder = put(
        tmp_path / "secrets", llm_key="of the folder", database_url="sqlite://", oidc_client_secret="f"
    )
    monkeypatch.setenv("TETKIK_SECRETS_DIR", str(folder))
    monkeypatch.setenv("TETKIK_DATABASE_URL", "sqlite:///of-the-environment")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(put(tmp_path / "credentials", oidc_client_secret="c")))
    assert {name: secret for name, secret in secrets_of(settings()).items() if secret} == {
        "llm_key": "of the file",
        "database_url": "sqlite:///of-the-environment",
        "oidc_client_secret": "c",
    }


def test_a_folder_of_the_settings_file_gives_secrets_and_no_other_setting(file, tmp_path):
    folder = put(tmp_path / "secrets", llm_key="of the folder", threads="7", hospital_name="Elsewhere")
    file.write_text(f"secrets_dir = '{folder}'\n")
    assert secrets_of(settings())["llm_key"] == "of the folder"
    assert (settings().threads, settings().hospital_name) == (2, "")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"gizli\nsatir", b"gizli\xff", b"gizli\x00", b"gizli" * 9999]
)
def test_a_file_that_holds_no_secret_says_so_without_its_content(tmp_path, monkeypatch, content):
    folder = put(tmp_path / "secrets")
    (folder / "tetkik-llm-key").write_bytes(content)
    monkeypatch.setenv("TETKIK_SECRETS_DIR", str(folder))
    with pytest.raises(SettingError, match="secret setting llm_key is not one line of text") as caught:
        settings()
    assert "gizli" not in str(caught.value) and str(folder) in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_that_cannot_be_read_names_its_file(tmp_path, monkeypatch):
    (put(tmp_path / "secrets") / "tetkik-oidc-client-secret").mkdir()
    monkeypatch.setenv("TETKIK_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(SettingError, match=r"oidc_client_secret cannot be read .*; correct its permissions"):
        settings()


@pytest.mark.parametrize(
    "text",
    ['llm_key = "gizli', "llm_key = gizli", 'llm_key = ["gizli"]', 'llm_kye = "gizli"', "llm_key = gizli="],
)
def test_a_fault_beside_a_secret_does_not_show_it(file, text):
    file.write_text(text)
    with pytest.raises(SettingError) as caught:
        settings()
    assert "gizli" not in str(caught.value)
