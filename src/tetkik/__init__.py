"""Tetkik: an on-premises AI workbench for hospitals. Research and education software.

The names below are the public API. Each is imported when it is first used, so that `import tetkik` imports
neither torch nor any model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tetkik._version import __version__

if TYPE_CHECKING:
    from tetkik.caption.predict import load_caption
    from tetkik.documents.write import write_documents
    from tetkik.errors import TetkikError
    from tetkik.findings.predict import load_findings
    from tetkik.language import Language
    from tetkik.report.draft import draft_report
    from tetkik.triage.predict import load_triage
    from tetkik.values import ReportInput
    from tetkik.workflow.reports import report_image
    from tetkik.workflow.tables import predict_dataset, to_arrow, to_pandas

__all__ = [
    "Language",
    "ReportInput",
    "TetkikError",
    "__version__",
    "draft_report",
    "load_caption",
    "load_findings",
    "load_triage",
    "predict_dataset",
    "report_image",
    "to_arrow",
    "to_pandas",
    "write_documents",
]

_MODULES = {
    "Language": "tetkik.language",
    "ReportInput": "tetkik.values",
    "TetkikError": "tetkik.errors",
    "draft_report": "tetkik.report.draft",
    "load_caption": "tetkik.caption.predict",
    "load_findings": "tetkik.findings.predict",
    "load_triage": "tetkik.triage.predict",
    "predict_dataset": "tetkik.workflow.tables",
    "report_image": "tetkik.workflow.reports",
    "to_arrow": "tetkik.workflow.tables",
    "to_pandas": "tetkik.workflow.tables",
    "write_documents": "tetkik.documents.write",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tetkik' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
