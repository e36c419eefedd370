"""The alerts that ship with the documentation ask for figures that there are, and say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.records.kit import made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tests.service.test_system import work
from tetkik.integrations.dicom.spool import FOLDER
from tetkik.values import Role

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"\btetkik_\w+")
CHOICE = re.compile(r'\b(tetkik_\w+)\{(\w+)="([^"]+)"\}')


@pytest.fixture(scope="module")
def rules():
    groups = yaml.safe_load((ROOT / "docs" / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Every sample of a hospital that has worked: its name, and the values of each label."""
    app_context = make_context(tmp_path_factory.mktemp("hospital"))
    work(app_context, made_case(app_context.records, made_user(app_context.records, Role.RECEPTION)))
    (app_context.settings.data_dir / FOLDER).mkdir(exist_ok=True)
    with served(app_context, anew=True) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        client.get("/")
        text = client.get("/metrics").text
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def test_every_figure_that_an_alert_asks_for_exists(rules, figures):
    asked = {name for rule in rules for name in NAME.findall(rule["expr"])}
    assert len(asked) > 8
    assert asked <= set(figures)


def test_every_figure_that_a_dashboard_asks_for_exists(figures):
    for file in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"):
        panels = json.loads(file.read_text("utf-8"))["panels"]
        asked = {name for one in panels for target in one["targets"] for name in NAME.findall(target["expr"])}
        assert len(asked) > 8
        assert asked <= set(figures)


def test_every_choice_is_of_a_label_that_there_is(rules, figures):
    chosen = {choice for rule in rules for choice in CHOICE.findall(rule["expr"])}
    assert chosen
    for name, label, value in chosen:
        assert label in figures[name], (name, label)
        # The status of an answer is of a class; this hospital answers well.
        assert value in figures[name][label] or re.fullmatch("[1-5]xx", value), (name, label, value)


def test_each_says_how_grave_it_is_and_what_to_do(rules):
    names = [rule["alert"] for rule in rules]
    assert len(set(names)) == len(names)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"].endswith(".") and rule["annotations"]["action"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")
