"""Secrets of the settings, each from a file of its own: credentials of systemd, a folder of secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from tetkik.errors import SettingError

_LONGEST_SECRET = 16_384
"""Bytes of a file with a secret."""


def credential_of(name: str) -> str:
    """The file of a secret setting: `llm_key` lies in `tetkik-llm-key`."""
    return f"tetkik-{name.replace('_', '-')}"


def find_secret(name: str, folder: Path | str | None) -> str | None:
    """The secret in the file of that name among systemd's credentials, then in `folder`; None for none."""
    for place in (os.environ.get("CREDENTIALS_DIRECTORY"), folder):
        secret = read_secret(Path(place) / credential_of(name), name) if place else None
        if secret is not None:
            return secret
    return None


class SecretFiles(PydanticBaseSettingsSource):
    """Secret settings that nothing before names, each from a file of its own.

    The folders are `$CREDENTIALS_DIRECTORY` (systemd.exec(5), "Credentials"), then the setting `secrets_dir`.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        if SecretStr in (field.annotation, *get_args(field.annotation)):
            return find_secret(field_name, self.current_state.get("secrets_dir")), field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The secrets that lie in a file and that nothing before has given."""
        fields = self.settings_cls.model_fields.items()
        waiting = ((name, field) for name, field in fields if self.current_state.get(name) is None)
        found = {name: self.get_field_value(field, name)[0] for name, field in waiting}
        return {name: value for name, value in found.items() if value is not None}


def read_secret(file: Path, name: str) -> str | None:
    """The one line of a file, None where there is no such file; nothing of it is in an error."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_SECRET + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingError(
            "The file {file} of the secret setting {name} cannot be read ({fault}); correct its permissions.",
            file=file,
            name=name,
            fault=error.strerror,
        ) from None
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(content) > _LONGEST_SECRET or not secret.isprintable():
        raise SettingError(
            "The file {file} of the secret setting {name} is not one line of text; put the secret alone "
            "there.",
            file=file,
            name=name,
        )
    return secret
