"""`tetkik doctor`: what is installed, what is missing for what, which models and device."""

from __future__ import annotations

import importlib
import ipaddress
import os
import platform
import re
import shutil
import tomllib
import warnings
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.table import Table
from rich.text import Text

from tetkik import bundle
from tetkik._version import __version__
from tetkik.bundle.manifest import Task
from tetkik.bundle.store import builtin_folder
from tetkik.cli.console import language, out, print_json_line, t, warn, words
from tetkik.cli.options import TableAsJson
from tetkik.errors import BundleError, TetkikError
from tetkik.fleet.ray_port import open_clusters
from tetkik.settings import Settings, config_file, cores, settings

if TYPE_CHECKING:
    from tetkik.integrations.outbox import Probe


# What `tetkik doctor` finds: values only; nothing is changed. Over a network go alone the questions to the
# hospital's systems, where the setting `integrations` names them.


_NOT_SHOWN = {"all", "dev", "docs"}
_BUILT_IN = ("triage_model", "triage_urgency_model", "findings_model")
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
    installed: dict[str, str]
    missing: tuple[str, ...]

    @property
    def purpose(self) -> str:
        return words("extra").get(self.name, "")


@dataclass(frozen=True, slots=True)
class Model:
    """A bundle that was found; `fault` is None where every hash matches."""

    id: str
    task: str
    kind: str
    path: Path
    fault: BundleError | None

    def as_json(self) -> dict[str, Any]:
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
    """What a model can run on: CUDA devices by name and bytes; a fault keeps installed torch from loading."""

    cpu_cores: int
    torch: bool
    cuda: tuple[str, ...] = ()
    torch_fault: str | None = None
    cuda_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reports:
    """Who writes drafts (None: the built-in composer), and whose name is at their head.

    A language model may need a package that is missing; whether it is allowed is said as far as can be known
    without a network.
    """

    language_model: str | None
    missing: str | None
    allowed: bool
    hospital: str | None


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    """The bucket of the settings, and why it cannot be used; None where it answers."""

    place: str
    fault: TetkikError | None


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting's value, and where that comes from: `environment`, `file` or `default`."""

    value: str | int | bool | None
    origin: str


@dataclass(frozen=True, slots=True)
class Systems:
    """The systems in the file of the setting `integrations`, and what is wrong with the file."""

    probes: tuple[Probe, ...] = ()
    faults: tuple[TetkikError, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemReport:
    extras: tuple[Extra, ...]
    models: tuple[Model, ...]
    captioner: Model | None
    compiled_ngrams: bool
    dicom: dict[str, bool]
    reports: Reports
    device: Device
    settings: dict[str, SettingInForce]
    unknown_variables: tuple[str, ...]
    offline: bool
    java: str | None
    systems: Systems
    object_storage: ObjectStorage | None
    open_ray: tuple[str, ...]
    tetkik: str = __version__
    python: str = field(default_factory=platform.python_version)
    platform: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    config_file: Path = field(default_factory=config_file)

    @property
    def unusable(self) -> tuple[str, ...]:
        own = {builtin_folder() / name for name in _built_in()}
        return tuple(model.path.name for model in self.models if model.path in own and model.fault)

    @property
    def sound(self) -> bool:
        closed = self.object_storage is not None and self.object_storage.fault is not None
        faulty = self.unusable or closed or self.systems.faults or self.open_ray
        return not faulty and all(self.dicom.values())

    def as_json(self) -> dict[str, Any]:
        """Keys may be added, never renamed."""
        bucket = self.object_storage
        fault = str(bucket.fault) if bucket and bucket.fault else None
        return {
            "ok": self.sound,
            **asdict(replace(self, systems=Systems())),
            "extras": {
                extra.name: {"installed": extra.installed, "missing": extra.missing} for extra in self.extras
            },
            "models": [model.as_json() for model in self.models],
            "captioner": None if self.captioner is None else self.captioner.as_json(),
            "systems": {
                "probes": [asdict(one) for one in self.systems.probes],
                "faults": [str(fault) for fault in self.systems.faults],
            },
            "config_file": str(self.config_file),
            "object_storage": None if bucket is None else {**asdict(bucket), "fault": fault},
        }


def inspect_system() -> SystemReport:
    models = _models()
    return SystemReport(
        extras=extras(),
        models=models,
        captioner=_captioner(models),
        compiled_ngrams=_has_ngrams(),
        dicom=_codecs(),
        reports=_reports(),
        device=_device(),
        settings=_settings_in_force(),
        unknown_variables=_unknown_variables(),
        offline=settings().offline,
        java=shutil.which("java"),
        systems=_systems(),
        object_storage=_object_storage(),
        open_ray=open_clusters() if _version_of("ray") else (),
    )


def _systems() -> Systems:
    """Each system that is named, asked whether it is there; a loss of packages is told by their extra."""
    if settings().integrations is None or any(_version_of(name) is None for name in ("pynetdicom", "httpx")):
        return Systems()
    from tetkik.integrations.listening import find_faults
    from tetkik.integrations.outbox import probe
    from tetkik.integrations.systems import configuration_of

    try:
        found = configuration_of(settings())
    except TetkikError as fault:
        return Systems(faults=(fault,))
    assert found is not None
    return Systems(probe(found, settings()), tuple(find_faults(found, settings())))


def _object_storage() -> ObjectStorage | None:
    """The one thing that is asked over a network: the hospital's own."""
    if not settings().object_storage:
        return None
    from tetkik.records.storage.s3 import open_storage

    try:
        if storage := open_storage(settings()):
            storage.check()
    except TetkikError as fault:
        return ObjectStorage(settings().object_storage, fault)
    return ObjectStorage(settings().object_storage, None)


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
    versions = {package: _version_of(package) for package in packages}
    installed = {package: version for package, version in versions.items() if version is not None}
    missing = tuple(package for package in packages if package not in installed)
    return Extra(name, installed, missing)


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
        return Reports(None, None, True, chosen.hospital_name or None)
    gemini = chosen.llm_url == "gemini"
    # Of an address only the host: what else stands in it may be a secret.
    name = "gemini" if gemini else urlsplit(chosen.llm_url).hostname or "?"
    package = "google-genai" if gemini else "httpx"
    missing = package if _version_of(package) is None else None
    outside = gemini or _is_public(name)
    return Reports(name, missing, chosen.llm_outside or not outside, chosen.hospital_name or None)


def _is_public(host: str) -> bool:
    """Whether `host` is an address outside private networks; of a name that takes a network to know."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _device() -> Device:
    if _version_of("torch") is None:
        return Device(cores(), torch=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch

            cards = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
    except (ImportError, OSError, RuntimeError) as fault:
        return Device(cores(), torch=True, torch_fault=" ".join(str(fault).split())[:200])
    return Device(
        cores(),
        torch=True,
        cuda=tuple(card.name for card in cards),
        cuda_bytes=tuple(card.total_memory for card in cards),
    )


def _settings_in_force() -> dict[str, SettingInForce]:
    file = config_file()
    in_file = set(tomllib.loads(file.read_text("utf-8"))) if file.is_file() else set()
    in_environment = {name.upper() for name in os.environ}
    found = {}
    for name, value in settings():
        if f"TETKIK_{name.upper()}" in in_environment:
            origin = "environment"
        else:
            # A secret may lie in a file of its own (tetkik/credentials.py); none has a default.
            origin = "file" if name in in_file or isinstance(value, SecretStr) else "default"
        # An address without the name and password that somebody wrote into it.
        plain = (
            value if isinstance(value, int) or value is None else re.sub(r"(?<=://)[^/@]*@", "…@", str(value))
        )
        found[name] = SettingInForce(plain, origin)
    return found


def _unknown_variables() -> tuple[str, ...]:
    known = {"TETKIK_CONFIG", *(f"TETKIK_{name.upper()}" for name in Settings.model_fields)}
    return tuple(
        sorted(name for name in os.environ if name.startswith("TETKIK_") and name.upper() not in known)
    )


_GOOD, _ABSENT, _BAD = Text("✓", "green"), Text("–", "dim"), Text("✗", "red")


def doctor(as_json: TableAsJson = False) -> None:
    """Look at everything, change nothing; status 1 where something cannot be used or should not be."""
    system = inspect_system()
    if as_json:
        print_json_line(system.as_json())
    else:
        _show(system)
    if not system.sound:
        raise typer.Exit(1)


def _show(system: SystemReport) -> None:
    out.print(f"Tetkik {system.tetkik}", style="bold", end="")
    out.print(f" · Python {system.python} · {system.platform}", style="dim", soft_wrap=True)
    _section(t("Parts"), _parts(system))
    _section(t("Models"), _models_of_doctor(system))
    _section(t("Reports"), _reports_of_doctor(system))
    _section(t("Device"), _device_of_doctor(system))
    if system.systems.probes or system.systems.faults:
        _section(t("The hospital's systems"), _systems_of_doctor(system))
    if system.object_storage is not None:
        _section(t("Object storage"), _object_storage_of_doctor(system.object_storage))
    _section(t("Settings"), _settings(system))
    out.print()
    for address in system.open_ray:
        warn(
            "The Ray cluster at {address} asks for no token: whoever reaches it can run code on this "
            "machine; "
            "start it again with RAY_AUTH_MODE=token.",
            address=address,
        )
    for name in system.unusable:
        warn("The built-in model {name} cannot be used; install Tetkik again.", name=name)
    for name in system.unknown_variables:
        warn("{name} is not a setting of Tetkik and has no effect; check its spelling.", name=name)


def _section(title: str, body: Table) -> None:
    out.print()
    out.print(title, style="bold")
    out.print(body)


def _grid() -> Table:
    """A mark, a name, what there is to say, and a remark; nothing is cut short."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(4):
        grid.add_column(overflow="fold")
    return grid


def _parts(system: SystemReport) -> Table:
    grid = _grid()
    compiled = t("compiled: the light model counts its n-grams in C")
    slower = t(
        "not compiled: NumPy gives the same answers more slowly; install Tetkik again where there is a C "
        "compiler"
    )
    grid.add_row(*((_GOOD, "n-grams", compiled) if system.compiled_ngrams else (_ABSENT, "n-grams", slower)))
    grid.add_row(*_codecs_of_doctor(system))
    for extra in system.extras:
        if extra.missing:
            lacking = t(
                "{purpose}; missing: {names} (pip install '.[{extra}]')",
                purpose=t(extra.purpose),
                names=", ".join(extra.missing),
                extra=extra.name,
            )
            grid.add_row(_ABSENT, extra.name, lacking)
        else:
            grid.add_row(_GOOD, extra.name, t(extra.purpose))
    java = t("Java is there: captions are judged by METEOR too")
    without = t("there is no Java: captions are judged without METEOR")
    grid.add_row(*((_GOOD, "METEOR", java) if system.java is not None else (_ABSENT, "METEOR", without)))
    return grid


def _codecs_of_doctor(system: SystemReport) -> tuple[Text, str, str]:
    readable = ", ".join(t(name) for name, there in system.dicom.items() if there)
    if lacking := ", ".join(t(name) for name, there in system.dicom.items() if not there):
        sentence = t(
            "reads {names}; cannot read {lacking}: install Tetkik again", names=readable, lacking=lacking
        )
        return _BAD, "DICOM", sentence
    return _GOOD, "DICOM", t("reads {names}", names=readable)


def _models_of_doctor(system: SystemReport) -> Table:
    grid = _grid()
    for model in system.models:
        sound = t("{task}, {kind}: every hash matches", task=model.task, kind=model.kind)
        grid.add_row(_BAD if model.fault else _GOOD, model.id, _fault(model) or sound)
    grid.add_row(*_captioner_of_doctor(system))
    return grid


def _captioner_of_doctor(system: SystemReport) -> tuple[Text, str, str]:
    model = system.captioner
    if model is None:
        sentence = t("none is set: a report does without captions; `tetkik caption train` makes one")
        return _ABSENT, "caption", sentence
    if model.fault is not None:
        return _BAD, "caption", _fault(model)
    if not model.task:
        return _ABSENT, "caption", t("{model}: on a hub, where doctor does not look", model=model.id)
    return _GOOD, "caption", t("{model} is used for captions", model=model.id)


def _fault(model: Model) -> str:
    return model.fault.in_language(language()) if model.fault else ""


def _reports_of_doctor(system: SystemReport) -> Table:
    grid, found = _grid(), system.reports
    name, mark = found.language_model, _BAD
    if name is None:
        mark, sentence = _ABSENT, t("no language model is set: the built-in composer writes the drafts")
    elif found.missing is not None:
        sentence = t(
            "{name} is set, but {package} is missing (pip install '.[llm]')",
            name=name,
            package=found.missing,
        )
    elif not found.allowed:
        sentence = t(
            "{name} is outside this hospital and may not be asked; the setting is llm_outside", name=name
        )
    else:
        mark = _GOOD
        sentence = t("{name} writes the drafts, and where it fails the built-in composer", name=name)
    grid.add_row(mark, t("language model"), sentence)
    nameless = t("no name is set: documents have no head; the setting is hospital_name")
    grid.add_row(_GOOD if found.hospital else _ABSENT, t("hospital"), found.hospital or nameless)
    return grid


def _device_of_doctor(system: SystemReport) -> Table:
    grid = _grid()
    grid.add_row(_GOOD, "CPU", t("cores: {count}", count=system.device.cpu_cores))
    if system.device.torch_fault is not None:
        fault = t(
            "torch is installed but cannot be loaded ({fault}); install it again",
            fault=system.device.torch_fault,
        )
        grid.add_row(_BAD, "CUDA", fault)
    elif not system.device.torch:
        grid.add_row(_ABSENT, "CUDA", t("not looked for: torch is not installed, and only training needs it"))
    elif not system.device.cuda:
        grid.add_row(_ABSENT, "CUDA", t("none: training runs on the CPU"))
    for name, size in zip_longest(system.device.cuda, system.device.cuda_bytes):
        grid.add_row(_GOOD, "CUDA", name if size is None else f"{name}, {size / 2**30:.1f} GiB")
    return grid


def _systems_of_doctor(system: SystemReport) -> Table:
    grid = _grid()
    for fault in system.systems.faults:
        grid.add_row(_BAD, "", fault.in_language(language()))
    for one in system.systems.probes:
        answer = t("answers") if one.answers else t("does not answer")
        grid.add_row(
            _GOOD if one.answers else _ABSENT, one.name, answer, Text(f"{one.how} {one.address}", "dim")
        )
    return grid


def _object_storage_of_doctor(bucket: ObjectStorage) -> Table:
    grid = _grid()
    fault = bucket.fault and bucket.fault.in_language(language())
    grid.add_row(_BAD if fault else _GOOD, bucket.place, fault or t("answers, and its key may list it"))
    return grid


def _settings(system: SystemReport) -> Table:
    grid = _grid()
    for name, setting in system.settings.items():
        value = str(setting.value).lower() if isinstance(setting.value, bool) else str(setting.value)
        grid.add_row("", name, "–" if setting.value in {None, ""} else value, Text(t(setting.origin), "dim"))
    there = t("there") if system.config_file.is_file() else t("not there, and not needed")
    grid.add_row("", t("file"), str(system.config_file), Text(there, "dim"))
    return grid
