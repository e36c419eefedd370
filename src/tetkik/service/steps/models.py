"""The models that this house has, as a request names them."""

from __future__ import annotations

from tetkik.bundle import Bundle, available
from tetkik.errors import NotFound


def bundle_of(model_id: str) -> Bundle:
    """A bundle that this house has, by its id alone: a path or a hub's id leads nowhere.

    Raises:
        NotFound: there is none.
    """
    for bundle in available():
        if bundle.manifest.id == model_id:
            return bundle
    raise NotFound("There is no model of this name here; the models' page lists those there are.")
