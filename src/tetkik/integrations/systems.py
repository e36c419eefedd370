"""The hospital's systems in one file (TOML): who may send us what, what is read by which model, who gets it.

Paths in it are relative to its folder. Secrets stand in files of their own (`Peer.authorization`).
"""

from __future__ import annotations

import base64
import tomllib
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.networks import IPvAnyNetwork
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from tetkik.credentials import find_secret, read_secret
from tetkik.errors import SettingError
from tetkik.integrations.dicom.spool import codec_of
from tetkik.language import Sentence
from tetkik.settings import Settings, validation_fault

_LONGEST_FILE = 1_000_000


class Service(StrEnum):
    """What a peer may ask of us."""

    STORE = "store"
    ECHO = "echo"
    COMMIT = "commit"
    """Storage commitment: our word that an image is safe."""
    WORKLIST = "worklist"
    ORDERS = "orders"
    """Messages of HL7: orders, patients, encounters."""


class ResultForm(StrEnum):
    """A form in which a result goes out."""

    SR = "sr"
    PDF = "pdf"
    CAPTURE = "capture"
    PRESENTATION = "presentation"
    HL7 = "hl7"
    FHIR = "fhir"


def _beside_file(value: object, info: ValidationInfo) -> object:
    folder = info.context if isinstance(info.context, Path) else Path()
    return folder / value if isinstance(value, str) else value


FilePath = Annotated[Path, BeforeValidator(_beside_file)]
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$")]
"""PS3.5 6.2, VR AE: 16 characters at most, no backslash, no space at either end."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")]
Code = Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")]
"""A code string (PS3.5 6.2, VR CS)."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Listener(_Part):
    address: str = "0.0.0.0"  # noqa: S104 - scanners are other machines; who may call stands in the file
    tls_cert: FilePath | None = None
    tls_key: FilePath | None = None
    tls_ca: FilePath | None = None
    """With it a peer has to show a certificate that this authority signed."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None) or (self.tls_ca and self.tls_cert is None):
            raise PydanticCustomError("tls", "TLS needs both tls_cert and tls_key")
        return self


class DicomListener(_Listener):
    """The storage SCP of `tetkik listen`."""

    ae_title: AeTitle = "TETKIK"
    port: Port = 11112
    processes: int = Field(default=4, ge=1, le=64)
    """Processes that take associations."""
    associations: int = Field(default=25, ge=1, le=200)
    """Most associations at once of each process; further ones are told to come again."""
    reserve_bytes: int = Field(default=5_000_000_000, ge=0)
    """Free bytes of the disk below which an image is refused (A700)."""
    object_bytes: int = Field(default=2_000_000_000, ge=1_000_000, le=4_000_000_000)
    """Most bytes of one object."""
    silent_seconds: int = Field(default=60, ge=1, le=3600)
    """How long a peer may say nothing within an association or a message."""
    quiet_seconds: int = Field(default=60, ge=1)
    """A study is complete after so long without an image."""
    longest_seconds: int = Field(default=5400, ge=1)
    """And at the latest after so long."""


class Hl7Listener(_Listener):
    """The MLLP listener of `tetkik listen`."""

    port: Port = 2575


class HospitalSystem(_Part):
    """A system that we know."""

    name: Name
    ae_title: AeTitle | None = None
    host: str | None = Field(default=None, pattern=r"^[^\s/]+$")
    port: int = Field(default=104, ge=1, le=65535)
    tls: bool = False
    """Whether we call it by TLS, with the certificate of `[listen]`."""
    addresses: tuple[IPvAnyNetwork, ...] = ()
    """From where it may call us; none, and it may not."""
    allow: tuple[Service, ...] = ()
    character_set: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_ /\\-]{1,40}$")
    """What its text really is, whatever it declares."""
    issuer: str = Field(default="", max_length=64)
    clock_offset_minutes: int = Field(default=0, ge=-1440, le=1440)
    expected_count: bool = False
    priors: bool = False
    """Whether it is asked for earlier studies: by C-FIND and C-MOVE, for which it must know our AE title, or
    by DICOMweb where it has no host.
    """
    prior_count: int = Field(default=3, ge=1, le=20)
    """Most earlier studies of a patient that are fetched."""
    without_orders: bool = False
    """A case is opened for what it sends without an order; else a person decides."""
    worklist: bool = False
    """Whether orders are taken from its modality worklist."""
    dicomweb: Url | None = None
    user: str = Field(default="", pattern=r"^[^\s:]{0,64}$")
    """With it the secret of `dicomweb` and `fhir` is a password (RFC 7617), without it a bearer token."""
    secret_file: FilePath | None = None
    """Where that secret lies, if not in `tetkik-peer-NAME`."""
    hl7: str | None = Field(default=None, pattern=r"^[^\s/:]+:\d{1,5}$|^\[[0-9A-Fa-f:.]+\]:\d{1,5}$")
    hl7_version: Literal["2.3.1", "2.5.1"] = "2.5.1"
    mapping: FilePath | None = None
    fhir: Url | None = None

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.character_set is not None and codec_of(self.character_set) is None:
            raise PydanticCustomError("codec", "unknown", {"character_set": self.character_set})
        asked = {"expected_count": self.expected_count, "worklist": self.worklist}
        asked["priors"] = self.priors and self.dicomweb is None
        if self.host is None or self.ae_title is None:
            for key in (key for key, wanted in asked.items() if wanted):
                raise PydanticCustomError("not_callable", "no host", {"name": self.name, "key": key})
        return self

    def may(self, service: Service) -> bool:
        return service in self.allow

    def calls_from(self, address: str) -> bool:
        """Whether an address is one of its own; an IPv4 address within IPv6 counts as the former."""
        found = ip_address(address.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self.addresses)

    @property
    def is_web(self) -> bool:
        """Whether we ask it by DICOMweb, for it cannot be called by DICOM."""
        return self.dicomweb is not None and (self.host is None or self.ae_title is None)

    def authorization(self, settings: Settings) -> dict[str, str]:
        """The header for its DICOMweb or FHIR address, with the secret of its file, if there is one.

        Raises:
            SettingError: the file that it names cannot be used.
        """
        name = f"peer_{self.name}"
        if self.secret_file is None:
            secret = find_secret(name, settings.secrets_dir)
        else:
            secret = read_secret(self.secret_file, name)
            if secret is None:
                raise SettingError(
                    "The file {file} with the secret of {name} is not there; correct secret_file.",
                    file=self.secret_file,
                    name=self.name,
                )
        if secret is None:
            return {}
        basic = base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        return {"Authorization": f"Basic {basic}" if self.user else f"Bearer {secret}"}

    def takes(self, form: ResultForm) -> bool:
        """Whether it has an address for results of a form."""
        if form is ResultForm.HL7:
            return self.hl7 is not None
        if form is ResultForm.FHIR:
            return self.fhir is not None
        return self.dicomweb is not None or (self.host is not None and self.ae_title is not None)


class Send(_Part):
    """Which forms of a result go to whom."""

    to: str
    forms: tuple[ResultForm, ...] = Field(alias="as", min_length=1)


class SystemRoute(_Part):
    """What becomes of a study; an empty condition fits everything."""

    sources: tuple[str, ...] = Field(default=(), alias="from")
    modality: tuple[Code, ...] = ()
    body_part: tuple[Code, ...] = ()
    model: str = ""
    """A model of findings, or `none`; empty is the setting `findings_model`."""
    send: tuple[Send, ...] = ()
    notify: tuple[str, ...] = ()
    """Names of critical contacts."""

    def fits(self, source: str, modality: str, body_part: str) -> bool:
        wanted = ((self.sources, source), (self.modality, modality), (self.body_part, body_part))
        return all(not known or given in known for known, given in wanted)


class Configuration(_Part):
    """The whole file."""

    listen: DicomListener | None = None
    hl7: Hl7Listener | None = None
    peers: tuple[HospitalSystem, ...] = Field(default=(), alias="peer")
    routes: tuple[SystemRoute, ...] = Field(default=(), alias="route")

    def peer(self, name: str) -> HospitalSystem | None:
        return next((peer for peer in self.peers if peer.name == name), None)

    def caller(self, address: str, ae_title: str) -> HospitalSystem | None:
        """Who calls by DICOM: its AE title, from one of its addresses."""
        fitting = (peer for peer in self.peers if peer.ae_title == ae_title and peer.calls_from(address))
        return next(fitting, None)

    def sender(self, address: str) -> HospitalSystem | None:
        """Who calls by MLLP: the first that may send orders from an address."""
        fitting = (peer for peer in self.peers if peer.may(Service.ORDERS) and peer.calls_from(address))
        return next(fitting, None)

    def route(self, source: str, modality: str, body_part: str) -> SystemRoute | None:
        """The first route that fits a study."""
        return next((item for item in self.routes if item.fits(source, modality, body_part)), None)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        twice = [name for name, times in Counter(peer.name for peer in self.peers).items() if times > 1]
        if twice:
            raise PydanticCustomError("twice", "two peers", {"name": twice[0]})
        for one, other in combinations(self.peers, 2):
            if one.ae_title is not None and one.ae_title == other.ae_title and _overlap(one, other):
                raise PydanticCustomError("confused", "alike", {"one": one.name, "other": other.name})
            if one.may(Service.ORDERS) and other.may(Service.ORDERS) and _overlap(one, other):
                raise PydanticCustomError("two_senders", "alike", {"one": one.name, "other": other.name})
        for route in self.routes:
            for name in (*route.sources, *(send.to for send in route.send)):
                if self.peer(name) is None:
                    raise PydanticCustomError("unknown_peer", "no such peer", {"name": name})
            for send in route.send:
                peer = self.peer(send.to)
                for form in send.forms:
                    if peer is not None and not peer.takes(form):
                        raise PydanticCustomError(
                            "no_address", "no address", {"name": send.to, "form": form.value}
                        )
        return self


def _overlap(one: HospitalSystem, other: HospitalSystem) -> bool:
    def meet(a: IPv4Network | IPv6Network, b: IPv4Network | IPv6Network) -> bool:
        return a.version == b.version and a.overlaps(b)

    return any(meet(a, b) for a in one.addresses for b in other.addresses)


def configuration_of(settings: Settings) -> Configuration | None:
    """The file that the setting `integrations` names; None without one."""
    return None if settings.integrations is None else load_configuration(settings.integrations)


def load_configuration(file: Path) -> Configuration:
    """A file of systems; `SettingError` with its key and fault where it cannot be used."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_FILE + 1)
        if len(content) > _LONGEST_FILE:
            raise ValueError("longer than 1 MB")
        return Configuration.model_validate(tomllib.loads(content.decode()), context=file.absolute().parent)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingError(
            "The systems in {file} cannot be used ({key}: {fault}); correct the file.",
            file=file,
            key=_key(first),
            fault=_fault(first),
        ) from None
    except ValueError as error:
        raise SettingError(
            "The systems in {file} are not valid TOML ({fault}); correct the file.", file=file, fault=error
        ) from None


def _key(error: ErrorDetails) -> str:
    """Where a fault stands, such as `peer 2, allow 1`."""
    words: list[str] = []
    for part in error["loc"]:
        if isinstance(part, int) and words:
            words[-1] += f" {part + 1}"
        else:
            words.append(str(part))
    return ", ".join(words) or "[[peer]], [[route]]"


def _fault(error: ErrorDetails) -> Sentence | str:
    given = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return Sentence("it is missing")
        case "string_pattern_mismatch":
            return Sentence("it has another form")
        case "string_too_long":
            return Sentence("it is too long")
        case "ip_any_network":
            return Sentence("an address or a network is needed, such as 10.1.2.3 or 10.1.0.0/16")
        case "tls":
            return Sentence("TLS needs both tls_cert and tls_key")
        case "twice":
            return Sentence("two peers are called {name}", given)
        case "confused":
            return Sentence("{one} and {other} have one AE title and an address in common", given)
        case "codec":
            return Sentence("{character_set} is no character set; ISO_IR 148 and ISO_IR 192 are some", given)
        case "not_callable":
            return Sentence("{key} of {name} asks by DICOM: add its host and its ae_title", given)
        case "two_senders":
            return Sentence("{one} and {other} may both send orders from one address", given)
        case "unknown_peer":
            return Sentence("a route names {name}, and no peer is called so", given)
        case "no_address":
            return Sentence("{name} gets results as {form} and has no address for them", given)
        case _:
            return validation_fault(error)


# A file of systems in words: who may send what from where, what becomes of a study, where results go.


class _May(StrEnum):
    """What a peer may do, as a person says it."""

    STORE = "send images"
    ECHO = "ask whether we are there (C-ECHO)"
    COMMIT = "ask for storage commitment"
    WORKLIST = "ask for the worklist"
    ORDERS = "send orders and patients by HL7"


_WORDS = {service: _May[service.name] for service in Service}


def explained(configuration: Configuration) -> Iterator[Sentence]:
    """The file, a sentence a line."""
    yield from _listeners(configuration)
    for peer in configuration.peers:
        yield from _peer(peer)
    for route in configuration.routes:
        yield from _route(route)
    everything = [route for route in configuration.routes if not _conditions(route)]
    if not everything:
        yield Sentence("Any other study: the model of the setting findings_model; its results go nowhere.")
    elif everything[0] is not configuration.routes[-1]:
        yield Sentence(
            "The routes behind the one for every study are never reached; move that one to the end."
        )


def _listeners(configuration: Configuration) -> Iterator[Sentence]:
    own, hl7 = configuration.listen, configuration.hl7
    if own is not None:
        values = {"ae_title": own.ae_title, "address": own.address, "port": own.port}
        yield Sentence("We listen as {ae_title} at {address}, port {port} (DICOM).", values)
    if hl7 is not None:
        values = {"address": hl7.address, "port": hl7.port}
        yield Sentence("We listen at {address}, port {port} (HL7 by MLLP).", values)
    for section, listener in (("[listen]", own), ("[hl7]", hl7)):
        if listener is None:
            continue
        if listener.tls_cert is None:
            yield Sentence(
                "{section}: without TLS; whoever is in that network can read it.", {"section": section}
            )
        elif listener.tls_ca is None:
            yield Sentence("{section}: by TLS, without a certificate of the caller.", {"section": section})
        else:
            yield Sentence("{section}: by TLS, with a certificate of the caller.", {"section": section})


def _peer(peer: HospitalSystem) -> Iterator[Sentence]:
    named = {"name": peer.name}
    if not peer.allow or not peer.addresses:
        yield Sentence("{name} may ask nothing of us.", named)
    for service in peer.allow if peer.addresses else ():
        places = ", ".join(map(str, peer.addresses))
        if service is Service.ORDERS:
            values = named | {"what": _WORDS[service], "addresses": places}
            yield Sentence("{name} may {what}, from {addresses}.", values)
        elif peer.ae_title is None:
            values = named | {"what": _WORDS[service]}
            yield Sentence("{name} may {what}, but has no ae_title and will be refused.", values)
        else:
            values = named | {"what": _WORDS[service], "ae_title": peer.ae_title, "addresses": places}
            yield Sentence("{name} may {what}, as {ae_title} from {addresses}.", values)
    if peer.issuer:
        yield Sentence("{name}: its hospital numbers are of {issuer}.", named | {"issuer": peer.issuer})
    if peer.mapping is not None:
        yield Sentence("{name}: its HL7 is read by {mapping}.", named | {"mapping": peer.mapping})
    if peer.without_orders:
        yield Sentence("{name}: a study without an order opens a case, and no person is asked.", named)
    if peer.worklist:
        yield Sentence("{name}: orders are taken from its worklist, every minute.", named)
    if peer.character_set is not None:
        values = named | {"character_set": peer.character_set}
        yield Sentence("{name}: text is read as {character_set}, whatever it declares.", values)
    if peer.clock_offset_minutes:
        values = named | {"minutes": str(peer.clock_offset_minutes)}
        yield Sentence("{name}: its clock is ahead by minutes: {minutes}.", values)
    if peer.expected_count:
        yield Sentence("We ask {name} how many images a study has.", named)
    if peer.priors:
        values = named | {"count": str(peer.prior_count)}
        yield Sentence(
            "{name}: earlier studies of a patient are fetched from there, {count} at most.", values
        )
    yield from _places(peer)


def _places(peer: HospitalSystem) -> Iterator[Sentence]:
    """Where we call a peer, and how."""
    named: dict[str, object] = {"name": peer.name}
    if peer.host is not None and peer.ae_title is not None:
        values = named | {"host": peer.host, "port": peer.port, "ae_title": peer.ae_title}
        yield Sentence("{name} is called by DICOM at {host}, port {port}, as {ae_title}.", values)
    if peer.hl7 is not None:
        values = named | {"address": peer.hl7, "version": peer.hl7_version}
        yield Sentence("{name} is called by HL7 {version} at {address}.", values)
    for how, address in (("DICOMweb", peer.dicomweb), ("FHIR", peer.fhir)):
        if address is not None:
            yield Sentence(
                "{name} is called by {how} at {address}.", named | {"how": how, "address": address}
            )
    if (peer.host is not None or peer.hl7 is not None) and not peer.tls:
        yield Sentence("{name}: called by DICOM and HL7 without TLS.", named)


def _conditions(route: SystemRoute) -> str:
    return " · ".join(", ".join(part) for part in (route.sources, route.modality, route.body_part) if part)


def _route(route: SystemRoute) -> Iterator[Sentence]:
    values: dict[str, object] = {"study": _conditions(route), "model": route.model}
    values["study"] = values["study"] or Sentence("every study")
    if route.model == "none":
        yield Sentence("{study}: read by no model.", values)
    elif route.model:
        yield Sentence("{study}: read by the model {model}.", values)
    else:
        yield Sentence("{study}: read by the model of the setting findings_model.", values)
    for send in route.send:
        sent = values | {"name": send.to, "forms": ", ".join(form.value for form in send.forms)}
        yield Sentence("{study}: signed results go to {name} as {forms}.", sent)
    if not route.send:
        yield Sentence("{study}: results go nowhere.", values)
    if route.notify:
        yield Sentence(
            "{study}: told of critical results: {names}.", values | {"names": ", ".join(route.notify)}
        )


def systems_of(settings: Settings) -> Configuration | None:
    """The hospital's systems, read once; `SettingError` where the file cannot be used."""
    return None if settings.integrations is None else _loaded(settings.integrations)


_loaded = cache(load_configuration)
