"""What `pyproject.toml` cannot say of the build: a C file, compiled with the guards of the compiler.

Everything else about the package stands in `pyproject.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HARDENING = (
    ("-fstack-protector-strong",),
    ("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"),
    ("-Wformat", "-Wformat-security", "-Werror=format-security"),
)
"""Options of GCC and Clang, those of a line together (OpenSSF, Compiler Options Hardening
Guide for C and C++).

MSVC has its own stack protector (`/GS`), which is on unless it is turned off.
"""
NGRAMS = Extension(
    "tetkik.triage.linear._ngrams",
    ["src/tetkik/triage/linear/_ngrams.c"],
    extra_compile_args=["-O3"],
    optional=True,
)
"""The hashing of n-grams. Where there is no compiler the build goes on without it and NumPy does the same
work more slowly; tests hold the two equal."""
_PROBE = "#include <stdio.h>\nint main(void) { return 0; }\n"


def taken(compiler: Any, groups: Iterable[tuple[str, ...]], beside: Iterable[str] = ()) -> list[str]:
    """The options that a compiler takes without a word against them, in their order.

    Args:
        compiler: of setuptools, ready to compile.
        groups: options that are taken or left together.
        beside: options that are there in any case.
    """
    return [option for group in groups if _takes(compiler, [*beside, *group]) for option in group]


def _takes(compiler: Any, options: list[str]) -> bool:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(_PROBE, encoding="ascii")
        try:
            compiler.compile([str(source)], output_dir=folder, extra_postargs=[*options, "-Werror"])
        except Exception:  # whatever a compiler fails with, the build goes on without the option
            return False
    return True


class HardenedBuild(build_ext):
    """Compiles with what of `HARDENING` the compiler at hand takes."""

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension, its own options first."""
        if self.compiler.compiler_type != "msvc":
            own = list(ext.extra_compile_args)
            ext.extra_compile_args = [*own, *taken(self.compiler, HARDENING, own)]
        super().build_extension(ext)


if __name__ == "__main__":
    setup(ext_modules=[NGRAMS], cmdclass={"build_ext": HardenedBuild})
