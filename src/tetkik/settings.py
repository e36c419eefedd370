"""One list of settings, each with its name, default and help.

Read from the environment (`TETKIK_…`), then from `tetkik.toml` in the configuration folder. The page
`docs/reference/settings.md` is generated from this class.
"""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache
from pathlib import Path

from platformdirs import user_config_path, user_data_path
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tetkik.errors import SettingError
from tetkik.language import Language, system_language


def config_file() -> Path:
    """The settings file: `TETKIK_CONFIG`, or `tetkik.toml` in the user's configuration folder."""
    return Path(os.environ.get("TETKIK_CONFIG") or user_config_path("tetkik") / "tetkik.toml")


class FindingsProvider(StrEnum):
    """What runs a network of findings."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    OPENVINO_BF16 = "openvino-bf16"


class Settings(BaseSettings):
    """Every setting of Tetkik. Unknown keys in the file are refused, so that a typing error is seen."""

    model_config = SettingsConfigDict(env_prefix="TETKIK_", extra="forbid", frozen=True)

    language: Language = Field(
        default_factory=system_language,
        description="Language of messages: `tr` or `en`. Default: that of the system's locale.",
    )
    models_dir: Path = Field(
        default_factory=lambda: user_data_path("tetkik") / "models",
        description="Where imported model bundles are kept. Default: `models` in the user's data folder.",
    )
    triage_model: str = Field(
        default="triage-linear-tr",
        description="The triage model used when `--model` is not given: a built-in id, a path, or a hub id.",
    )
    triage_rules: Path | None = Field(
        default=None,
        description="A hospital's own urgency rules (TOML), used instead of the built-in ones.",
    )
    triage_clinics: Path | None = Field(
        default=None,
        description="A hospital's own clinics and referral rules (TOML), used instead of the built-in ones.",
    )
    findings_model: str = Field(
        default="findings-mobilenet-cxr",
        description="The model of findings used without `--model`: a built-in id, a path, or a hub id.",
    )
    rules_out_bound: float = Field(
        default=0.90,
        ge=0.5,
        le=1.0,
        description="A finding may be ruled out only where the lower 95% bound of the model's held-out "
        "sensitivity reaches this.",
    )
    findings_provider: FindingsProvider = Field(
        default=FindingsProvider.ONNXRUNTIME,
        description="What runs networks of findings: `onnxruntime`, or `openvino` (`openvino-bf16` where the "
        "processor has bf16 instructions). Without the package openvino it is ONNX Runtime.",
    )
    offline: bool = Field(
        default=True,
        description="No model is looked for on a hub. Off: a Hugging Face id may be downloaded.",
    )
    max_text_chars: int = Field(
        default=20_000,
        ge=100,
        description="A complaint longer than this is not read: it is answered with the reason.",
    )
    max_image_pixels: int = Field(
        default=100_000_000,
        ge=1_000,
        le=178_000_000,
        description="An image of more pixels than this is not read, nor is a file that says it has them.",
    )
    max_image_bytes: int = Field(
        default=1_000_000_000,
        ge=1_000,
        description="An image file of more bytes than this, packed or unpacked, is not read.",
    )
    threads: int = Field(default=2, ge=1, le=256, description="Threads for one model run on ONNX Runtime.")

    @classmethod
    def settings_customise_sources(  # noqa: D102 - documented by pydantic-settings
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file()))


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingError: a value that cannot be, with the setting's name.
    """
    named = os.environ.get("TETKIK_CONFIG")
    if named and not Path(named).is_file():
        raise SettingError("There is no settings file {file}; correct TETKIK_CONFIG.", file=named)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "?"
        raise SettingError(
            "The setting {name} cannot be used ({fault}); correct TETKIK_{upper} or {file}.",
            name=name,
            fault=first["msg"],
            upper=name.upper(),
            file=config_file(),
        ) from None
    except ValueError as error:
        raise SettingError(
            "The settings file {file} is not valid TOML ({fault}); correct it or remove it.",
            file=config_file(),
            fault=error,
        ) from None
    except OSError as error:
        raise SettingError(
            "The settings file {file} cannot be read ({fault}); correct its permissions, or TETKIK_CONFIG.",
            file=config_file(),
            fault=error.strerror,
        ) from None
