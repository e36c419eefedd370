"""The order in which a row names what was found."""

from __future__ import annotations

from tetkik.records.worklist.priority_reasons import sorted_findings


def test_nothing_found_stands_beside_no_finding():
    both = sorted_findings({"No_Tumor": 0.96, "Meningioma": 0.76})
    assert [one.label for one in both] == ["Meningioma"]
    assert [one.label for one in sorted_findings({"No_Tumor": 0.96})] == ["No_Tumor"]
