"""What a trained model is on disk: manifest, weights, card; find, verify, load."""

from tetkik.bundle.archive import export_bundle, import_bundle
from tetkik.bundle.card import CardSection, metrics_table, render_card
from tetkik.bundle.manifest import FORMAT_VERSION, Manifest, Metric, Task, bundle_id
from tetkik.bundle.store import (
    Bundle,
    available,
    bundle_folders,
    open_bundle,
    read_manifest,
    resolve,
    sha256_of,
    staged_folder,
    write_manifest,
)

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "CardSection",
    "Manifest",
    "Metric",
    "Task",
    "available",
    "bundle_folders",
    "bundle_id",
    "export_bundle",
    "import_bundle",
    "metrics_table",
    "open_bundle",
    "read_manifest",
    "render_card",
    "resolve",
    "sha256_of",
    "staged_folder",
    "write_manifest",
]
