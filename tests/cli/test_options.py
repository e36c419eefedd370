"""Commands whose options an options class declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from tetkik.cli.options import option, parse_day, with_options
from tetkik.cli.translation import Root, translated
from tetkik.errors import UsageError


@dataclass(frozen=True)
class Inner:
    rank: Annotated[int, Field(ge=1, description="Rank of the adapter.")] = 16
    targets: Annotated[tuple[str, ...], Field(alias="target", description="The clean table (CSV).")] = ()


@dataclass(frozen=True)
class Outer:
    epochs: Annotated[int, Field(ge=1, le=9, description="Most passes over the data.")] = 3
    name: Annotated[str, Field(description="What the card calls the data.")] = "data"
    half: Annotated[bool, Field(description="Numbers to train in.")] = False
    keep: Annotated[bool, Field(description="Train a model.")] = True
    warm_up: float = 0.05
    inner: Inner = field(default_factory=Inner)


given: list[tuple[str | None, Outer]] = []


@with_options
def train(name: Annotated[str | None, option("Its name.")] = None, *, options: Outer) -> None:
    given.append((name, options))


@pytest.fixture
def run():
    app = typer.Typer(cls=Root)
    app.command("train")(train)
    app.callback()(lambda: None)
    translated(app)
    given.clear()

    def invoke(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["train", *words], prog_name="tetkik")
        return result.exit_code, result.output

    return invoke


def test_a_field_that_declares_itself_is_an_option(run):
    assert (
        run("--epochs", "4", "--half", "--no-keep", "--rank", "2", "--target", "a", "--target", "b")[0] == 0
    )
    assert given == [(None, Outer(4, half=True, keep=False, inner=Inner(2, ("a", "b"))))]


def test_what_is_not_given_is_as_the_class_has_it(run):
    assert run()[0] == 0
    assert given == [(None, Outer())]


def test_a_parameter_of_the_command_takes_the_place_of_a_field(run):
    assert run("--name", "mine")[0] == 0
    assert given == [("mine", Outer())]


@pytest.mark.parametrize(
    "words", [("--epochs", "0"), ("--epochs", "10"), ("--rank", "0"), ("--warm-up", "1"), ("--no-half",)]
)
def test_bounds_hold_and_nothing_else_is_an_option(run, words):
    assert run(*words)[0] == 2
    assert given == []


def test_a_command_can_be_called_as_a_function():
    given.clear()
    train("mine", epochs=5, rank=3)
    assert given == [("mine", Outer(5, inner=Inner(3)))]


def test_a_day_is_one_of_this_machine():
    start, end = parse_day("2026-11-21"), parse_day("2026-11-21", end=True)
    assert start is not None and end is not None
    assert (end - start).total_seconds() == pytest.approx(86_400, abs=1)
    assert parse_day(None) is None
    with pytest.raises(UsageError, match="not a day"):
        parse_day("21.11.2026")
