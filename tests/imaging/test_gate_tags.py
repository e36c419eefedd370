"""What the gate makes of a DICOM file's tags."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.imaging.gate.judge import ModalityGroup, Part, read_tag_claims
from tetkik.values import FileFormat, ImageTags, Radiograph, View

CR, CT, SC = (
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.7",
)


def claims(view=None, **tags):
    return read_tag_claims(
        Radiograph(
            pixels=np.zeros((4, 4), np.uint8),
            white=255,
            file_format=FileFormat.DICOM,
            sha256="",
            view=view,
            tags=ImageTags(**tags),
        )
    )


@pytest.mark.parametrize(
    ("modality", "sop_class", "machine"),
    [
        ("CR", None, ModalityGroup.PROJECTION),
        ("DX", CR, ModalityGroup.PROJECTION),
        ("RG", None, ModalityGroup.PROJECTION),
        (" cr ", None, ModalityGroup.PROJECTION),
        ("MR", None, ModalityGroup.MAGNETIC),
        (None, CR, ModalityGroup.PROJECTION),
        (None, CT, ModalityGroup.OTHER),
        ("CR", CT, ModalityGroup.OTHER),
        ("CR", SC, ModalityGroup.PROJECTION),
        ("OT", SC, ModalityGroup.UNKNOWN),
        (None, None, ModalityGroup.UNKNOWN),
        ("US", None, ModalityGroup.OTHER),
        ("MG", None, ModalityGroup.OTHER),
        ("SEG", None, ModalityGroup.OTHER),
    ],
)
def test_modality_and_sop_class_name_the_machine(modality, sop_class, machine):
    assert claims(modality=modality, sop_class=sop_class).modality_group is machine


@pytest.mark.parametrize(
    ("body_part", "description", "part"),
    [
        ("CHEST", None, Part.CHEST),
        ("THORAX", "THORAX", Part.CHEST),
        (None, "akciğer grafisi pa", Part.CHEST),
        (None, "akci̇ğer", Part.CHEST),  # 'AKCİĞER'.lower(), not by the Turkish rule
        (None, "AKCIGER", Part.CHEST),
        (None, "toraks ön-arka", Part.CHEST),
        (None, "göğüs röntgeni", Part.CHEST),
        (None, "p.a. ac grafisi", Part.CHEST),
        ("BRAIN", None, Part.HEAD),
        (None, "kontrastlı beyin mr", Part.HEAD),
        (None, "kraniyal mr", Part.HEAD),
        ("HEAD", "hipofiz mr", Part.HEAD),
        ("KNEE", None, Part.OTHER),
        (None, "sol diz iki yönlü", Part.OTHER),
        ("EXTREMITY", "ayak bileği", Part.OTHER),
        (None, "torakal vertebra", Part.OTHER),
        (None, "lomber mr", Part.OTHER),
        ("CHEST", "sol diz", Part.UNKNOWN),
        (None, "ayakta pa akciğer", Part.CHEST),
        (None, "toraks ve abdomen", Part.UNKNOWN),
        (None, "rutin", Part.UNKNOWN),
        (None, None, Part.UNKNOWN),
    ],
)
def test_body_part_and_description_name_the_part(body_part, description, part):
    assert claims(body_part=body_part, description=description).part is part


@pytest.mark.parametrize(
    ("view", "description", "lateral", "mixed"),
    [
        (View.LATERAL, None, True, False),
        (View.PA, None, False, False),
        (None, "lateral", True, False),
        (None, "yan", True, False),
        (None, "pa ve yan", False, False),
        (View.AP, "yan grafi", False, True),
        (None, "yanık", False, False),
    ],
)
def test_view_and_description_tell_the_side(view, description, lateral, mixed):
    said = claims(view=view, description=description)
    assert (said.lateral, said.mixed_views) == (lateral, mixed)


@given(st.text(max_size=64), st.text(max_size=64), st.text(max_size=200))
def test_no_tag_is_too_odd(modality, body_part, description):
    said = claims(modality=modality, body_part=body_part, description=description)
    assert said.modality_group in ModalityGroup and said.part in Part
