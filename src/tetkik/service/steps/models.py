"""The models that this house has, as a request names them, and what they carry."""

from __future__ import annotations

from enum import StrEnum

from tetkik.bundle import Bundle, Manifest, Reference, available, read_reference, sha256_of
from tetkik.bundle.store import MANIFEST
from tetkik.errors import NotFound
from tetkik.records.database import Transaction
from tetkik.records.images.drift import Drift, Ran, drift


class Against(StrEnum):
    """What the runs of now are held against."""

    CARD = "card"
    """The reference of the bundle; the first runs where it has none."""
    FIRST = "first"
    """The first runs here."""


def bundle_of(model_id: str) -> Bundle:
    """A bundle that this house has, by its id alone: a path or a hub's id leads nowhere.

    Raises:
        NotFound: there is none.
    """
    for bundle in available():
        if bundle.manifest.id == model_id:
            return bundle
    raise NotFound("There is no model of this name here; the models' page lists those there are.")


def manifest_that_ran(ran: Ran) -> Manifest | None:
    """The manifest of a bundle by its name and version; None where it is no longer here."""
    return next((one.manifest for one in available() if one.manifest.name == ran.bundle), None)


def reference_of(ran: Ran) -> Reference | None:
    """The reference of the very bundle that ran; None where it has none, or is no longer here.

    A name and a version are not enough: another network of the same name has other scores.

    Raises:
        BundleCorrupt: it is damaged.
    """
    for one in available():
        if one.manifest.name == ran.bundle and sha256_of(one.path / MANIFEST) == ran.sha256:
            return read_reference(one)
    return None


def drift_of(tx: Transaction, ran: Ran, against: Against) -> Drift:
    """Hold what a bundle saw and said lately against its card, or against its first runs here.

    Raises:
        BundleCorrupt: its reference is damaged.
    """
    return drift(tx, ran, reference_of(ran) if against is Against.CARD else None)
