"""Tetkik: an on-premises AI workbench for hospitals. Research and education software.

Importing this package imports neither torch nor any model library.
"""

from tetkik._version import __version__

__all__ = ["__version__"]
