"""What dcmtk's programs write is decoded as dcmtk itself decodes it.

Debian's packages of dcmtk and of GDCM ship no image, only worklists as text and pages of documentation, so
its programs make the files here.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from tests.imaging.test_pydicom_files import frames_of
from tests.programs import program
from tetkik.imaging.deidentify import BurnedIn, Options, deidentify_bytes, new_secret
from tetkik.imaging.read import read_bytes

LOSSLESS = (
    "dcmconv +ti",
    "dcmconv +tb",
    "dcmconv +td",
    "dcmcrle",
    "dcmcrle +fs 1",
    "dcmcjpls",
    "dcmcjpls +in",
    "dcmcjpeg +e1",
    "dcmcjpeg +el +fs 1",
)
LOSSY = ("dcmcjpls +en", "dcmcjpeg +eb", "dcmcjpeg +ee")
DECODERS = {"dcmcjpls": "dcmdjpls", "dcmcjpeg": "dcmdjpeg"}
SOURCES = {"grey": "CR1/6154", "colour": "ExplVR_BigEnd.dcm"}


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.mark.program("dcmcjpeg")
@pytest.mark.parametrize("source", SOURCES)
def test_what_dcmtk_writes(source, tmp_path):
    folder = Path(program("dcmcjpeg")).parent
    found = get_testdata_file(SOURCES[source], download=False)
    assert isinstance(found, str)
    original = frames_of(Path(found).read_bytes())
    for command in (*LOSSLESS, *LOSSY):
        name, *options = command.split()
        target = tmp_path / "coded.dcm"
        run(str(folder / name), *options, found, str(target))
        content = target.read_bytes()
        expected = original
        if command in LOSSY:
            run(str(folder / DECODERS[name]), str(target), str(tmp_path / "decoded.dcm"))
            expected = frames_of((tmp_path / "decoded.dcm").read_bytes())
        assert np.array_equal(frames_of(content), expected), command
        assert (read_bytes(content, "x").display is not None) == (source == "colour"), command
        kept, _, _ = deidentify_bytes(content, "x", new_secret(), Options(burned_in=BurnedIn.WARN))
        assert np.array_equal(frames_of(kept), expected), command
