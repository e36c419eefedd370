"""The films of the clinic's tests, for those of the lab."""

from tests.findings.conftest import brain, chest

__all__ = ["brain", "chest"]
