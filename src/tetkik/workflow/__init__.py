"""The only path from a complaint or an image to an answer or a draft, for demo and service alike.

`tetkik.workflow.casework`, which does it for what is kept in the records, is imported where there are any.
"""

from tetkik.workflow.complaints import Answered, answered, departments, triage
from tetkik.workflow.images import caption_image, explain_radiograph, read_radiograph
from tetkik.workflow.reports import (
    ImageAnalysis,
    Reported,
    analyse_image,
    report_analysis,
    report_findings,
    report_image,
)

__all__ = [
    "Answered",
    "ImageAnalysis",
    "Reported",
    "analyse_image",
    "answered",
    "caption_image",
    "departments",
    "explain_radiograph",
    "read_radiograph",
    "report_analysis",
    "report_findings",
    "report_image",
    "triage",
]
