"""`tetkik serve`: the reading room on this machine's network."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from tetkik.cli.console import note, out, print_line, warn
from tetkik.cli.options import option
from tetkik.errors import MissingExtra, SettingError, UsageError
from tetkik.settings import Settings, settings

if TYPE_CHECKING:
    from tetkik.records.database import Records

_DRAIN_SECONDS = 20


def serve(
    host: Annotated[str | None, option("Where to listen; else the setting listen_host.")] = None,
    port: Annotated[int | None, option("The port; else the setting listen_port.", min=0, max=65535)] = None,
    work: Annotated[bool, option("Whether this process runs the models, too.")] = True,
    allow_root: Annotated[bool, option("Run as root, in a container that has no other account.")] = False,
) -> None:
    """Serve until it is stopped."""
    need_extra()
    refuse_root(allowed=allow_root or settings().allow_root)
    chosen = settings_to_serve(settings(), host, port)
    import uvicorn

    from tetkik.records.connect import open_records
    from tetkik.service.app import create_app
    from tetkik.service.kit.context import AppContext
    from tetkik.service.kit.logging import configure

    configure()
    records = open_records(chosen)
    try:
        greet(records, chosen)
        app = create_app(AppContext(records, chosen, is_secure(chosen)), work=work)
        uvicorn.run(
            app,
            host=chosen.listen_host,
            port=chosen.listen_port,
            ssl_certfile=chosen.tls_cert,
            ssl_keyfile=chosen.tls_key,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the application's own, which believes trusted proxies alone
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    finally:
        records.close()


def need_extra() -> None:
    """Say what to install where the packages of the reading room are missing."""
    try:
        import argon2  # noqa: F401
        import fastapi  # noqa: F401
        import sqlalchemy  # noqa: F401
        import uvicorn  # noqa: F401
        import webauthn  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "The reading room needs the package {package}; `pip install 'tetkik[service]'`.",
            package=error.name,
        ) from None


def refuse_root(*, allowed: bool) -> None:
    """Refuse to serve with the rights of root, which nothing here needs (OWASP ASVS 4.0.3, 1.2.1)."""
    if not allowed and hasattr(os, "geteuid") and os.geteuid() == 0:
        raise UsageError(
            "tetkik serve does not run as root; start it as an account of its own, or in a container with "
            "--allow-root or the setting allow_root."
        )


def settings_to_serve(chosen: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the options of the command, and the address where browsers reach the hospital."""
    host, port = host or chosen.listen_host, chosen.listen_port if port is None else port
    if (chosen.tls_cert is None) != (chosen.tls_key is None):
        raise SettingError("TLS needs both tls_cert and tls_key; give the other one, too.")
    for file in (chosen.tls_cert, chosen.tls_key):
        if file is not None:
            file.open("rb").close()  # a fault names it
    safe = chosen.tls_cert is not None or chosen.trusted_proxies.strip() or chosen.allow_plain_http
    if not safe and not _is_loopback(host):
        raise SettingError(
            "Other machines would send passwords to {host} in clear text; give tls_cert and tls_key, name "
            "the proxy before it in trusted_proxies, or set allow_plain_http for a trial.",
            host=host,
        )
    url = chosen.public_url.rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path):
        raise SettingError(
            "The setting public_url is not the address of a hospital ({url}); write such as "
            "https://tetkik.hastane.local.",
            url=url,
        )
    scheme = "https" if chosen.tls_cert else "http"
    url = url or (f"{scheme}://localhost:{port}" if _is_loopback(host) else "")
    if chosen.passkey_roles and not chosen.oidc_issuer and not _has_passkeys(url):
        raise SettingError(
            "The setting passkey_roles would lock its roles out: browsers know passkeys only under https:// "
            "and a name; set public_url to such an address, or empty passkey_roles."
        )
    return chosen.model_copy(update={"listen_host": host, "listen_port": port, "public_url": url})


def _has_passkeys(url: str) -> bool:
    """Whether browsers make passkeys for an address: a secure one with a name (WebAuthn level 2, 5.1.3)."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost" or (bool(name) and parts.scheme == "https")
    return False


def is_secure(chosen: Settings) -> bool:
    """Whether browsers come over TLS, here or at the proxy."""
    return chosen.tls_cert is not None or chosen.public_url.startswith("https://")


def greet(records: Records, chosen: Settings) -> None:
    """Say where the hospital is, and how its first administrator gets in."""
    from tetkik.records.people import invites
    from tetkik.values import SYSTEM

    with records.write(SYSTEM) as tx:
        token = invites.invite_first_administrator(tx)
    host = f"[{chosen.listen_host}]" if ":" in chosen.listen_host else chosen.listen_host
    url = chosen.public_url or f"http://{host}:{chosen.listen_port}"
    print_line("Tetkik is at {url}", url=url)
    if chosen.allow_plain_http and not is_secure(chosen) and not _is_loopback(chosen.listen_host):
        warn("Passwords cross the network in clear text; this is for a trial alone.")
    if token is not None:
        out.print()
        print_line("Nobody administers this hospital yet. Open this link once, within 24 hours:")
        out.print(f"{url}/setup/{token}", style="bold", soft_wrap=True)
        note("Whoever opens it becomes the administrator; it is shown here and stored nowhere.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
