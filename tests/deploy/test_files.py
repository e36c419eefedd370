"""The files of deploy/: hardened, of one piece with each other and with what this version has."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.programs import program
from tests.test_documentation import COMMANDS
from tetkik.integrations.systems import load_configuration
from tetkik.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "TETKIK_IMAGE" in one["image"]}
NGINX = (DEPLOY / "nginx.conf").read_text("utf-8")
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def assert_command(arguments):
    """These arguments are a command of `tetkik` with options that it has."""
    command = COMMANDS[f"tetkik {arguments[0]}"]
    options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    assert {one for one in arguments[1:] if one.startswith("-")} <= options, arguments


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_beyond_its_work(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service and service["restart"] == "unless-stopped"
    assert {"privileged", "network_mode", "pid", "ipc", "cap_add", "devices"}.isdisjoint(service)
    assert name in OURS or re.search(r":v?\d", service["image"]), "a version, not the latest"
    assert "healthcheck" in service or ("HEALTHCHECK" in CONTAINERFILE and name in OURS)
    written = [volume.split(":") for volume in service.get("volumes", ())]
    assert all(place[0] in COMPOSE["volumes"] or place[-1] == "ro" for place in written)
    assert all((DEPLOY / place[0]).exists() for place in written if place[0].startswith("."))


def test_only_what_others_call_has_a_port_of_the_machine():
    assert {name for name, one in SERVICES.items() if "ports" in one} == {"proxy", "listen"}
    systems = load_configuration(DEPLOY / "systems.toml")
    assert systems.listen is not None and systems.hl7 is not None
    taken = [f"{one.port}:{one.port}" for one in (systems.listen, systems.hl7)]
    assert SERVICES["listen"]["ports"] == taken


def test_networks_keep_apart_what_need_not_meet():
    ways = {name: set(one["networks"]) for name, one in SERVICES.items()}
    closed = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    for name in ("postgresql", "worker-1", "worker-2", "prometheus", "grafana"):
        assert ways[name] <= closed, f"{name} has no way out"
    for name in ("serve-1", "serve-2"):  # else the proxy's own address might be one that is not trusted
        assert ways["proxy"] & ways[name] == {"front"}
    (subnet,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert {one["environment"]["TETKIK_TRUSTED_PROXIES"] for one in OURS.values()} == {subnet["subnet"]}
    assert {name for name in ways if "front" in ways[name]} == {"proxy", "serve-1", "serve-2"}


def test_secrets_are_files_alone():
    named = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    assert named == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for name in service.get("environment", {}):
            assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY|DATABASE_URL", name) or name.endswith("_FILE")


def test_our_containers_run_commands_and_settings_that_there_are():
    commands = sorted(one["command"][0] for one in OURS.values())
    assert commands == ["listen", "serve", "serve", "worker", "worker"]
    for one in OURS.values():
        assert_command(one["command"])
        names = {name for name in one["environment"] if name.startswith("TETKIK_")}
        assert {name.removeprefix("TETKIK_").lower() for name in names} <= set(Settings.model_fields)


def test_the_proxy_names_services_that_there_are():
    hosts = set(re.findall(r"(?:server |http://)([\w-]+):\d+", NGINX))
    assert hosts == {"serve-1", "serve-2", "grafana"}
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    (targets,) = scraped[0]["static_configs"]
    assert {f"proxy:{port}" for port in re.findall(r"listen (9\d+);", NGINX)} == set(targets["targets"])
    assert scraped[0]["job_name"] == "tetkik", "the alerts ask for it"


@pytest.mark.program("nginx")
def test_nginx_takes_its_file(tmp_path):
    make = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    files = ["-keyout", str(tmp_path / "tls-key"), "-out", str(tmp_path / "tls-cert")]
    subprocess.run([program("openssl"), *make, *files], capture_output=True, check=True)
    here = re.sub(r"(serve-\d|grafana):", "127.0.0.1:", NGINX).replace("/run/secrets", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(here.replace("/tmp/", f"{tmp_path}/", 1), "utf-8")
    command = [program("nginx"), "-t", "-q", "-c", str(tmp_path / "nginx.conf")]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr


@pytest.mark.program("promtool")
def test_prometheus_takes_its_files(tmp_path):
    alerts = ROOT / "docs" / "alerts.yml"
    for command in (["rules", str(alerts)], ["config", "--syntax-only", str(DEPLOY / "prometheus.yml")]):
        tried = subprocess.run(
            [program("promtool"), "check", *command], capture_output=True, text=True, check=False
        )
        assert tried.returncode == 0 and "FAILED" not in tried.stderr, tried.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_that_there_is_with_few_rights(unit):
    lines = unit.read_text("utf-8").splitlines()
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    path, *arguments = start.removeprefix("ExecStart=").split()
    assert path == "/opt/tetkik/current/bin/tetkik", "where deploy/install.py puts it"
    assert_command(arguments)
    assert {"NoNewPrivileges=true", "ProtectSystem=strict", "UMask=0077", "User=tetkik"} <= set(lines)


@pytest.mark.program("systemd-analyze")
def test_systemd_takes_the_units(tmp_path):
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/opt/tetkik/current/bin/tetkik", sys.executable)
        (tmp_path / unit.name).write_text(text, "utf-8")
    command = [program("systemd-analyze"), "verify", "--man=no", *sorted(tmp_path.iterdir())]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    assert tried.returncode == 0 and not tried.stderr, tried.stderr


def test_the_image_runs_as_nobody_in_particular_and_installs_by_hashes():
    users = re.findall(r"^USER (\S+)$", CONTAINERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
    installs = re.findall(r"install --no-cache-dir(.*)", CONTAINERFILE.replace("\\\n", ""))
    assert installs and all("--no-index" in one and "--require-hashes" in one for one in installs)
    assert "/api/v1/ready" in CONTAINERFILE


def test_every_package_of_an_installation_is_pinned_to_a_version_that_does():
    lines = (DEPLOY / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = {canonicalize_name(name): one for name, one in pinned.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    waiting = [
        Requirement(one) for one in (*project["dependencies"], *extras["postgres"], *extras["service"])
    ]
    waiting += [Requirement(one) for one in extras["integrations"] if not one.startswith("tetkik")]
    needed: set[tuple[str, str]] = set()
    # A newer version than the pinned one may need newer ones, too.
    of_newer: list[Requirement] = []
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if not any(wanted is one for one in of_newer):
            assert wanted.specifier.contains(pins[name]), f"{wanted} is pinned to {pins[name]}"
        for extra in ("", *wanted.extras):
            if (name, extra) in needed:
                continue
            needed.add((name, extra))
            try:
                installed = version(name)
            except PackageNotFoundError:
                continue
            more = [Requirement(one) for one in requires(name) or ()]
            more = [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]
            waiting += more
            of_newer += more if Version(installed) > Version(pins[name]) else []
    assert {name for name, _ in needed} | {"pip"} == set(pins), "no more, no less"
