"""One triage answer on the terminal: urgency first, then the departments, then the words that decided."""

from __future__ import annotations

from rich.text import Text

from tetkik.cli.console import out, shown, t
from tetkik.values import TriageResult, UrgencyLevel

_STYLE = {
    UrgencyLevel.KIRMIZI: "bold white on red",
    UrgencyLevel.SARI: "black on yellow",
    UrgencyLevel.YESIL: "green",
}
_LEVEL = {
    UrgencyLevel.KIRMIZI: "RED: emergency department or 112, now",
    UrgencyLevel.SARI: "YELLOW: to be seen today",
    UrgencyLevel.YESIL: "GREEN: by appointment",
}
_BAR = 24
_SHOWN = 3


def show_answer(result: TriageResult) -> None:
    """Print one answer, at most about a dozen lines."""
    out.print(_marked(result), soft_wrap=False)
    level = result.urgency.level
    if result.departments or result.urgency.flags:  # of a text that cannot be read no level is known
        out.print(Text(f" {t(_LEVEL[level])} ", style=_STYLE[level]))
    for flag in result.urgency.flags:
        quoted = shown(result.text[flag.span.start : flag.span.end])
        out.print(Text(f"  {shown(flag.reason)} ", style="bold").append(f"“{quoted}”", style="dim"))
    width = max(0, min(_BAR, out.width - 38))
    for place, department in enumerate(result.departments[:_SHOWN]):
        filled = round(width * department.probability)
        line = Text(f"  {department.name:<31}", style="bold" if place == 0 and not result.abstain else "")
        line.append("█" * filled, style="cyan").append("░" * (width - filled), style="dim")
        line.append(f" {100 * department.probability:3.0f}%")
        out.print(line)
    # Nobody in an emergency should be sent to book an appointment.
    if result.departments and not result.abstain and level is not UrgencyLevel.KIRMIZI:
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
