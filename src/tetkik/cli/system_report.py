"""What `tetkik doctor` finds: values only; nothing is changed and nothing goes over a network."""

from __future__ import annotations

import importlib
import ipaddress
import os
import platform
import re
import shutil
import tomllib
import warnings
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from tetkik import __version__, bundle
from tetkik.bundle import Task
from tetkik.bundle.store import builtin_folder
from tetkik.errors import BundleError
from tetkik.settings import Settings, config_file, settings

PURPOSES = {
    "onnx": "running neural models",
    "data": "collecting and cleaning complaints",
    "train": "training light models, judging any model",
    "torch": "fine-tuning networks",
    "caption": "training, judging and using captioners",
    "openvino": "running networks of findings faster on a CPU",
    "llm": "asking a language model for drafts",
    "passages": "taking in a hospital's own PDF documents",
    "service": "the reading room: serve, users, audit, backups",
    "postgres": "PostgreSQL under the reading room",
}
"""What each optional group of packages is for."""
_NOT_SHOWN = {"all", "dev", "docs"}
_BUILT_IN = ("triage_model", "findings_model")
"""The settings whose defaults are the models that ship with Tetkik."""
_SYNTAXES = {
    "uncompressed": ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"),
    "RLE": ("1.2.840.10008.1.2.5",),
    "JPEG": ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    "JPEG 2000": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
}
"""Transfer syntaxes of DICOM images (PS3.6, annex A) by the name that people use."""


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional group of packages: the versions of those installed, and the names of those missing."""

    name: str
    purpose: str
    installed: dict[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that was found; `fault` is None where every hash matches."""

    id: str
    task: str
    kind: str
    path: Path
    fault: BundleError | None

    def as_json(self) -> dict[str, Any]:
        """Keys may be added, never renamed."""
        return {
            "id": self.id,
            "task": self.task or None,
            "kind": self.kind or None,
            "path": str(self.path),
            "ok": self.fault is None,
            "fault": str(self.fault) if self.fault else None,
        }


@dataclass(frozen=True, slots=True)
class Device:
    """What a model can run on.

    Attributes:
        torch: whether torch is installed.
        cuda: names of the CUDA devices; empty where torch is not installed.
        cuda_bytes: memory of each, in bytes, in the same order.
        torch_fault: why torch cannot be loaded although it is installed; else None.
    """

    cores: int
    torch: bool
    cuda: tuple[str, ...] = ()
    torch_fault: str | None = None
    cuda_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reports:
    """Who writes drafts, and whose name is at their head.

    Attributes:
        language_model: `gemini` or a server's host; None where the built-in composer writes.
        missing: the package that it needs and that is not installed; else None.
        allowed: whether it may be asked, as far as can be known without a network.
        hospital: the name at the head of documents; empty without one.
    """

    language_model: str | None
    missing: str | None
    allowed: bool
    hospital: str

    def as_json(self) -> dict[str, Any]:
        """Keys may be added, never renamed."""
        return {
            "language_model": self.language_model,
            "missing": self.missing,
            "allowed": self.allowed,
            "hospital": self.hospital or None,
        }


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting, its value, and where that comes from: `environment`, `file` or `default`."""

    name: str
    value: str | int | bool | None
    origin: str


@dataclass(frozen=True, slots=True)
class SystemReport:
    """Everything that `tetkik doctor` says."""

    tetkik: str
    python: str
    platform: str
    ngrams: bool
    codecs: dict[str, bool]
    extras: tuple[Extra, ...]
    models: tuple[Model, ...]
    captioner: Model | None
    reports: Reports
    java: str | None
    device: Device
    settings: tuple[SettingInForce, ...]
    config_file: Path
    unknown_variables: tuple[str, ...]
    unusable: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether everything that ships with Tetkik can be used."""
        return not self.unusable and all(self.codecs.values())

    def as_json(self) -> dict[str, Any]:
        """Keys may be added, never renamed."""
        return {
            "ok": self.sound,
            "tetkik": self.tetkik,
            "python": self.python,
            "platform": self.platform,
            "compiled_ngrams": self.ngrams,
            "dicom": self.codecs,
            "extras": {
                extra.name: {"installed": extra.installed, "missing": list(extra.missing)}
                for extra in self.extras
            },
            "models": [model.as_json() for model in self.models],
            "captioner": None if self.captioner is None else self.captioner.as_json(),
            "reports": self.reports.as_json(),
            "java": self.java,
            "device": {
                "cpu_cores": self.device.cores,
                "cuda": list(self.device.cuda),
                "cuda_bytes": list(self.device.cuda_bytes),
                "torch": self.device.torch,
                "torch_fault": self.device.torch_fault,
            },
            "settings": {
                setting.name: {"value": setting.value, "origin": setting.origin} for setting in self.settings
            },
            "config_file": str(self.config_file),
            "offline": settings().offline,
            "unknown_variables": list(self.unknown_variables),
        }


def inspect_system() -> SystemReport:
    """Look at everything."""
    models = _models()
    return SystemReport(
        tetkik=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        ngrams=_has_ngrams(),
        codecs=_codecs(),
        extras=extras(),
        models=models,
        captioner=_captioner(models),
        reports=_reports(),
        java=shutil.which("java"),
        device=_device(),
        settings=_settings_in_force(),
        config_file=config_file(),
        unknown_variables=_unknown_variables(),
        unusable=tuple(
            model.path.name
            for model in models
            if model.path.parent == builtin_folder() and model.path.name in _built_in() and model.fault
        ),
    )


def extras() -> tuple[Extra, ...]:
    """The optional groups as the installed package declares them, each with what is installed of it."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("tetkik") or []:
        name, _, marker = requirement.partition(";")
        group = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        package = re.match(r"[\w.-]+", name)
        if group and package and group[1] not in _NOT_SHOWN and package[0] != "tetkik":
            wanted.setdefault(group[1], []).append(package[0])
    return tuple(_extra(name, packages) for name, packages in wanted.items())


def _extra(name: str, packages: list[str]) -> Extra:
    installed: dict[str, str] = {}
    for package in packages:
        if (version := _version_of(package)) is not None:
            installed[package] = version
    missing = tuple(package for package in packages if package not in installed)
    return Extra(name, PURPOSES.get(name, ""), installed, missing)


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _has_ngrams() -> bool:
    try:
        importlib.import_module("tetkik.triage.linear._ngrams")
    except ImportError:
        return False
    return True


def _codecs() -> dict[str, bool]:
    """Which images of DICOM can be decoded; none where pydicom itself cannot be loaded."""
    try:
        from pydicom.pixels.decoders.base import get_decoder
        from pydicom.uid import UID
    except ImportError:
        return dict.fromkeys(_SYNTAXES, False)
    return {name: all(get_decoder(UID(uid)).is_available for uid in uids) for name, uids in _SYNTAXES.items()}


def _built_in() -> tuple[str, ...]:
    return tuple(Settings.model_fields[setting].default for setting in _BUILT_IN)


def _models() -> tuple[Model, ...]:
    """Every bundle there is, and those that should be there."""
    folders = bundle.bundle_folders()
    missing = [own for own in (builtin_folder() / name for name in _built_in()) if own not in folders]
    return tuple(_model(folder) for folder in (*missing, *folders))


def _model(folder: Path) -> Model:
    try:
        manifest = bundle.open_bundle(folder).manifest
    except BundleError as fault:
        return Model(folder.name, "", "", folder, fault)
    return Model(manifest.id, manifest.task.value, manifest.kind, folder, None)


def _captioner(models: tuple[Model, ...]) -> Model | None:
    """The one that the setting `caption_model` names; large weights are not hashed a second time."""
    name = settings().caption_model
    if name is None:
        return None
    known = next((model for model in models if model.path.name == name), None)
    if known is not None and (known.fault is not None or known.task == Task.CAPTION):
        return known
    if not settings().offline and not Path(name).expanduser().exists():
        return Model(name, "", "", Path(name), None)
    try:
        found = bundle.resolve(name, Task.CAPTION)
    except BundleError as fault:
        return Model(name, "", "", Path(name), fault)
    return Model(name, found.manifest.task.value, found.manifest.kind, found.path, None)


def _reports() -> Reports:
    chosen = settings()
    if not chosen.llm_url:
        return Reports(None, None, True, chosen.hospital_name)
    gemini = chosen.llm_url == "gemini"
    # Of an address only the host: what else stands in it may be a secret.
    name = "gemini" if gemini else urlsplit(chosen.llm_url).hostname or "?"
    package = "google-genai" if gemini else "httpx"
    missing = package if _version_of(package) is None else None
    outside = gemini or _is_public(name)
    return Reports(name, missing, chosen.llm_outside or not outside, chosen.hospital_name)


def _is_public(host: str) -> bool:
    """Whether `host` is an address outside private networks; of a name that takes a network to know."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _device() -> Device:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if _version_of("torch") is None:
        return Device(cores, torch=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch

            cards = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
    except (ImportError, OSError, RuntimeError) as fault:
        return Device(cores, torch=True, torch_fault=" ".join(str(fault).split())[:200])
    return Device(
        cores,
        torch=True,
        cuda=tuple(card.name for card in cards),
        cuda_bytes=tuple(card.total_memory for card in cards),
    )


def _settings_in_force() -> tuple[SettingInForce, ...]:
    file = config_file()
    in_file = set(tomllib.loads(file.read_text("utf-8"))) if file.is_file() else set()
    in_environment = {name.upper() for name in os.environ}
    found = []
    for name, value in settings():
        if f"TETKIK_{name.upper()}" in in_environment:
            origin = "environment"
        else:
            # A secret may lie in a file of its own (tetkik/credentials.py); none has a default.
            origin = "file" if name in in_file or isinstance(value, SecretStr) else "default"
        plain = value if isinstance(value, int) or value is None else _without_password(str(value))
        found.append(SettingInForce(name, plain, origin))
    return tuple(found)


def _without_password(value: str) -> str:
    """An address without the name and password that somebody wrote into it."""
    return re.sub(r"(?<=://)[^/@]*@", "…@", value)


def _unknown_variables() -> tuple[str, ...]:
    known = {"TETKIK_CONFIG", *(f"TETKIK_{name.upper()}" for name in Settings.model_fields)}
    return tuple(
        sorted(name for name in os.environ if name.startswith("TETKIK_") and name.upper() not in known)
    )
