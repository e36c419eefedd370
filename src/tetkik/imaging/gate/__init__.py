"""The gate before every model of findings: is this an image that one can read, and which one?"""

from tetkik.imaging.gate.judge import judge

__all__ = ["judge"]
