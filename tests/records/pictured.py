"""Images in cases for tests: small phantoms, their files and what is kept of them."""

from __future__ import annotations

import tempfile
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.phantom import write_phantom
from tetkik.imaging.read import read_bytes
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import AddedImage, ImageMetadata
from tetkik.values import Actor, Finding, FindingsResult, Flaw, Radiograph, Route, ThresholdOn


@cache
def film(seed: int = 0, signs: tuple[str, ...] = (), *, side: int = 256) -> bytes:
    """A synthetic chest radiograph as DICOM; a small one is drawn in no time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.dcm"
        write_phantom(path, seed, signs, rows=side, columns=side)
        return path.read_bytes()


@cache
def radiograph(seed: int = 0) -> Radiograph:
    """The same, read."""
    return read_bytes(film(seed), "film")


def put(records: Records, actor: Actor, case_id: str, seed: int = 0, name: str = "film.dcm") -> AddedImage:
    """Put a film into a case."""
    with records.write(actor) as tx:
        from tetkik.records.people.access import load_visible_case

        patient_id = load_visible_case(tx, case_id).patient_id
        file = images.store_file(tx, patient_id, BytesIO(film(seed)))
        return images.add_image(tx, case_id, file, ImageMetadata.of(radiograph(seed), name))


def result(**changes: Any) -> FindingsResult:
    """An answer with figures that do not end after six decimals."""
    said: dict[str, Any] = {
        "path": "x",
        "route": Route.CHEST,
        "suitable": True,
        "reasons": ("Görüntüde yazı var.",),
        "flaws": (Flaw.BURNED_IN_TEXT,),
        "screen": 1 / 3,
        "findings": (
            Finding("Effusion", True, 2 / 3, 1 / 7, 0.123456789012, ThresholdOn.PROBABILITY, positive=True),
            Finding("Mass", True, 1e-9, None, 0.5, ThresholdOn.SCORE, uncertain=True),
            Finding("Hernia", False),
        ),
        "model": "m 1.0",
        "sha256": "ab" * 32,
        "notes": ("Sayfa 2 okundu.",),
    }
    return FindingsResult(**{**said, **changes})
