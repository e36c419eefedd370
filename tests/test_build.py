"""The C file is compiled with a compiler's guards against faults, and without them where it has none."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import Distribution, Extension
from setuptools.errors import CompileError

needs_compiler = pytest.mark.program("cc")

ROOT = Path(__file__).parents[1]
MODULE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "probe", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_probe(void) { return PyModule_Create(&module); }
"""
OVERFLOWS = """
#include <string.h>
int copied(const char *text) { char place[16]; strcpy(place, text); return place[3]; }
"""
PRINTS = "#include <stdio.h>\nvoid said(const char *text) { printf(text); }\n"


SETUP = runpy.run_path(str(ROOT / "setup.py"))


def builder(folder, text, *, optional=False):
    """The command of the build for one small extension, made ready."""
    ext = Extension("probe", [source(folder, text)], extra_compile_args=["-O3"], optional=optional)
    command = SETUP["HardenedBuild"](Distribution({"name": "probe", "ext_modules": [ext]}))
    command.build_lib, command.build_temp = str(folder / "out"), str(folder / "tmp")
    command.ensure_finalized()
    return command


def built(folder, text, **options):
    command = builder(folder, text, **options)
    command.run()
    return Path(command.get_ext_fullpath("probe"))


def source(folder, text):
    file = folder / "probe.c"
    file.write_text(MODULE + text)
    return str(file)


@needs_compiler
def test_a_copy_beyond_its_place_is_caught(tmp_path):
    guards = built(tmp_path, OVERFLOWS).read_bytes()
    assert b"__stack_chk_fail" in guards and b"__strcpy_chk" in guards


@needs_compiler
def test_a_text_of_elsewhere_is_no_format(tmp_path):
    with pytest.raises(CompileError):
        built(tmp_path, PRINTS)


@needs_compiler
def test_the_features_are_built_so(tmp_path):
    work = [sys.executable, "setup.py", "build_ext", "-b", str(tmp_path / "out"), "-t", str(tmp_path / "tmp")]
    subprocess.run(work, cwd=ROOT, capture_output=True, check=True)
    (library,) = (tmp_path / "out").rglob("_ngrams*")
    assert b"__stack_chk_fail" in library.read_bytes()
    look = [sys.executable, "-c", "import _ngrams; print(_ngrams.__file__)"]
    loaded = subprocess.run(look, cwd=library.parent, capture_output=True, text=True, check=True)
    assert Path(loaded.stdout.strip()).name == library.name


@needs_compiler
def test_an_option_that_the_compiler_does_not_know_is_left_out(tmp_path):
    command = builder(tmp_path, "")
    command.run()  # makes the compiler ready
    known, unknown = ("-fstack-protector-strong",), ("-Wformat", "-fno-such-guard-anywhere")
    assert SETUP["taken"](command.compiler, [unknown, known]) == [*known]


def test_without_a_compiler_the_build_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "/no/such/compiler")
    assert not built(tmp_path, "", optional=True).exists()
