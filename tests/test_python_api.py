"""The public API: complete, sorted, documented, and imported only when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tetkik


def test_all_is_sorted_and_complete():
    assert tetkik.__all__ == sorted(tetkik.__all__)
    assert set(tetkik.__all__) == {"__version__", *tetkik._MODULES}
    assert set(tetkik.__all__) <= set(dir(tetkik))


@pytest.mark.parametrize("name", sorted(tetkik._MODULES))
def test_every_name_is_there_and_says_what_it_is(name):
    value = getattr(tetkik, name)
    assert value.__name__ == name
    assert value.__doc__


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="load_everything"):
        _ = tetkik.load_everything


def test_importing_brings_neither_models_nor_numpy():
    code = "import tetkik, sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()).isdisjoint({"numpy", "onnxruntime", "pydantic", "pydicom", "torch"})


def test_loading_triage_brings_no_torch():
    code = "import tetkik, sys\ntetkik.load_triage().predict('Dizim ağrıyor')\nprint('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
