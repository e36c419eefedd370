"""The only path from a complaint or an image to an answer or a draft, for demo and service alike.

`tetkik.workflow.casework`, which does it for what is kept in the records, is imported where there are any.
"""

from tetkik.workflow.bundles import bundle_sha256
from tetkik.workflow.complaints import departments, triage
from tetkik.workflow.images import caption_image, explain_radiograph, read_radiograph
from tetkik.workflow.reports import Reported, Seen, report_findings, report_image, report_seen, see_image

__all__ = [
    "Reported",
    "Seen",
    "bundle_sha256",
    "caption_image",
    "departments",
    "explain_radiograph",
    "read_radiograph",
    "report_findings",
    "report_image",
    "report_seen",
    "see_image",
    "triage",
]
