"""`tetkik serve`: the reading room on this machine's network."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from platformdirs import user_data_path

from tetkik.cli.console import note, out, print_line, warn
from tetkik.cli.options import option
from tetkik.errors import MissingExtra, SettingError, UsageError
from tetkik.imaging.subprocess_worker import hide_process
from tetkik.settings import Settings, cores, settings

if TYPE_CHECKING:
    from tetkik.records.database import Records

_DRAIN_SECONDS = 20
_OTHER_FILES = 512
"""Files and connections that are open beside those of browsers: of the database, of uploads, being closed."""


def serve(
    host: Annotated[str | None, option("Where to listen; else the setting listen_host.")] = None,
    port: Annotated[int | None, option("The port; else the setting listen_port.", min=0, max=65535)] = None,
    work: Annotated[bool, option("Whether this process also runs models, and sends what is due.")] = True,
    allow_root: Annotated[bool, option("Run as root, in a container that has no other account.")] = False,
    demo: Annotated[
        bool, option("A demonstration with invented patients, in a database of its own, without passwords.")
    ] = False,
    folder: Annotated[
        Path | None, option("The folder of the demonstration; else `demo` in the user's data folder.")
    ] = None,
    reset: Annotated[bool, option("Empty the demonstration and fill it anew.")] = False,
) -> None:
    """Serve until it is stopped."""
    need_extra()
    hide_process()
    refuse_root(allowed=allow_root or settings().allow_root)
    if not demo and (reset or folder is not None):
        raise UsageError("--reset and --folder are of a demonstration; add --demo.")
    if demo and not work:
        raise UsageError("A demonstration runs the models itself; leave --no-work out.")
    chosen = settings()
    place = (folder or user_data_path("tetkik") / "demo").absolute()
    if demo:
        from tetkik.service.demonstration import demonstration_settings

        chosen = demonstration_settings(chosen, place, host)
    chosen = settings_to_serve(chosen, host, port)
    import uvicorn

    from tetkik.records.database import open_demonstration, open_records
    from tetkik.service.app import create_app
    from tetkik.service.demonstration import STAFF, add_people, prepare_folder
    from tetkik.service.kit.access.connections import BoundedServer, ConnectionLimits, networks
    from tetkik.service.kit.context import AppContext
    from tetkik.service.kit.logging import configure

    allow_open_files(chosen.max_connections + _OTHER_FILES)
    with ExitStack() as held:
        listening = held.enter_context(listen(chosen.listen_host, chosen.listen_port))
        if chosen.listen_port == 0:
            chosen = settings_to_serve(chosen, host, listening.getsockname()[1])
        configure()
        use_time_zone(chosen.hospital_time_zone)
        if demo:
            prepare_folder(place, settings().data_dir, reset=reset)
        records = open_demonstration(chosen) if demo else open_records(chosen)
        held.callback(records.close)
        if demo:
            add_people(records)
            greet_visitor(chosen, place)
        else:
            greet(records, chosen)
        context = AppContext(records, chosen, is_secure(chosen), STAFF if demo else None)
        config = uvicorn.Config(
            create_app(context, work=work),
            ssl_certfile=chosen.tls_cert,
            ssl_keyfile=chosen.tls_key,
            log_config=None,
            access_log=False,
            loop="asyncio",  # whose servers ask the listening socket for each connection
            ws="none",
            proxy_headers=False,  # the application's own, which believes trusted proxies alone
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        with suppress(KeyboardInterrupt):  # raised again once everything is finished
            limits = ConnectionLimits.of(chosen, networks(chosen.trusted_proxies))
            # What is loaded stays: a full garbage collection would walk it for a third of a second.
            gc.collect()
            gc.freeze()
            BoundedServer(config, limits).run(sockets=[listening])


def use_time_zone(name: str) -> None:
    """Let this process and those that it starts tell the hospital's time, whatever the machine's is."""
    os.environ["TZ"] = name
    if hasattr(time, "tzset"):  # not on Windows
        time.tzset()


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, before anything else is begun; a port that is taken is an error."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # `localhost` has two addresses, and browsers try both.
        family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listening = socket.socket(family, kind, protocol)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if os.name == "posix":  # elsewhere it would take a port that another program listens at
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen()  # whoever comes before everything is loaded waits
        except OSError:
            listening.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                "Port {port} is taken by another program, maybe by another tetkik serve; stop that one, or "
                "choose a free port with --port.",
                port=port,
            ) from None
        raise SettingError(
            "Nothing can listen at {host}, port {port} ({fault}); correct --host and --port.",
            host=host,
            port=port,
            fault=error.strerror or error,
        ) from None
    return listening


def allow_open_files(files: int) -> None:
    """Raise this process's limit of open files to what it needs, as far as the system allows."""
    if os.name != "posix":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise SettingError(
            "The system lets this process open {hard} files, and max_connections needs {files}; raise "
            "LimitNOFILE of the service, or lower max_connections.",
            hard=hard,
            files=files,
        )
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))


def need_extra() -> None:
    """Say what to install where the packages of the reading room are missing; loads none of them."""
    for package in ("argon2", "fastapi", "sqlalchemy", "uvicorn", "webauthn"):
        if find_spec(package) is None:
            raise MissingExtra(
                "The reading room needs the package {package}; `{extra}`.",
                extra="service",
                package=package,
            )


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


def greet_visitor(chosen: Settings, folder: Path) -> None:
    """Say where the demonstration is, and what it is."""
    print_line(
        "The demonstration is at {url}",
        url=chosen.public_url or f"http://{chosen.listen_host}:{chosen.listen_port}",
    )
    note("All patients are invented; whoever opens the page becomes any of the people with one click.")
    note("It is kept in {folder}; --reset fills it anew, Ctrl-C ends it.", folder=folder)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


# `tetkik worker`: reads the images that wait for a model, on as many machines as there are.


_LOOK_SECONDS = 0.5
_ALIVE_SECONDS = 30.0
_M_ARENA_MAX = -8
"""Of `mallopt` in glibc: how many heaps the threads of a process have."""


def worker(
    images: Annotated[
        int | None, option("Images in hand at once; else the setting worker_images.", min=1, max=64)
    ] = None,
    health_file: Annotated[
        Path | None, option("A file that is touched while the worker is sound.", metavar="FILE")
    ] = None,
    check: Annotated[bool, option("Say by the exit status whether that worker is sound.")] = False,
    allow_root: Annotated[bool, option("Run as root, in a container that has no other account.")] = False,
) -> None:
    """Read images until it is stopped; what is under way then is finished, or given back after 20 seconds."""
    if check:
        if health_file is None:
            raise UsageError("--check looks at a file; name it: --health-file FILE --check.")
        if not health_file.exists() or time.time() - health_file.stat().st_mtime > _ALIVE_SECONDS:
            raise typer.Exit(1)
        return
    need_extra()
    hide_process()
    refuse_root(allowed=allow_root or settings().allow_root)
    _share_heap()
    from tetkik.fleet.worker import STUCK_SECONDS, Worker
    from tetkik.records.database import open_records
    from tetkik.service.kit.logging import configure
    from tetkik.workflow.pixel_reader import PixelReader

    chosen = settings()
    if not is_shared(chosen.database_url.get_secret_value() if chosen.database_url else ""):
        raise SettingError(
            "Images in SQLite are read by tetkik serve itself; for workers, move to PostgreSQL and set "
            "database_url (docs/how-to/workers.md)."
        )
    configure()
    use_time_zone(chosen.hospital_time_zone)
    most = images or chosen.worker_images or cores()
    records = open_records(chosen)
    pixels = PixelReader(records, most)
    running = Worker(records, chosen, pixels, most=most, ready=True)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.append(number))
    running.start()
    print_line("Reading images, {count} at once.", count=most)
    while not signals and running.is_alive and running.longest_seconds < STUCK_SECONDS:
        if health_file is not None:
            health_file.touch()
        time.sleep(_LOOK_SECONDS)
    stuck = running.longest_seconds >= STUCK_SECONDS
    running.stop()
    if stuck:
        os._exit(1)  # its threads would keep it
    pixels.close()
    records.close()
    if not signals:
        raise typer.Exit(1)


def _share_heap() -> None:
    """Let all threads use one heap: of a heap for each, the pages go back and come again with every image."""
    # Only glibc has it.
    if os.name == "posix" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, 1)


def is_shared(url: str) -> bool:
    """Whether the database of an address serves several processes."""
    return url.startswith("postgresql")
