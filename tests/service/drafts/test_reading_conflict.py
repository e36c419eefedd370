"""Two people at one draft, in a real browser: text, measurements and judged findings beside each other."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.records import changes
from tests.records.kit import made_user
from tests.service.browser import AXE
from tests.service.reading_room import fields, revised, texts, working
from tetkik.records.reports import measurements
from tetkik.records.reports.measurements import NewMeasurement
from tetkik.rules.editing import DraftEdit
from tetkik.values import DraftSentence, Judgement, MeasurementKind, Role, Section

THEIRS = "Onun cümlesi."


def changed_by_a_colleague(room):
    """Somebody else writes, rejects what the model found, and measures; in the records themselves."""
    colleague = made_user(room.app_context.records, Role.RADIOLOGIST, name="İrem Çelik")
    seen = working(room)
    assert seen.result is not None
    found = next(one.label for one in seen.result.findings if one.positive)
    length = NewMeasurement(MeasurementKind.LENGTH, room.image_id, ((100, 100), (300, 100)), "Kardiyak çap")
    with room.app_context.records.write(colleague) as tx:
        text = [*seen.draft.sentences, DraftSentence(THEIRS, Section.IMPRESSION)]
        now = changes.save(tx, seen.report_id, seen.revision, DraftEdit(text))
        now = changes.judge(tx, seen.report_id, now.revision, found, Judgement.REJECTED)
        return measurements.add(tx, seen.report_id, now.revision, length)


def sides(page):
    dialog = page.locator("#conflict")
    expect(dialog).to_contain_text("İrem Çelik")
    return dialog, *(dialog.get_by_role("region", name=name) for name in ("Şu anki hâli", "Sizdeki hâli"))


def test_who_comes_second_sees_what_was_measured_and_judged_meanwhile(page, room):
    theirs = changed_by_a_colleague(room)
    fields(page, "impression").first.fill("Benim cümlem.")
    dialog, now, mine = sides(page)
    size = f"{theirs.measurements[0].rounded:.1f} mm".replace(".", ",")
    expect(now.locator("[data-part=measured] .differs")).to_have_text(f"Kardiyak çap: {size}")
    expect(now.locator("[data-part=judged] .differs")).to_contain_text("radyolog reddetti")
    expect(mine.locator("[data-part=measured] p:visible")).to_have_text("yok")
    expect(mine.locator("[data-part=judged] p:visible")).to_have_text("yok")
    expect(mine.locator("[data-part=text] .differs").filter(has_text="Benim cümlem.")).to_have_count(1)
    for side in (now, mine):  # below the sentences that are the same
        expect(side.locator("[data-part=text] .differs").first).to_be_in_viewport()
        expect(side.get_by_role("heading", level=3)).to_be_in_viewport()
    page.evaluate(AXE.read_text("utf-8"))
    assert page.evaluate("axe.run(document.querySelector('#conflict'))")["violations"] == []
    dialog.get_by_role("button", name="Yerine benimkini kaydet").click()
    revised(page, theirs.revision + 1)
    after = working(room)
    assert "Benim cümlem." in texts(room) and THEIRS not in texts(room)
    assert (after.measurements, after.verdicts) == (theirs.measurements, theirs.verdicts)


def test_a_judgement_that_came_second_joins_what_is_there_or_is_dropped(page, room):
    hernia = page.locator('[data-finding="Hernia"] [data-judge=added]')
    theirs = changed_by_a_colleague(room)
    hernia.evaluate("(button) => button.click()")
    dialog, _, mine = sides(page)
    expect(mine.locator("[data-part=judged] .differs")).to_contain_text("radyolog ekledi")
    expect(dialog.locator("[data-part=text]").first).to_be_hidden()  # nothing was written here
    dialog.get_by_role("button", name="Şu anki hâliyle bırak").click()
    revised(page, theirs.revision)
    assert working(room) == theirs
    expect(fields(page, "impression").last).to_have_value(THEIRS)

    theirs = changed_by_a_colleague(room)
    hernia.evaluate("(button) => button.click()")
    dialog, *_ = sides(page)
    dialog.get_by_role("button", name="Benimkini de ekle").click()
    revised(page, theirs.revision + 1)
    after = working(room)
    assert {one.label for one in after.verdicts} == {one.label for one in theirs.verdicts} | {"Hernia"}
    assert texts(room).count(THEIRS) == 2
