"""The reading view in a real browser: from an open case to a signed report."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Route, expect

from tests.records.kit import made_user
from tests.service.browser import AXE, add_passkey, authenticator, wait_for_notice
from tests.service.reading_room import (
    PASSWORD,
    another_case,
    claim,
    cookie_of,
    fields,
    reading,
    revised,
    saved,
    seen,
    texts,
    working,
)
from tetkik.records.cases import cases
from tetkik.records.reports import drafts, versions
from tetkik.records.worklist import claims
from tetkik.values import FINDING_LABELS, CaseState, Judgement, Method, Role

BEFORE_THE_VIEWER = 200_000
"""Bytes that may come before the viewer."""


def test_whoever_claims_a_case_reads_it(browser, room):
    """A link from elsewhere shows the case; the button claims it. From the worklist both are one key."""
    with reading(browser, room) as page:
        page.goto(f"/read/{room.case_id}")
        expect(page.get_by_role("heading", level=2).first).to_be_visible()
        assert "Gülçin ŞAHİN" in page.locator(".strip-top").inner_text()
        assert room.case_id in page.url and "AHİN" not in page.url
        page.locator(".strip-top").get_by_role("button", name="Üstlen").click()
        page.wait_for_selector("[data-mine]")
        with room.app_context.records.read(room.reader) as tx:  # who leaves the page releases the case
            reader = claims.reader_of_case(tx, room.case_id)
    assert reader is not None and reader.user_id == room.reader.user_id


def test_a_reader_is_told_that_the_case_was_taken_over(page, room):
    seen(page)
    other = made_user(room.app_context.records, Role.RADIOLOGIST, name="Dr. Can Demir")
    with room.app_context.records.write(other) as tx:
        claims.claim_case(tx, room.case_id, take_over=True)
    expect(page.locator("[data-taken]")).to_contain_text("Dr. Can Demir")


def test_the_image_the_prior_and_a_heatmap_are_shown(page, room):
    seen(page)
    assert page.evaluate("document.querySelector('[data-pane=current] canvas').width") > 300
    page.wait_for_selector("[data-pane=prior][data-ready=processor]")  # by the hanging protocol
    page.keyboard.press("c")
    expect(page.locator("[data-pane=prior]")).to_be_hidden()
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior][data-ready=processor]")
    page.locator("[data-heat]").first.click()
    page.wait_for_selector(".viewer.with-heat .heat")
    assert page.evaluate("document.querySelector('.heat').decode().then(() => true)")


def test_findings_stand_in_groups(page, room):
    found = working(room).result
    assert found is not None
    positive = {item.label for item in found.findings if item.positive}
    shown = {row.get_attribute("data-finding") for row in page.locator(".finding.positive").all()}
    assert shown == positive
    assert page.locator("[data-finding]").count() == len(FINDING_LABELS)
    assert page.locator("#not-assessed").get_attribute("open") is None


def test_what_is_typed_is_saved_by_itself_and_checked(page, room):
    before = working(room).revision
    field = fields(page, "findings").first
    field.fill("Sol pnömotoraks vardır.")
    revised(page, before + 1)
    assert "Sol pnömotoraks vardır." in texts(room)
    line = page.locator(".line.marked").first
    expect(line.locator(".objection")).to_contain_text("nömotoraks")
    expect(page.locator("[data-sign]")).to_have_attribute("aria-disabled", "true")
    assert field.input_value() == "Sol pnömotoraks vardır."


def test_a_named_text_beside_the_sentences_is_sent_with_them(page, room):
    page.evaluate(
        """() => document.querySelector('[data-draft] > .scroll')
             .append(Object.assign(document.createElement('textarea'), { name: 'note' }))"""
    )
    field = page.locator('textarea[name="note"]')
    with page.expect_request(lambda request: request.method == "PUT" and "/read/" in request.url) as sent:
        field.fill("Önceki ile aynı.")
        field.press("Enter")
    body = sent.value.post_data_json
    assert body["note"].strip() == "Önceki ile aynı." and len(body["sentences"]) == len(texts(room))
    saved(page)
    assert field.input_value().strip() == "Önceki ile aynı."


def test_typing_goes_on_while_it_is_saved(page, room):
    field = fields(page, "findings").first
    field.fill("Kalp")
    page.route("**/read/*/*", lambda route: (page.wait_for_timeout(400), route.continue_()))
    page.keyboard.press("Control+s")
    field.press_sequentially(" gölgesi normaldir.", delay=30)
    revised(page, working(room).revision)
    saved(page)
    assert field.input_value() == "Kalp gölgesi normaldir."
    assert "Kalp gölgesi normaldir." in texts(room)
    page.unroute_all()


@pytest.mark.parametrize("path", ["", "/findings"])
def test_what_comes_and_goes_while_the_server_answers_stays_so(page, room, path):
    """A sentence is taken out and another begun between what is asked and its answer."""
    held: list[Route] = []
    page.route(f"**/read/*/*{path}", lambda route: route.continue_() if held else held.append(route))
    gone, field = texts(room)[0], fields(page, "impression").first
    with page.expect_request(f"**/read/*/*{path}"):
        if path:
            page.locator(".finding [data-judge=rejected]").first.click()
        else:
            field.fill("Kalp gölgesi normaldir.")
            page.keyboard.press("Control+s")
    page.locator("[data-remove]").first.evaluate("(button) => button.click()")
    page.locator('[data-add="impression"]').click()
    page.keyboard.type("Kontrol önerilir.")
    held[0].continue_()
    page.keyboard.press("Control+s")
    revised(page, 3)
    saved(page)
    page.unroute_all()
    assert gone not in texts(room) and "Kontrol önerilir." in texts(room)


def test_an_objection_is_decided_and_the_sentence_kept_or_taken_out(page, room):
    count = len(texts(room))
    fields(page, "findings").first.fill("Sol pnömotoraks vardır.")
    page.keyboard.press("Control+s")
    expect(page.locator(".chip.edited")).to_have_count(1)
    page.get_by_role("button", name="Çıkar").first.click()
    expect(page.locator("[data-line]")).to_have_count(count - 1)
    assert "Sol pnömotoraks vardır." not in texts(room)


def test_a_normal_report_and_a_positive_one_by_the_keyboard(browser, reading_hospital, tmp_path):
    """Typed normals meet no objection; judging writes, is undone, and signs: keys are counted."""
    quiet = another_case(reading_hospital)
    keys: list[str] = []

    def press(page, *names):
        for name in names:
            page.keyboard.press(name)
            keys.append(name)

    with reading(browser, quiet) as page:
        page.goto(f"/read/{quiet.case_id}")
        seen(page)
        label = page.locator(".finding.to-judge").first.get_attribute("data-finding") or ""
        row = page.locator(f'[data-finding="{label}"]')
        row.locator("[data-judge=accepted]").press("Enter")
        form = row.locator("[data-detail]")
        expect(form).to_be_visible()
        if form.locator("[value=left]").count():
            form.locator("[value=left]").press("Space")
        form.locator("[name=size]").fill("3 x 2 cm")
        form.locator("[name=size]").press("Enter")
        revised(page, 3)
        expect(page.locator(".chip.judged").first).to_be_visible()
        assert any("(3 x 2 cm)" in text for text in texts(quiet))
        stood = texts(quiet)
        page.locator(f'[data-finding="{label}"] [data-judge=rejected]').press("Enter")
        expect(page.locator(f'[data-finding="{label}"]')).to_have_class(re.compile("rejected"))
        assert not any("(3 x 2 cm)" in text for text in texts(quiet))
        page.keyboard.press("Control+z")
        revised(page, 5)
        assert texts(quiet) == stood
        page.locator(f'[data-finding="{label}"] [data-judge=rejected]').press("Enter")
        expect(page.locator(f'[data-finding="{label}"]')).to_have_class(re.compile("rejected"))
        # An edited sentence of the model is the person's once Enter at its end confirms it.
        line = fields(page, "findings").first
        if line.count():
            line.fill("Kalp boyutu normaldir.")
            page.keyboard.press("Control+s")
            expect(page.locator(".chip.edited")).to_have_count(1)
            line.press("End")
            page.keyboard.press("Enter")
            expect(page.locator(".chip.edited")).to_have_count(0)
        page.locator('[data-add="findings"]').click()
        page.keyboard.insert_text("Kostofrenik sinüsler açıktır.")
        press(page, "Control+Enter")
        dialog = page.locator("#sign")
        expect(dialog).to_be_visible()
        if dialog.locator("[data-accept-stated]").is_visible():
            press(page, "Enter")
            expect(dialog.locator("[data-accept-stated]")).to_be_hidden()
        expect(page.locator("#sign-password")).to_be_focused()
        page.keyboard.insert_text(PASSWORD)
        press(page, "Enter")
        expect(page.locator(".as-signed")).to_contain_text("Kostofrenik sinüsler açıktır.")
    assert len(keys) <= 3


def accept_stated(page):
    """Accept what the report states, where the dialog of the signature asks for it."""
    button = page.locator("#sign [data-accept-stated]")
    if button.is_visible():
        button.click()
        expect(button).to_be_hidden()


def test_sentences_by_keyboard(page, room):
    field = fields(page, "impression").first
    field.fill("Birinci cümle. İkinci cümle.")
    field.evaluate("(element) => element.setSelectionRange(14, 14)")
    page.keyboard.press("Enter")
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Control+s")
    saved(page)
    impression = [item.text for item in working(room).draft.sentences if item.section == "impression"]
    assert impression[:2] == ["İkinci cümle.", "Birinci cümle."]
    page.keyboard.press("Control+a")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    page.keyboard.press("Control+s")
    saved(page)
    assert "İkinci cümle." not in texts(room)


def test_a_sentence_that_is_typed_has_its_full_stop_once_it_is_left(page, room):
    before = texts(room)
    field = fields(page, "impression").first
    field.fill("Kalp boyutları normal sınırlarda")
    assert field.input_value()[-1] == "a"
    field.press("Tab")
    expect(field).to_have_value("Kalp boyutları normal sınırlarda.")
    saved(page)
    assert "Kalp boyutları normal sınırlarda." in texts(room) and len(texts(room)) == len(before)


def test_a_session_that_ends_loses_no_word(page, room):
    page.context.clear_cookies(name="tetkik")
    revision = working(room).revision
    field = fields(page, "impression").first
    field.fill("Oturum kapandıktan sonra yazıldı.")
    wait_for_notice(page, "başka bir sekmede oturum açın")
    assert field.input_value() == "Oturum kapandıktan sonra yazıldı."
    page.context.add_cookies([cookie_of(room)])
    page.keyboard.press("Control+s")
    revised(page, revision + 1)
    assert "Oturum kapandıktan sonra yazıldı." in texts(room)


def test_findings_are_judged(page, room):
    label = page.locator(".finding.positive").first.get_attribute("data-finding")
    page.locator(f'[data-finding="{label}"] [data-judge=rejected]').click()
    expect(page.locator(f'[data-finding="{label}"]')).to_have_class(re.compile("rejected"))
    page.locator('[data-finding="Hernia"] [data-judge=added]').evaluate("(button) => button.click()")
    expect(page.locator(".finding.added")).to_have_attribute("data-finding", "Hernia")
    assert {item.label: item.judgement for item in working(room).verdicts} == {
        label: Judgement.REJECTED,
        "Hernia": Judgement.ADDED,
    }
    page.locator(f'[data-finding="{label}"] [data-judge=rejected]').click()
    expect(page.locator(f'[data-finding="{label}"]')).not_to_have_class(re.compile("rejected"))


def test_two_who_write_at_once_both_keep_their_words(page, room, browser):
    with reading(browser, room) as other:
        other.goto(f"/read/{room.case_id}")
        revision = working(room).revision
        fields(other, "impression").first.fill("Onun cümlesi.")
        revised(other, revision + 1)
        fields(page, "impression").first.fill("Benim cümlem.")
        dialog = page.locator("#conflict")
        expect(dialog).to_be_visible()
        expect(dialog.locator(".differs")).to_have_text(["Onun cümlesi.", "Benim cümlem."])
        assert "Onun cümlesi." in texts(room)
        dialog.get_by_role("button", name="Yerine benimkini kaydet").click()
        revised(page, revision + 2)
        assert "Benim cümlem." in texts(room)
        fields(other, "impression").first.fill("Yine onun cümlesi.")
        other.locator("#conflict").get_by_role("button", name="Şu anki metni al").click()
        expect(fields(other, "impression").first).to_have_value("Benim cümlem.")
        assert "Yine onun cümlesi." not in texts(room)


def test_the_draft_in_the_other_language(page, room):
    page.locator("[data-rewrite=en]").click()
    expect(page.locator("[data-rewrite=en]")).to_have_attribute("aria-pressed", "true")
    assert working(room).draft.language == "en"
    # Typed a moment ago and not saved yet: it is asked about all the same.
    fields(page, "impression").first.fill("Changed by hand.")
    page.locator("[data-rewrite=tr]").click()
    page.locator("#confirm").get_by_role("button", name="Vazgeç").click()
    assert "Changed by hand." in texts(room)


def test_the_draft_is_accepted_or_rejected_as_a_whole(page, room):
    positive = page.locator(".finding.positive").count()
    page.get_by_label("Diğer").click()
    page.locator("[data-accept-all]").click()
    expect(page.locator(".finding.to-judge")).to_have_count(0)
    assert (
        0 < page.locator(".finding.accepted").count() <= positive
    )  # what is only suggested waits for nobody
    page.get_by_label("Diğer").click()
    page.locator("[data-empty]").click()
    page.locator("#confirm").get_by_role("button", name="Devam").click()
    expect(page.locator("[data-line]")).to_have_count(0)
    expect(page.locator("[data-sign]")).to_have_attribute("aria-disabled", "true")
    page.locator('[data-add="findings"]').click()
    page.keyboard.type("Akciğerler normal görünümdedir.")
    page.keyboard.press("Control+s")
    saved(page)
    assert texts(room) == ["Akciğerler normal görünümdedir."]
    # Against one's own judgement, or without an impression, whoever signs says that it is meant.
    page.locator("[data-sign]").click()
    against = "“Akciğerler normal görünümdedir.” Pnömoni saptandı."
    expect(page.locator("[data-doubts] li")).to_have_text([against, "Raporun Sonuç bölümü boş."])
    page.fill("#sign-password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#sure")).to_be_focused()
    page.keyboard.press("Space")
    page.locator("#sign [type=submit]").click()
    expect(page.locator(".as-signed")).to_contain_text("Akciğerler normal görünümdedir.")


@pytest.mark.parametrize("at", ["input[value=left]", "label:has([value=left])"])
def test_a_side_that_is_clicked_is_written_at_once(page, room, at):
    row = page.locator('[data-finding="Pneumonia"]')
    row.locator("[data-judge=accepted]").click()
    row.locator(f"[data-detail] {at}").click()
    expect(page.locator("[data-lines=findings] textarea", has_text=re.compile("sol", re.I))).to_have_count(1)


def test_the_report_is_signed_with_the_password(page, room):
    fields(page, "findings").first.fill("Sol pnömotoraks vardır.")
    page.keyboard.press("Control+s")
    expect(page.locator("[data-sign]")).to_have_attribute("aria-disabled", "true")
    page.locator("[data-sign]").dispatch_event("click")
    wait_for_notice(page, "Karar bekleyen")
    assert page.locator("#sign").is_hidden()
    page.get_by_role("button", name="Cümle kalsın").first.click()
    expect(page.locator("[data-sign]")).not_to_have_attribute("aria-disabled", "true")
    page.locator("[data-sign]").click()
    dialog = page.locator("#sign")
    expect(dialog).to_contain_text("Sol pnömotoraks vardır.")
    accept_stated(page)
    # The written finding is critical: whether somebody was told is asked once.
    expect(dialog.locator("[data-critical-question] [data-names]")).to_have_text("Pnömotoraks")
    dialog.locator("input[name=told][value=told]").check()
    page.fill("#signed-told-to", "Dr. Ay, acil")
    page.fill("#sign-password", "yanlış parola")
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-refused]")).to_contain_text("Parola doğru değil")
    page.fill("#sign-password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".as-signed")).to_contain_text("Sol pnömotoraks vardır.")
    with room.app_context.records.read() as tx:
        report_id = drafts.report_of_image(tx, room.image_id)
        signed = versions.version_of(tx, report_id or "", pictures=False)
        assert cases.load_case(tx, room.case_id, audit=False).state is CaseState.SIGNED
    assert signed.method is Method.PASSWORD and signed.info.corrected


def test_the_report_is_signed_with_a_passkey(browser, room):
    # A passkey belongs to a name.
    named = replace(room, address=room.address.replace("127.0.0.1", "localhost"))
    with reading(browser, named) as page:
        authenticator(page)
        add_passkey(page, "Masa 3", PASSWORD)
        page.goto(f"/read/{room.case_id}")
        page.locator("[data-sign]").click()
        accept_stated(page)
        page.locator("[data-passkey-sign]").click()
        expect(page.locator(".as-signed")).to_be_visible()
    with room.app_context.records.read() as tx:
        signed = versions.version_of(tx, drafts.report_of_image(tx, room.image_id) or "", pictures=False)
    assert signed.method is Method.PASSKEY and not signed.info.corrected


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (768, "dark"), (390, "light")])
def test_axe_finds_nothing_and_nothing_hangs_over(browser, reading_hospital, width, theme):
    with reading(browser, reading_hospital, width=width, theme=theme) as page:
        page.goto(f"/read/{reading_hospital.case_id}")
        seen(page)
        page.evaluate(AXE.read_text("utf-8"))
        for tab in ("tab-findings", "tab-draft") if width < 1340 else ("",):
            if tab:
                page.locator(f"#{tab}").click()
            found = page.evaluate("axe.run()")["violations"]
            assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            # On a phone the film fills the screen, and the page scrolls to what is under it.
            assert width < 640 or page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_the_page_is_light_before_the_viewer(browser, reading_hospital):
    names: dict[str, str] = {}
    sizes: dict[str, float] = {}
    with reading(browser, reading_hospital) as page:
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on(
            "Network.responseReceived",
            lambda event: names.update({event["requestId"]: event["response"]["url"]}),
        )
        network.on(
            "Network.loadingFinished",
            lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
        )
        page.goto(f"/read/{reading_hospital.case_id}")
        seen(page)
    late = "/viewer/|/cornerstone/|/images/"
    before = {
        names[one]: size for one, size in sizes.items() if one in names and not re.search(late, names[one])
    }
    assert len(before) > 10
    assert sum(before.values()) < BEFORE_THE_VIEWER, before


def test_all_tabs_of_a_browser_hear_by_one_stream(browser, room):
    streams: list[str] = []
    claim(room)
    with reading(browser, room) as page:
        page.context.on("request", lambda request: streams.append(request.url))
        page.goto(f"/read/{room.case_id}")
        page.wait_for_function("() => navigator.locks.query().then((all) => all.held.length === 1)")
        second = page.context.new_page()
        second.goto("/worklist")
        second.wait_for_function("() => navigator.locks.query().then((all) => all.pending.length === 1)")
        (stream,) = (url for url in streams if "/api/v1/events" in url)
        assert re.search(r"/events\?after=\d+$", stream)
        # What happens is passed on by the tab that listens, and each takes what is for it.
        other = made_user(room.app_context.records, Role.RADIOLOGIST, name="Dr. Barış")
        with room.app_context.records.write(other) as tx:
            claims.claim_case(tx, room.case_id, take_over=True)
        expect(second.locator(f'tr[data-case="{room.case_id}"]')).to_contain_text("Barış")
        expect(page.locator("[data-taken]")).to_contain_text("Barış")
