"""One answer about an image on the terminal: what kind it is, what was found, what was not looked for."""

from __future__ import annotations

from rich.padding import Padding
from rich.text import Text

from tetkik.cli.console import language, out, shown, t
from tetkik.values import NORMAL_LABELS, Finding, FindingsResult, Route, ThresholdOn, label_name, route_of

ROUTES = {Route.CHEST: "Chest radiograph", Route.BRAIN_MRI: "Brain MRI slice"}
_BAR = 24
_NAME = 30


def show_answer(result: FindingsResult) -> None:
    out.print(Text(shown(result.path), style="bold"), soft_wrap=True)
    head = Text("  ")
    if not result.suitable:
        head.append(f" {t('NOT READ')} ", style="black on yellow")
    elif result.route is not None:
        head.append(t(ROUTES[result.route]), style="cyan")
    if result.screen is not None:
        head.append(
            "  " + t("anything abnormal: {percent}%", percent=percent_of(result.screen)), style="bold"
        )
    if head.plain.strip():
        out.print(head)
    for reason in result.reasons:
        say_indented(reason, "yellow")
    for note in result.notes:
        say_indented(note, "dim")
    if result.suitable:
        _show_findings(result)


def _show_findings(result: FindingsResult) -> None:
    assessed = [finding for finding in result.findings if finding.assessed]
    for finding in sorted(assessed, key=_place):
        out.print(_line(finding))
    if assessed and not any(item.positive for item in assessed if item.label not in NORMAL_LABELS):
        if any(item.rules_out for item in assessed):
            say_indented(t("No finding reaches its threshold; only what is marked so is ruled out."))
        else:
            say_indented(t("No finding reaches its threshold; that alone rules nothing out."))
    missing = [
        label_name(item.label, language())
        for item in result.findings
        if not item.assessed and (result.route is None or route_of(item.label) is result.route)
    ]
    if missing:
        say_indented(t("Not assessed: {names}", names=", ".join(missing)), "dim")


def say_indented(sentence: str, style: str = "") -> None:
    """A sentence, indented on every line that it takes."""
    out.print(Padding(Text(shown(sentence), style=style), (0, 0, 0, 2)))


def _place(finding: Finding) -> tuple[int, bool, bool, float]:
    """By route, what is found first, then what is likeliest; the labels for "nothing wrong" last."""
    route = list(Route).index(route_of(finding.label))
    return route, finding.label in NORMAL_LABELS, not finding.positive, -_value(finding)


def _value(finding: Finding) -> float:
    value = finding.score if finding.probability is None else finding.probability
    return value or 0.0


def percent_of(value: float) -> str:
    """Never 0 or 100 for what is not quite that."""
    if value < 0.005:
        return "<1"
    return ">99" if value >= 0.995 else f"{100 * value:.0f}"


def _line(finding: Finding) -> Text:
    normal = finding.label in NORMAL_LABELS
    found = "green" if normal else "bold red"
    name = shown(label_name(finding.label, language()))
    line = Text().append("  ● " if finding.positive else "  ○ ", style=found if finding.positive else "dim")
    line.append(f"{name:<{_NAME}}", style="" if not finding.positive or normal else "bold")
    line.append(_bar(finding, max(0, min(_BAR, out.width - _NAME - 24)), found))
    # A score nobody has calibrated is not a probability and is not shown as a percentage.
    if finding.probability is None:
        line.append(f" {finding.score:.2f}")
    else:
        percent = t("{percent}%", percent=percent_of(finding.probability))
        line.append(f" {percent:>4}")
    if finding.uncertain:
        line.append("  " + t("unsure"), style="yellow")
    elif finding.positive and not normal:
        line.append("  " + (t("found") if finding.asserted else t("suggested")), style=found)
    elif finding.rules_out and not normal:
        line.append("  " + t("ruled out"), style="green")
    return line


def _bar(finding: Finding, width: int, found: str) -> Text:
    """The value as a bar, with a mark at the threshold where the two are on one scale."""
    filled = round(width * _value(finding))
    bar = Text("█" * filled, style=found if finding.positive else "cyan").append(
        "░" * (width - filled), style="dim"
    )
    shown_on = ThresholdOn.SCORE if finding.probability is None else ThresholdOn.PROBABILITY
    if width and finding.threshold is not None and finding.threshold_on is shown_on:
        place = min(width - 1, int(width * finding.threshold))
        bar = bar[:place] + Text("│", style="bold") + bar[place + 1 :]
    return bar
