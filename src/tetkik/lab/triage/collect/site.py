"""What a site looks like: a small description in TOML, checked before anything is fetched."""

from __future__ import annotations

import ipaddress
import re
import tomllib
import unicodedata
from importlib import resources
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tetkik.errors import InputError, MissingExtra, UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_POLITE_DELAY = 1.0
"""Seconds between two requests to a site that is not one's own."""


def _selector(css: str) -> str:
    from cssselect import SelectorError
    from parsel.csstranslator import HTMLTranslator

    try:
        HTMLTranslator().css_to_xpath(css)
    except SelectorError:
        raise ValueError(f"{css!r} is not a CSS selector") from None
    return css


Css = Annotated[str, Field(min_length=1), AfterValidator(_selector)]
"""A CSS selector; `::attr(name)` and `::text` may end it."""


class _Strict(BaseModel):
    """Frozen, and a key that is not known is refused: a typing error must be seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Questions(_Strict):
    """Where the questions stand."""

    item: Css
    link: Css | None = None  # selects, inside an item, the address of the question's own page
    follow: bool = False  # whether the text is read on the question's own page instead of on the list page
    # selects the text, inside the item or (with `follow`) on the question's own page, where the first match
    # counts; without it the whole item is the text
    text: Css | None = None

    @model_validator(mode="after")
    def _what_to_follow(self) -> Questions:
        if self.follow and (self.link is None or self.text is None):
            raise ValueError("`follow` needs `link` and `text`")
        return self


class Pace(_Strict):
    """How gently the site is asked; slower where it is slow or its robots.txt asks."""

    delay: float = Field(default=2.0, ge=0, le=600)  # least seconds between two requests
    timeout: float = Field(default=30.0, gt=0, le=600)
    retries: int = Field(default=3, ge=0, le=10)
    retry_wait: float = Field(default=5.0, ge=0, le=600)
    max_bytes: int = Field(default=4_194_304, ge=1024)
    give_up_after: int = Field(default=20, ge=1)


class Site(_Strict):
    """A question-and-answer site whose sections are departments."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    base_url: str
    list_url: str  # path and query of a list page, with `{section}` and `{page}`
    first_page: int = Field(default=1, ge=0)
    max_pages: int = Field(default=5000, ge=1)
    # selects the link to the next page; without it pages are counted up to an empty one
    next_page: Css | None = None
    questions: Questions
    pace: Pace = Pace()
    # the name of a section in the address, and the label of its questions
    sections: dict[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Site:
        try:
            parts = urlsplit(self.base_url)
            sound = parts.scheme in _DEFAULT_PORTS and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("`base_url` must be http:// or https:// and a host, and nothing more")
        if not self.list_url.startswith("/") or self.list_url.startswith("//"):
            raise ValueError("`list_url` must begin with one slash")
        if "{section}" not in self.list_url or (self.next_page is None and "{page}" not in self.list_url):
            raise ValueError("`list_url` must hold {section}, and {page} unless `next_page` is given")
        for section, label in self.sections.items():
            if not section or re.search(r"[\s?#]", section):
                raise ValueError(f"the section {section!r} cannot stand in an address")
            if not label.strip() or label != unicodedata.normalize("NFC", label.strip()):
                raise ValueError(f"the label of {section} is empty, or has spaces around it")
        if self.pace.delay < _POLITE_DELAY and not self.private:
            raise ValueError(f"`pace.delay` must be {_POLITE_DELAY:g} s or more on a public site")
        return self

    @property
    def private(self) -> bool:
        """Whether the host is this machine or an address of a private network."""
        host = urlsplit(self.base_url).hostname or ""
        return host == "localhost" or is_private_address(host)

    def page_url(self, section: str, number: int) -> str:
        """The address of a list page."""
        path = self.list_url.replace("{section}", quote(section)).replace("{page}", str(number))
        return self.base_url.rstrip("/") + path

    def allows(self, url: str) -> bool:
        """Whether `url` is on this site: its host and port, and never from https down to http."""
        home = urlsplit(self.base_url)
        try:
            there = urlsplit(url)
            port = there.port or _DEFAULT_PORTS.get(there.scheme)
        except ValueError:
            return False
        if there.scheme not in _DEFAULT_PORTS or there.hostname != home.hostname:
            return False
        if there.scheme == home.scheme:
            return port == (home.port or _DEFAULT_PORTS[home.scheme])
        return home.scheme == "http" and home.port in (None, 80) and port == _DEFAULT_PORTS["https"]


def is_private_address(host: str) -> bool:
    """Whether `host` is an IP address outside the public network; False for a name."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def built_in_sites() -> tuple[str, ...]:
    """The ids of the descriptions that ship with Tetkik."""
    files = resources.files(__package__).joinpath("sites").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_site(name: str, *, base_url: str | None = None) -> Site:
    """The description of a site; `base_url`, such as a mirror, is asked instead of the description's own
    host.

    Raises:
        UsageError: no such site.
        InputError: a description that cannot be used, with the first fault.
        MissingExtra: the packages that read pages are not installed.
    """
    if name in built_in_sites():
        content = resources.files(__package__).joinpath("sites", f"{name}.toml").read_bytes()
    elif Path(name).is_file():
        content = Path(name).read_bytes()
    else:
        raise UsageError(
            "There is no site {site}; name a built-in one ({names}) or the path of a site description.",
            site=name,
            names=", ".join(built_in_sites()),
        )
    try:
        table = tomllib.loads(content.decode("utf-8"))
        if base_url is not None:
            table["base_url"] = base_url
        return Site.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        fault = f"{where}: {message}" if where else message
    except ImportError:
        raise MissingExtra(
            "Collecting needs Scrapy, which is not installed; `{extra}`.", extra="data"
        ) from None
    except ValueError as error:
        fault = str(error)
    raise InputError(
        "The site description {site} cannot be used ({fault}); correct it and run the command again.",
        site=name,
        fault=fault,
    ) from None
