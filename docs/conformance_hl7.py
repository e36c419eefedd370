"""The conformance statement of HL7 v2: docs/conformance-hl7.md, from what the code takes and sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tetkik.integrations.hl7.content import EVENTS, VERSIONS, Control, Hl7Event, load_mapping
from tetkik.integrations.hl7.intake import CONDITIONS
from tetkik.integrations.hl7.message import MOST_BYTES
from tetkik.records.lifecycle.idempotent_responses import KEPT

Table = Callable[[tuple[str, ...], Sequence[tuple[str, ...]]], str]

_DOES = {
    Hl7Event.OPENED: "the patient is made or brought up to date, the encounter is opened",
    Hl7Event.MOVED: "the encounter is in another department",
    Hl7Event.CLOSED: "the encounter is closed",
    Hl7Event.REOPENED: "the encounter is open again",
    Hl7Event.UPDATED: "the patient is made or brought up to date",
    Hl7Event.MERGED: "the record of MRG-1 is joined to that of PID-3; both keep what they say",
    Hl7Event.ORDERED: "orders are placed, changed, cancelled",
}
_CONTROLS = {
    Control.NEW: "a new order; a known one is brought up to date, a cancelled one stays so",
    Control.CHANGE: "what the message says replaces what is known; what it does not speak of stays",
    Control.CANCEL: "the order is cancelled",
    Control.STATUS: "ORC-5: `SC` scheduled, `A`, `IP` and `CM` arrived, `CA` and `DC` cancelled",
}
_SENT = (
    ("MSH", "3 `TETKIK`, 4 hospital, 5 receiver, 7, 9, 10 control id, 11 (`T` in a demonstration), 12, 18"),
    ("PID", "3 hospital number (`PI`) and TCKN (`NNTUR`), 5, 7, 8"),
    ("PV1", "2 `U`, 8 who refers, 10 department; left out where neither is known"),
    (
        "OBR",
        "2 the placer's number, 3 the report's, 4 LOINC code and the receiver's own (SUT), 7, 16, 18 "
        "accession number, 20 number of the report, 22, 24 `RAD`, 25 status, 32 who signed",
    ),
    (
        "OBX",
        "the parts of the report (`FT` or `TX`, LOINC), what is there or not (`CWE`, in 2.3.1 `CE`; SNOMED "
        "CT), measurements and probabilities (`NM`, UCUM), the PDF (`ED`, Base64), SHA-256 of the report "
        "(`ST`); 11 status",
    ),
    ("NTE", "objections that stand in the report, and what Tetkik is not"),
)
SEGMENTS = tuple(name for name, _ in _SENT)
"""Of an ORU^R01, in their order."""


def hl7_page(table: Table) -> str:
    """The whole page, without the notice above it."""
    mapping = load_mapping()
    parts = (mapping.patient, mapping.visit, mapping.order)
    places = [
        (name.replace("_", " "), ", ".join(map(str, value)))
        for part in parts
        for name, value in part
        if name not in {"number_types", "number_authorities", "tckn_types"}
    ]
    return "\n\n".join(
        [
            "# HL7 v2 conformance",
            "Tetkik takes patients, encounters and orders from the hospital's system and sends reports back, "
            "over MLLP (appendix C), with TLS where the [file of systems](how-to/integrations.md) has "
            "certificates. Acknowledgment is in the original mode (chapter 2.9.2). Versions: 2.3.1 and "
            f"2.5.1; {', '.join(version for version, read in VERSIONS.items() if version != read)} are read "
            "as the nearer of the two.",
            "## Taken",
            table(
                ("message", "what happens"), [(f"`{kind}`", _DOES[event]) for kind, event in EVENTS.items()]
            ),
            table(("ORC-1", "what happens"), [(f"`{one}`", _CONTROLS[one]) for one in Control]),
            "A message is done as a whole or not at all, and acknowledged after it is committed. One with a "
            f"control id that came before, and the same content, gets the same answer for {KEPT.days} day "
            "and is not done again. EVN-2 (or MSH-7), put right by `clock_offset_minutes`, decides which "
            "message about a patient or an encounter is newer; an older one changes nothing.",
            "Numbers of a patient stand in PID-3: those of the types "
            f"{_listed(mapping.patient.number_types)} are the hospital's, those of "
            f"{_listed(mapping.patient.tckn_types)} are TCKN. Everything else stands where the mapping of "
            "the peer says; of several places the first that holds something counts:",
            table(("what", "places"), places),
            "## Answered",
            table(
                ("MSA-1", "meaning"),
                [
                    ("`AA`", "committed"),
                    ("`AE`", "refused for what it says; ERR names the place and the reason"),
                    ("`AR`", "refused for what it is: type, event, version, form"),
                    ("none", "the database did not answer, and the connection ends: send it again"),
                ],
            ),
            table(
                ("condition (table 0357)", "meaning"),
                [(str(code), meaning) for code, meaning in CONDITIONS.items() if code],
            ),
            "## Sent",
            "`ORU^R01`, unsolicited, for a signed, corrected or withdrawn report (OBR-25 `F`, `C`, `X`; "
            "OBX-11 `F`, `C`, `W`). `AA` or `CA` ends it, `AE`, `AR`, `CE` or `CR` sets it aside with the "
            "receiver's words, and anything else is tried again.",
            table(("segment", "fields"), list(_SENT)),
            "## Character sets and limits",
            "UTF-8 (`UNICODE UTF-8`), ISO 8859-9 (`8859/9`) and 8859-1; text under a wrong declaration is "
            "repaired by `character_set` of the peer, and UTF-8 always. Reports go out in UTF-8, and in ISO "
            "8859-9 to a peer whose `character_set` is `ISO_IR 148`.",
            f"A message has at most {MOST_BYTES:,} bytes. Peers are known by their addresses. Messages are "
            "done one at a time in the order in which they come. Batches, the enhanced mode and sequence "
            "numbers are not supported.",
        ]
    )


def _listed(types: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" if name else "none" for name in types)
