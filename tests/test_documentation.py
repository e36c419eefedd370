"""Generated pages are those that the code would write, and name everything there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import tetkik
from tests.test_errors import CLASSES
from tetkik.bundle import Manifest, Metric, Task
from tetkik.cli.app import app
from tetkik.settings import Settings

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "tetkik"
WAYS = tomllib.loads((ROOT / "docs" / "ways.toml").read_text("utf-8"))


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(app), "tetkik"))


def test_the_pages_are_up_to_date_whatever_the_language():
    """They are in English; whoever writes them may have another language and other settings."""
    result = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        env={**os.environ, "TETKIK_LANGUAGE": "tr", "LANG": "tr_TR.UTF-8", "TETKIK_THREADS": "9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    assert f"\n## {name}\n" in page("cli.md")
    section = page("cli.md").split(f"\n## {name}\n")[1].split("\n## ")[0]
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if option.startswith("--") and option != "--help":
                assert f"`{option}`" in section, option
        assert parameter.help, f"{name}: {parameter.name} says nothing of itself"


def test_every_setting_is_documented():
    for name in Settings.model_fields:
        assert f"| `{name}` | `TETKIK_{name.upper()}` |" in page("settings.md")


def test_every_key_of_a_bundle_is_documented():
    for model in (Manifest, Metric):
        for name, field in model.model_fields.items():
            assert f"| `{name}` |" in page("bundle.md")
            assert field.description, name
    assert all(f"`{task.value}`" in page("bundle.md") for task in Task)


def test_every_error_is_documented():
    for name in CLASSES:
        assert f"| `{name}` |" in page("errors.md")


@pytest.mark.parametrize("way", WAYS)
def test_every_step_through_the_code_names_a_module_that_exists(way):
    for step in WAYS[way]:
        named = step["module"] if isinstance(step["module"], list) else [step["module"]]
        assert any((SOURCE / path).is_file() for path in named), step


def test_paths_named_on_the_architecture_page_exist():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for path in re.findall(r"`((?:src|docs|tests|benchmarks)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


def test_no_import_runs_upwards_in_the_drawing():
    assert 'class="dot up"' not in (ROOT / "docs" / "assets" / "architecture.svg").read_text("utf-8")


def test_every_public_name_is_documented():
    reference = (ROOT / "docs" / "python-api.md").read_text("utf-8").partition("## Reference")[2]
    for name in tetkik.__all__:
        if name != "__version__":
            assert f"### tetkik.{name}\n" in reference
