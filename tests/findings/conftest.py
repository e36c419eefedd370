"""Images and networks that several tests of findings use; drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.phantom import write_phantom
from tetkik.values import Route


@pytest.fixture(scope="session")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM file with a synthetic chest radiograph and a nodule in it; not to be changed."""
    path = tmp_path_factory.mktemp("phantoms") / "chest.dcm"
    write_phantom(path, 1, ["Nodule"], rows=512, columns=512)
    return path


@pytest.fixture(scope="session")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM file with a synthetic slice of a brain MRI; not to be changed."""
    path = tmp_path_factory.mktemp("phantoms") / "brain.dcm"
    write_phantom(path, 1, kind=Route.BRAIN_MRI, rows=256, columns=256)
    return path
