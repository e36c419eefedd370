"""The only path from a complaint or an image to an answer or a draft, for demo and service alike.

`tetkik.workflow.casework`, which does it for what is kept in the records, is imported where there are any.
"""

from tetkik.workflow.complaints import Answered, answered, departments, offered_departments, triage
from tetkik.workflow.images import caption_image, explain_radiograph, read_radiograph
from tetkik.workflow.reports import Reported, Seen, report_findings, report_image, report_seen, see_image

__all__ = [
    "Answered",
    "Reported",
    "Seen",
    "answered",
    "caption_image",
    "departments",
    "explain_radiograph",
    "offered_departments",
    "read_radiograph",
    "report_findings",
    "report_image",
    "report_seen",
    "see_image",
    "triage",
]
