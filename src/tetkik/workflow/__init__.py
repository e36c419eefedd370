"""From a complaint or an image to an answer or a draft, for the service, the demo and `report draft`.

`tetkik.workflow.image_processing`, which does it for what the records keep, is imported where there are any.
"""

from tetkik.workflow.complaints import (
    ComplaintAnswer,
    answer_complaint,
    departments,
    offered_departments,
    triage,
    urgency_reason,
)
from tetkik.workflow.images import caption_image, read_radiograph
from tetkik.workflow.reports import (
    ImageAnalysis,
    Reported,
    analyse_image,
    draft_from_analysis,
    report_findings,
    report_image,
)

__all__ = [
    "ComplaintAnswer",
    "ImageAnalysis",
    "Reported",
    "analyse_image",
    "answer_complaint",
    "caption_image",
    "departments",
    "draft_from_analysis",
    "offered_departments",
    "read_radiograph",
    "report_findings",
    "report_image",
    "triage",
    "urgency_reason",
]
