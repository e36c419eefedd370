"""One triage answer on the terminal: where to in an emergency, the urgency, then the departments."""

from __future__ import annotations

from rich.text import Text

from tetkik.cli.console import out, shown, t
from tetkik.values import TriageResult, UrgencyLevel

_STYLE: dict[UrgencyLevel | None, str] = {
    UrgencyLevel.KIRMIZI: "bold white on red",
    UrgencyLevel.SARI: "black on yellow",
    UrgencyLevel.YESIL: "green",
    None: "reverse",
}
_LEVEL: dict[UrgencyLevel | None, str] = {
    UrgencyLevel.KIRMIZI: "RED: at once",
    UrgencyLevel.SARI: "YELLOW: to be seen today",
    UrgencyLevel.YESIL: "GREEN: by appointment",
    None: "NOT ASSESSED: see the patient",
}
_BAR = 24
_SHOWN = 3


def show_answer(result: TriageResult) -> None:
    """Print one answer, at most about a dozen lines."""
    level = result.urgency.level
    red = level is UrgencyLevel.KIRMIZI
    if red and result.destination:
        out.print(Text(f" {result.destination.text} ", style=_STYLE[level]))
    out.print(_marked(result), soft_wrap=False)
    out.print(Text(f" {t(_LEVEL[level])} ", style="bold red" if red else _STYLE[level]))
    for flag in result.urgency.flags:
        quoted = shown(result.text[flag.span.start : flag.span.end])
        out.print(Text(f"  {shown(flag.reason)} ", style="bold").append(f"“{quoted}”", style="dim"))
    if red:
        # Nobody in an emergency should be sent to book an appointment.
        if result.departments:
            names = ", ".join(one.name for one in result.departments[: _SHOWN if result.abstain else 1])
            out.print(Text(f"  {t('Afterwards')}: {names}", style="dim"))
        return
    width = max(0, min(_BAR, out.width - 38))
    for place, department in enumerate(result.departments[:_SHOWN]):
        filled = round(width * department.probability)
        line = Text(f"  {department.name:<31}", style="bold" if place == 0 and not result.abstain else "")
        line.append("█" * filled, style="cyan").append("░" * (width - filled), style="dim")
        line.append(f" {100 * department.probability:3.0f}%")
        out.print(line)
    if result.departments and not result.abstain:
        first = result.departments[0]
        if first.clinic:
            booking = t("Book: {clinic}.", clinic=first.clinic)
            out.print(Text(f"  {booking} {first.referral or t('No referral is needed.')}", style="dim"))
    if result.reason:
        out.print(Text(f"  {result.reason}", style="yellow" if result.abstain else "dim"))
    if result.question:
        out.print(Text("  ? ", style="bold yellow").append(result.question, style="bold"))


def _marked(result: TriageResult) -> Text:
    """The complaint with the deciding words underlined; control characters are shown, not obeyed."""
    safe = shown(result.text[:1000], keep="\n\t")
    text = Text(safe + ("…" if len(result.text) > len(safe) else ""))
    for item in result.evidence:
        text.stylize("underline", item.span.start, item.span.end)
    for flag in result.urgency.flags:
        text.stylize("bold red", flag.span.start, flag.span.end)
    return text
