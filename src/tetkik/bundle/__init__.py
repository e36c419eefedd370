"""What a trained model is on disk: manifest, weights, card; find, verify, load."""

from tetkik.bundle.archive import export_bundle, import_bundle
from tetkik.bundle.card import (
    CardSection,
    finish_bundle,
    in_own_language,
    reference_section,
    refuse_same_folder,
    render_card,
    with_reference,
)
from tetkik.bundle.manifest import FORMAT_VERSION, Manifest, Metric, Task, bundle_id
from tetkik.bundle.model_cache import CachedModel, ModelCache
from tetkik.bundle.push import push_bundle
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
    read_reference,
    write_reference,
)
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
    "Task",
    "available",
    "bundle_folders",
    "bundle_id",
    "export_bundle",
    "finish_bundle",
    "import_bundle",
    "in_own_language",
    "open_bundle",
    "push_bundle",
    "read_manifest",
    "read_reference",
    "reference_section",
    "refuse_same_folder",
    "render_card",
    "resolve",
    "sha256_of",
    "staged_folder",
    "with_reference",
    "write_manifest",
    "write_reference",
]
