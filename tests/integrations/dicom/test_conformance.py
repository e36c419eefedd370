"""The conformance statement says what a peer negotiates, and the listener negotiates what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom.uid import UID, HTJ2KLossless
from pynetdicom import AE
from pynetdicom.presentation import build_context

from tests.integrations.dicom.listener import CR_IMAGE, listening
from tetkik.integrations.systems import Service

PAGE = (Path(__file__).parents[3] / "docs" / "conformance-dicom.md").read_text("utf-8")
MOST = 128
"""Presentation contexts of an association (PS3.8 9.3.2.2)."""


def rows(title: str) -> list[list[str]]:
    """The cells of the first table under a title of the page."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def negotiated(port: int, wanted: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of these SOP classes, each with a transfer syntax, those that are accepted."""
    accepted: set[tuple[str, str]] = set()
    for start in range(0, len(wanted), MOST):
        ae = AE("CT1")
        ae.requested_contexts = [build_context(uid, syntax) for uid, syntax in wanted[start : start + MOST]]
        made = ae.associate("127.0.0.1", port, ae_title="TETKIK")
        assert made.is_established
        accepted |= {
            (str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in made.accepted_contexts
        }
        if start == 0:
            said: dict[str, str] = {row[0]: row[1] for row in rows("Association")}
            length = made.acceptor.maximum_length
            assert f"{length:,}" in said["most bytes of a PDU that we receive"]
        made.release()
    return accepted


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    everything = [service.value for service in Service]
    with listening(
        tmp_path_factory.mktemp("offer"), {"allow": everything}, worklist=lambda event, peer: iter(())
    ) as made:
        yield made


def test_every_class_and_syntax_of_the_page_is_accepted_and_no_other(listener):
    services = rows("Services as SCP")
    syntaxes = rows("Transfer syntaxes")
    plain = {uid for _, uid, _, also in syntaxes if also == "yes"}
    storage = {uid for _, uid, *_ in syntaxes}
    first = min(plain, key=len)
    classes = [(uid, first) for *_, uid, _, _ in services]
    assert len(classes) > 100
    others = [(uid, HTJ2KLossless) for uid, _ in classes] + [("1.2.840.10008.5.1.4.1.2.2.1", first)]
    every = [(CR_IMAGE, uid) for uid in storage] + [
        (uid, syntax) for *_, uid, _, kind in services if kind == "plain" for syntax in storage
    ]
    wanted = set(classes) | {(CR_IMAGE, uid) for uid in storage}
    wanted |= {(uid, syntax) for *_, uid, _, kind in services if kind == "plain" for syntax in plain}
    assert negotiated(listener.port, [*classes, *others, *every]) == wanted


def test_names_are_those_of_the_standard():
    for *_, name, uid, role, _ in rows("Services as SCP"):
        assert UID(uid).name == name and role == "SCP"
        assert re.fullmatch(r"[0-9.]+", uid)
