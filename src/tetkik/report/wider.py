"""Which finding stands for which: what is true of a word that is wider or narrower than the label itself."""

from __future__ import annotations

from types import MappingProxyType

_OPACITIES = frozenset(
    {
        "Atelectasis",
        "Consolidation",
        "COVID-19",
        "Edema",
        "Fibrosis",
        "Infiltration",
        "Mass",
        "Nodule",
        "Pneumonia",
        "Tuberculosis",
        "Viral_Pneumonia",
    }
)
_ACUTE = frozenset(
    {
        "Consolidation",
        "COVID-19",
        "Edema",
        "Effusion",
        "Infiltration",
        "Pneumonia",
        "Pneumothorax",
        "Tuberculosis",
        "Viral_Pneumonia",
    }
)
"""A nodule, a mass or a scar beside *no acute disease* is no contradiction."""
_WIDER = MappingProxyType(
    {
        "Lung_Opacity": _OPACITIES,
        "Pneumonia": frozenset({"Pneumonia", "Viral_Pneumonia", "COVID-19"}),
        "Viral_Pneumonia": frozenset({"Viral_Pneumonia", "COVID-19"}),
        "Acute_Disease": _ACUTE,
    }
)


def narrower(label: str) -> frozenset[str]:
    """The labels that `label` is true of: it may be asserted with any of them, and denied only with all."""
    return _WIDER.get(label, frozenset()) | {label}
