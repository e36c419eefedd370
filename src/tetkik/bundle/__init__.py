"""What a trained model is on disk: manifest, weights, card; find, verify, load."""

from tetkik.bundle.archive import export_bundle, import_bundle
from tetkik.bundle.card import (
    CardSection,
    metrics_table,
    reference_section,
    render_card,
    with_section,
)
from tetkik.bundle.manifest import FORMAT_VERSION, Manifest, Metric, Task, bundle_id
from tetkik.bundle.model_cache import CachedModel, ModelCache
from tetkik.bundle.reference import (
    REFERENCE,
    REFERENCE_COMPLAINTS,
    REFERENCE_IMAGES,
    AnyReference,
    ComplaintReference,
    Histogram,
    ImageReference,
    InputReference,
    LabelReference,
    Reference,
    read_reference,
    write_reference,
)
from tetkik.bundle.reference_copy import refuse_same_folder, with_reference
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
    "REFERENCE",
    "REFERENCE_COMPLAINTS",
    "REFERENCE_IMAGES",
    "AnyReference",
    "Bundle",
    "CachedModel",
    "CardSection",
    "ComplaintReference",
    "Histogram",
    "ImageReference",
    "InputReference",
    "LabelReference",
    "Manifest",
    "Metric",
    "ModelCache",
    "Reference",
    "Task",
    "available",
    "bundle_folders",
    "bundle_id",
    "export_bundle",
    "import_bundle",
    "metrics_table",
    "open_bundle",
    "read_manifest",
    "read_reference",
    "reference_section",
    "refuse_same_folder",
    "render_card",
    "resolve",
    "sha256_of",
    "staged_folder",
    "with_reference",
    "with_section",
    "write_manifest",
    "write_reference",
]
