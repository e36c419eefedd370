"""One list of settings, each with its name, its default, and under it what it is for.

Read from the environment (`TETKIK_…`), then from `tetkik.toml` in the configuration folder; a secret that
neither names, from a file of its own. The page `docs/reference/settings.md` is generated from this class.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from platformdirs import user_config_path, user_data_path
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tetkik.choices import Cipher, Device, FindingsProvider, ImageSharing, Marked, SmtpSecurity
from tetkik.credentials import SecretFiles
from tetkik.errors import SettingError
from tetkik.language import Language, Sentence, system_language


def config_file() -> Path:
    """The settings file: `TETKIK_CONFIG`, or `tetkik.toml` in the user's configuration folder."""
    return Path(os.environ.get("TETKIK_CONFIG") or user_config_path("tetkik") / "tetkik.toml")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise PydanticCustomError("time_zone", "no time zone") from None
    return name


class Settings(BaseSettings):
    """Every setting of Tetkik. Unknown keys in the file are refused, so that a typing error is seen."""

    model_config = SettingsConfigDict(env_prefix="TETKIK_", extra="forbid", frozen=True)

    language: Language = Field(default_factory=system_language)
    """Language of messages: `tr` or `en`. Default: that of the system's locale."""
    models_dir: Path = Field(default_factory=lambda: user_data_path("tetkik") / "models")
    """Where imported model bundles are kept. Default: `models` in the user's data folder."""
    triage_model: str = "triage-linear-tr"
    """The triage model used when `--model` is not given: a built-in id, a path, or a hub id."""
    triage_urgency_model: str = "urgency-linear-tr"
    """The model that judges urgency beside the rules: a built-in id, a path, or a hub id; empty for the rules
    alone."""
    triage_rules: Path | None = None
    """A hospital's own urgency rules (TOML), used instead of the built-in ones."""
    triage_clinics: Path | None = None
    """A hospital's own clinics and referral rules (TOML), used instead of the built-in ones."""
    triage_priors: str = ""
    """Departments that are more or less often the right one here than in the model's data, and how many times
    as often, such as `Kardiyoloji=2, Dermatoloji=0.5`."""
    findings_model: str = "findings-mobilenet-cxr"
    """The model of findings used without `--model`: a built-in id, a path, or a hub id."""
    caption_model: str | None = None
    """The captioner used without `--model`: an imported id, a path, or a hub id. None ships, and without one
    there are no captions."""
    caption_base: str | None = None
    """Where the weights lie that a captioner's adapter was trained on, where its bundle names a path of
    another machine."""
    rules_out_bound: float = Field(default=0.90, ge=0.5, le=1.0)
    """A finding may be ruled out only where the lower 95% bound of the model's held-out sensitivity reaches
    this."""
    findings_provider: FindingsProvider = FindingsProvider.ONNXRUNTIME
    """What runs networks of findings: `onnxruntime`, or `openvino` (`openvino-bf16` where the processor has
    bf16 instructions). Without the package openvino it is ONNX Runtime."""
    hospital_name: str = ""
    """The hospital, as the head of its reports names it."""
    hospital_department: str = ""
    """The department under the name."""
    hospital_address: str = ""
    """The address under the name."""
    hospital_time_zone: Annotated[str, AfterValidator(_time_zone)] = "Europe/Istanbul"
    """The hospital's time zone (IANA), in which reports and their documents give times."""
    hospital_authority: str = ""
    """Who assigns the numbers of patients, as HL7, FHIR and DICOM name it; empty takes the name of the
    hospital."""
    hospital_oid: str = Field(default="", pattern=r"^$|^[0-2](\.(0|[1-9][0-9]*))+$")
    """The OID under which those numbers are unique, such as `2.16.792.1.99.7`; empty: none, and the authority
    stands alone."""
    signature_agent: str = Field(default="", pattern=r"^$|^http://(127\.0\.0\.1|localhost):\d{1,5}$")
    """Where `tetkik sign-agent` listens on each reader's computer, such as `http://127.0.0.1:7465`. Empty:
    reports are not signed with certificates (docs/how-to/documents.md)."""
    signature_time_stamps: str = Field(default="", pattern=r"^$|^https?://\S+$")
    """The server of time stamps (RFC 3161) of the certificates' provider; it gets a digest, and no report.
    Empty: signatures without a time stamp."""
    signature_roots: Path | None = None
    """A file with the certificates (PEM) of the authorities that are trusted for signatures. None: every
    certificate is taken, and called untrusted."""
    signature_archive: bool = False
    """Whether signatures are of level B-LTA; it takes time stamps, roots, and the provider's lists of revoked
    certificates over the network."""
    report_language: Language = Language.TR
    """Language of draft reports: `tr` or `en`, whatever the language of messages."""
    report_marked: Marked = Marked.KEPT
    """Sentences of a language model that the grounding check objects to: `kept`, marked for a person to
    decide, or `removed`."""
    llm_url: str = ""
    """A language model that drafts reports: an OpenAI-style server's address up to `/v1`, or `gemini`. Empty:
    the built-in composer writes them."""
    llm_model: str = ""
    """The model that the server is asked for; empty takes the first that it lists."""
    llm_key: SecretStr | None = None
    """The key that the server wants."""
    llm_outside: bool = False
    """Whether a language model outside the hospital may be asked. It gets de-identified text over https, and
    nothing leaves the machine while this is off."""
    llm_images: ImageSharing = ImageSharing.NEVER
    """Which language models get the image beside the facts, for one that reads images: `never`, `inside` (a
    server of the hospital), or `outside` (any OpenAI-style server that may be asked). Text in the picture is
    blackened first, as far as it is seen."""
    llm_seconds: float = Field(default=30, gt=0, le=600)
    """Seconds after which the composer's draft is taken instead of a language model's."""
    llm_max_tokens: int = Field(default=2000, ge=100)
    """Most tokens of a language model's answer."""
    llm_price_in: float = Field(default=0, ge=0)
    """Price of a million tokens of a prompt, for the count of costs."""
    llm_price_out: float = Field(default=0, ge=0)
    """Price of a million tokens of an answer, for the count of costs."""
    dictation_url: str = ""
    """A speech recogniser in the hospital, for dictation: an OpenAI-style server's address up to `/v1`, such
    as `http://localhost:9000/v1` (faster-whisper-server). Empty: none."""
    dictation_model: str = "whisper-1"
    """The model that the recogniser is asked for."""
    dictation_key: SecretStr | None = None
    """The key that the recogniser wants."""
    dictation_browser: bool = False
    """Whether a browser that recognises speech on its own machine may be dictated to. One that would send the
    sound elsewhere is refused."""
    spelling_dictionary: Path = Path("/usr/share/hunspell/tr_TR.dic")
    """The Turkish dictionary (hunspell) by which reports are checked; Debian's package hunspell-tr puts it
    there. Without it the browser alone checks."""
    critical_contacts: Path | None = None
    """Who is told of critical results (TOML): docs/how-to/critical-results.md. None: radiologists call."""
    critical_minutes: str = "red=15, orange=60, yellow=1440"
    """Minutes that a contact has to acknowledge a critical result before the next one is told, by level."""
    sms_url: str = ""
    """The hospital's SMS gateway: it gets a POST with the form fields `to` and `text`."""
    sms_key: SecretStr | None = None
    """The key that the SMS gateway wants, as a bearer token."""
    pager_url: str = ""
    """The gateway of the pagers, asked as that of SMS."""
    pager_key: SecretStr | None = None
    """The key that the gateway of the pagers wants."""
    smtp_host: str = ""
    """The hospital's mail server, for messages that a critical result waits."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    """The port of the mail server."""
    smtp_security: SmtpSecurity = SmtpSecurity.STARTTLS
    """How the mail server is spoken to: `starttls`, `tls`, or `none` for one on this machine."""
    smtp_from: str = ""
    """The address that messages come from."""
    smtp_user: str = ""
    """The account at the mail server, if it wants one."""
    smtp_password: SecretStr | None = None
    """The password of that account."""
    passages_dir: Path = Field(default_factory=lambda: user_data_path("tetkik") / "passages")
    """Where a hospital's own documents are kept for reports to cite. Default: `passages` in the user's data
    folder."""
    passages_embedding: str | None = None
    """A sentence-embedding model (a hub id or a path) that searches passages beside BM25. None: BM25
    alone."""
    data_dir: Path = Field(default_factory=lambda: user_data_path("tetkik") / "house")
    """Where `tetkik serve` keeps images, and by default its database and master key. Default: `house` in the
    user's data folder."""
    object_storage: str = Field(
        default="", pattern=r"^$|^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?$"
    )
    """A bucket for the sealed files instead of the folder `files` in `data_dir`, such as
    `s3://tetkik/hospital` (docs/how-to/object-storage.md). Empty: the folder."""
    object_storage_endpoint: str = Field(
        default="",
        pattern=r"^$|^https://[\w.-]+(:\d{1,5})?/?$|^http://(127\.0\.0\.1|localhost)(:\d{1,5})?/?$",
    )
    """Where the object storage listens, such as `https://s3.hastane.local`; buckets are named in the path.
    Without TLS on this machine alone."""
    object_storage_region: str = Field(default="us-east-1", pattern=r"^[\w-]{1,60}$")
    """The region that requests are signed for; most storages of a hospital take any."""
    object_storage_key: SecretStr | None = None
    """The access key of the object storage."""
    object_storage_secret: SecretStr | None = None
    """The secret of that access key."""
    object_storage_ca: Path | None = None
    """The authority (PEM) that signed the certificate of the object storage. None: those that the system
    trusts."""
    database_url: SecretStr | None = None
    """The database, such as `postgresql+psycopg://tetkik@db/tetkik`. Default: SQLite in `data_dir`."""
    audit_anchors: Path | None = None
    """The file to which the end of the audit trail is added after each transaction, so that a cut end shows:
    best on another disk, or where files can only be added to. Default: `audit.anchors` in `data_dir`
    (docs/how-to/audit.md)."""
    master_key_file: Path | None = None
    """The key under which everything is sealed. Default: the systemd credential `tetkik-master-key` where the
    service has one, else `keys/master.key` in `data_dir`, made at the first start; keep a copy apart from
    the backups (docs/how-to/keys.md)."""
    master_key_command: str = ""
    """A command that prints the master key (64 hexadecimal digits), such as the client of a vault: run
    without a shell, at the start and where the key was replaced. Instead of a file."""
    secrets_dir: Path | None = None
    """A folder with secrets, one a file (`tetkik-llm-key`, `tetkik-database-url`,
    `tetkik-oidc-client-secret`), read where neither the environment nor the settings file gives the
    setting itself. The credentials of a systemd service are read without it (docs/how-to/keys.md)."""
    cipher: Cipher = Cipher.AES_256_GCM
    """What seals from now on: `aes-256-gcm`, or `chacha20-poly1305` for processors without instructions for
    AES. What the other sealed is opened all the same."""
    encounter_access: bool = False
    """Let clinicians open a patient's cases while an encounter of the patient is open, as the hospital's
    system tells it by HL7 (ADT), and after that with a reason alone; off where no encounters come."""
    retention_years: int = Field(default=20, ge=0, le=100)
    """Years for which signed reports of a patient who asked for erasure are kept, from the last signature;
    set what the law demands of your hospital (docs/how-to/privacy.md). 0 keeps none."""
    retention_closed_days: int = Field(default=0, ge=0)
    """Days after which closed cases without a signed report are emptied, and patients who have no case any
    more erased; 0 keeps them."""
    lock_minutes: int = Field(default=10, ge=1, le=240)
    """Minutes without a hand on the keyboard after which the screen locks."""
    metrics_public: bool = False
    """Whether `/metrics` answers programs on this very machine without a token. Leave it off behind a proxy
    on the same machine."""
    worker: bool = True
    """Whether `tetkik serve` itself runs the models that images wait for; off where `tetkik worker` does it,
    on this machine or others (docs/how-to/workers.md)."""
    worker_images: int | None = Field(default=None, ge=1, le=64)
    """Images that a `tetkik worker` has in hand at once, and so the most that go through a model together.
    None: as many as the processor cores that it may use."""
    listen_host: str = "127.0.0.1"
    """Where `tetkik serve` listens. Another address than this machine's own needs TLS or a trusted proxy."""
    listen_port: int = Field(default=8000, ge=0, le=65535)
    """The port of `tetkik serve`."""
    public_url: str = ""
    """Where browsers reach the hospital, such as `https://tetkik.hastane.local`. Requests for another host
    are refused, and passkeys belong to this one. Empty: where it listens."""
    tls_cert: Path | None = None
    """The certificate chain (PEM) under which `tetkik serve` speaks TLS."""
    tls_key: Path | None = None
    """The private key (PEM) of `tls_cert`."""
    trusted_proxies: str = ""
    """Addresses or networks of the proxy before the hospital, with commas, such as `127.0.0.1, 10.1.0.0/16`.
    What it says of the browser's address and of TLS is believed, nobody else's word is."""
    allow_plain_http: bool = False
    """Whether to listen for other machines without TLS and without a trusted proxy. Passwords then cross the
    network in clear text: for trials alone."""
    allow_root: bool = False
    """Whether `tetkik serve` runs as root: for containers that have no other account."""
    session_hours: int = Field(default=12, ge=1, le=24)
    """Hours after which a person has to sign in again in any case."""
    session_idle_minutes: int = Field(default=30, ge=5, le=720)
    """Minutes without a request after which a session is over."""
    requests_per_minute: int = Field(default=1200, ge=10)
    """Most requests a minute of one person, program, or address that is not signed in."""
    sign_ins_per_minute: int = Field(default=30, ge=1)
    """Most attempts to sign in a minute from one address, or from one browser that was used here before; such
    browsers of one address have ten times as many together."""
    max_connections: int = Field(default=2500, ge=20, le=100_000)
    """Most connections at once; more close those that wait longest for a request."""
    max_connections_per_address: int = Field(default=200, ge=10)
    """Most connections at once of one address, or of one /64 of IPv6; a trusted proxy may have all."""
    max_upload_bytes: int = Field(default=1_100_000_000, ge=1_000_000)
    """A request with files of more bytes than this is refused; every other request has 1 MB."""
    max_archive_bytes: int = Field(default=5_000_000_000, ge=1_000_000)
    """A zip whose images unpack to more bytes than this altogether is refused."""
    upload_files_per_day: int = Field(default=10_000, ge=1)
    """Most images that one person may upload in 24 hours."""
    upload_bytes_per_day: int = Field(default=100_000_000_000, ge=1_000_000)
    """Most bytes of images that one person may upload in 24 hours."""
    upload_scanner: str = Field(default="", pattern=r"^$|^unix:/.+$|^[^/\s]+:\d{1,5}$")
    """The malware scanner (clamd) that looks at every file before it is kept, such as
    `unix:/run/clamav/clamd.ctl` or `127.0.0.1:3310`. What it finds something in, or does not answer about,
    is refused. Empty: none."""
    oidc_issuer: str = ""
    """The hospital's identity provider (OpenID Connect), such as
    `https://login.hastane.local/realms/hastane`. Empty: no single sign-on."""
    oidc_client_id: str = ""
    """What the identity provider calls Tetkik."""
    oidc_client_secret: SecretStr | None = None
    """The secret that the identity provider gave Tetkik, if it gave one."""
    oidc_role_claim: str = "groups"
    """The claim of the ID token that names a person's groups."""
    oidc_roles: str = ""
    """Which group has which role, such as `radyoloji=radiologist, kalite=auditor`. Who is in none of them
    cannot sign in."""
    oidc_department_claim: str = "groups"
    """The claim of the ID token that says a clinician's departments, for `oidc_departments`."""
    oidc_departments: str = ""
    """Which value of that claim opens which department, such as `noroloji=Nöroloji, bashekimlik=*` (`*` is
    every one). Empty: the administrator says it, and a newcomer has none."""
    oidc_scopes: str = "openid profile email"
    """What the identity provider is asked for; add the scope of groups where it has one."""
    oidc_name: str = ""
    """What the button of single sign-on calls the identity provider."""
    ldap_url: str = Field(default="", pattern=r"^$|^ldaps?://[^\s/]+$")
    """The hospital's directory (LDAP, Active Directory), such as `ldaps://dc.hastane.local`. With `ldap://`
    the connection begins TLS by itself before any password crosses it. Empty: none."""
    ldap_base: str = ""
    """Below which name people and groups stand in the directory, such as `DC=hastane,DC=local`."""
    ldap_user_filter: str = "(sAMAccountName={login})"
    """By which filter a person is found; `(uid={login})` in most directories but Active Directory."""
    ldap_group_filter: str = "(|(member={dn})(uniqueMember={dn}))"
    """By which filter a person's groups are found; `(member:1.2.840.113556.1.4.1941:={dn})` counts groups
    within groups in Active Directory."""
    ldap_group_base: str = ""
    """Below which name groups count: whoever makes some there gives a role. Empty is `ldap_base`."""
    ldap_bind_dn: str = ""
    """The account by which people are looked for; empty where everybody may look."""
    ldap_bind_password: SecretStr | None = None
    """The password of that account."""
    ldap_roles: str = ""
    """Which group (`cn`) has which role, such as `radyoloji=radiologist`; who is in none cannot sign in."""
    ldap_departments: str = ""
    """Which group opens which department, as in `oidc_departments`. Empty: the administrator says it."""
    ldap_ca: Path | None = None
    """The authority (PEM) that signed the directory's certificate. None: those that the system trusts."""
    passkey_roles: str = ""
    """Roles that need a passkey or single sign-on, such as `administrator, radiologist`: a password alone
    only lets them add a passkey. Recommended for administrators."""
    integrations: Path | None = None
    """The hospital's systems that studies and orders come from and results go to (TOML):
    docs/how-to/integrations.md. None: no other system is spoken to."""
    phone_fingerprint: str = Field(default="", pattern=r"^$|^[0-9A-F]{2}(:[0-9A-F]{2}){31}$")
    """The certificate (SHA-256) of the Android package that `tetkik phone` made: with it and `public_url` the
    package shows the reading room without a browser's bar. Empty: with one."""
    phone_signing: bool = False
    """Whether a report may be signed on the display of a phone, which is no diagnostic display. The audit
    trail says of each such signature that it was."""
    phone_queue_hours: int = Field(default=12, ge=1, le=23)
    """Hours for which a complaint or photo that was taken without a network waits on the phone, sealed;
    what could not be sent by then is deleted there."""
    offline: bool = True
    """No model is looked for on a hub. Off: a Hugging Face id may be downloaded."""
    max_text_chars: int = Field(default=20_000, ge=100)
    """A complaint longer than this is not read: it is answered with the reason."""
    max_image_pixels: int = Field(default=100_000_000, ge=1_000, le=178_000_000)
    """An image of more pixels than this is not read, nor is a file that says it has them."""
    max_image_bytes: int = Field(default=1_000_000_000, ge=1_000)
    """An image file of more bytes than this, packed or unpacked, is not read."""
    device: Device = Device.AUTO
    """On what networks of findings and of triage run: `cpu`, `cuda` (an NVIDIA GPU, by torch or by the
    package onnxruntime-gpu), or `auto`, which takes such a GPU where there is one. Networks in int8 are for
    the processor."""
    threads: int = Field(default=2, ge=1, le=256)
    """Threads for one model run on ONNX Runtime."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, config_file())
        return (init_settings, env_settings, file, SecretFiles(settings_cls))


def validation_fault(error: ErrorDetails) -> Sentence | str:
    """What pydantic says of a value, in both languages; an unknown kind of fault in English."""
    given = error.get("ctx", {})
    match error["type"]:
        case "int_parsing" | "int_type" | "int_from_float":
            return Sentence("a whole number is needed")
        case "float_parsing" | "float_type":
            return Sentence("a number is needed")
        case "bool_parsing" | "bool_type":
            return Sentence("true or false is needed")
        case "extra_forbidden":
            return Sentence("there is no such setting")
        case "greater_than_equal":
            return Sentence("the least is {least}", {"least": given["ge"]})
        case "less_than_equal":
            return Sentence("the most is {most}", {"most": given["le"]})
        case "time_zone":
            return Sentence("a time zone is needed, such as Europe/Istanbul")
        case "enum" | "literal_error":
            return Sentence("choose from {names}", {"names": given["expected"].replace(" or ", ", ")})
        case _:
            return error["msg"]


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
            fault=validation_fault(first),
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
