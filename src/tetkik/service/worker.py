"""The thread that runs the models that images wait for."""

from __future__ import annotations

from tetkik.service.house import House


class Worker:
    """Takes jobs until it is stopped.

    Args:
        house: whose jobs.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish the job under way and end."""
