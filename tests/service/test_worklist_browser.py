"""The worklist in a browser: by keyboard alone, and live without losing the row that one looks at."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import expect

from tests.records.kit import made_case, made_user
from tests.service.browser import (
    Watch,
    add_passkey,
    authenticator,
    axe,
    chord,
    opened,
    overflow,
    serving,
    signed_in,
)
from tests.service.reading_room import PASSWORD, another_case, made_room, reading, served_room
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.schema.cases import Case
from tetkik.records.worklist import assignments, claims
from tetkik.values.access import SYSTEM, Role
from tetkik.values.states import CaseState, Priority


def put(app_context, name, *, priority=Priority.ROUTINE):
    desk = made_user(app_context.records, Role.RECEPTION)
    case_id = made_case(app_context.records, desk, Person(name), department="Dahiliye", priority=priority)
    with app_context.records.write(desk) as tx:
        cases.set_state(tx, case_id, CaseState.TO_READ)
    return case_id


def top_of(page, case_id):
    """Where a row is on the screen, asked within the page: its rows are exchanged at any moment."""
    return page.evaluate(
        "id => document.querySelector(`tr[data-case='${id}']`).getBoundingClientRect().y", case_id
    )


def test_by_keyboard_and_live(app_context, browser):
    every = [put(app_context, f"Hasta {n:02}") for n in range(30)]
    with serving(app_context) as address, opened(browser, address, language="en") as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        page.goto("/worklist")
        current = page.locator("tr.case.current")
        page.keyboard.press("j")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("j")
        page.keyboard.press("k")
        expect(current).to_have_attribute("data-case", every[1])
        expect(page.locator(":focus")).to_have_id(f"open-{every[1]}")
        # Claim and release, with what others see.
        page.keyboard.press("c")
        page.locator(f'tr[data-case="{every[1]}"] .mine').wait_for()
        with app_context.records.read() as tx:
            assert claims.reader_of_case(tx, every[1]) is not None
        expect(page.locator(":focus")).to_have_id(f"open-{every[1]}")
        page.keyboard.press("r")
        page.locator(f'tr[data-case="{every[1]}"] [data-claim="claim"]').wait_for()
        # Far down, something critical comes in on top: the row stays where it is on the screen.
        for _ in range(24):
            page.keyboard.press("j")
        before = top_of(page, every[25])
        critical = put(app_context, "Çok Acil", priority=Priority.CRITICAL)
        page.locator(f'tr[data-case="{critical}"]').wait_for(state="attached")
        with app_context.records.read() as tx:
            number = tx.session.get_one(Case, critical).number
        page.locator("#news", has_text=number).wait_for(state="attached")
        assert abs(before - top_of(page, every[25])) < 2
        expect(current).to_have_attribute("data-case", every[25])
        expect(page.locator(":focus")).to_have_id(f"open-{every[25]}")
        expect(page.locator("tr.case").first).to_have_attribute("data-case", critical)
        assert "Acil" not in (page.locator("#news").text_content() or "")
        # Taking over asks first.
        other = made_user(app_context.records, Role.RADIOLOGIST, name="Dr. Barış")
        with app_context.records.write(other) as tx:
            claims.claim_case(tx, every[25])
        page.locator(f'tr[data-case="{every[25]}"] [data-claim="take"]').wait_for(state="attached")
        page.keyboard.press("c")
        question = page.locator("#confirm[open]")
        assert "Dr. Barış" in (question.text_content() or "")
        question.locator("[data-yes]").click()
        page.locator(f'tr[data-case="{every[25]}"] .mine').wait_for()
        # Search, and back.
        page.keyboard.press("/")
        expect(page.locator(":focus")).to_have_id("words")
        page.keyboard.type("hasta 07")
        page.keyboard.press("Enter")
        page.locator("#found-title").wait_for()
        expect(page.locator(":focus")).to_have_id(f"open-{every[7]}")
        assert "hasta" not in page.url.lower()
        assert watch.complaints == []


def test_a_search_on_a_page_of_its_own(app_context, browser):
    case_id = put(app_context, "Hasta 01")
    with serving(app_context) as address, opened(browser, address) as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        page.goto("/search")
        # As with a slow server: the search while one types replaces the one that Enter asked for.
        page.evaluate("""() => document.addEventListener("htmx:beforeSend", ({ detail }) => {
            const late = { source: "#words", target: "#worklist" };
            if (detail.elt.tagName !== "FORM") return;
            // Replaced in its turn by the search while one types, its promise is rejected without a reason.
            setTimeout(() => htmx.ajax("POST", "/search", late).catch(() => {}), 0);
        })""")
        page.locator("#words").fill("hasta 01")
        page.locator("#words").press("Enter")
        page.wait_for_function("id => document.activeElement.id === `open-${id}`", arg=case_id)
        page.locator("tr.case td.priority").click()  # anywhere on the row
        page.wait_for_url(f"**/{case_id}*")
        assert watch.complaints == []


def test_a_key_works_the_moment_a_row_is_there(app_context, browser):
    case_id = put(app_context, "Hasta 01")
    with serving(app_context) as address, opened(browser, address) as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        page = context.new_page()
        page.goto("/worklist")
        page.keyboard.press("j")
        page.evaluate(
            """() => new MutationObserver((_, observer) => {
                if (!document.querySelector("#worklist .mine")) return;
                observer.disconnect();
                const key = new KeyboardEvent("keydown", { key: "r", bubbles: true });
                document.activeElement.dispatchEvent(key);
            }).observe(document.getElementById("worklist"), { childList: true, subtree: true })"""
        )
        with page.expect_response(lambda answer: answer.request.method == "DELETE"):
            page.keyboard.press("c")
        with app_context.records.read() as tx:
            assert claims.reader_of_case(tx, case_id) is None


def test_pages_of_one_browser_share_a_stream(app_context, browser):
    with serving(app_context) as address, opened(browser, address) as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        streams: list[str] = []
        context.on("request", lambda request: streams.append(request.url))
        first, second = context.new_page(), context.new_page()
        with context.expect_event("request", lambda request: "/events?after" in request.url):
            first.goto("/worklist")
        second.goto("/worklist")
        both = put(app_context, "Hasta BİR")
        for page in (first, second):
            page.locator(f'tr[data-case="{both}"]').wait_for()
        assert len([url for url in streams if "/events?after" in url]) == 1
        with context.expect_event("request", lambda request: "/events?after" in request.url):
            first.close()
        later = put(app_context, "Hasta İKİ")
        second.locator(f'tr[data-case="{later}"]').wait_for()
        assert len([url for url in streams if "/events?after" in url]) == 2


def test_from_the_list_to_the_next_case_in_six_keys(browser, tmp_path):
    """A normal film is opened, signed with a passkey, and the next one open; who leaves reads no more."""
    made = made_room(tmp_path)
    later = another_case(made)
    routine = put(made.app_context, "Hasta 03")
    with served_room(made) as room:
        # A passkey belongs to a name.
        named = replace(room, address=room.address.replace("127.0.0.1", "localhost"))
        with reading(browser, named) as page:
            authenticator(page)
            add_passkey(page, "Masa 3", PASSWORD)
            page.goto("/worklist?priority=urgent")
            page.keyboard.press("j")
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/read/{room.case_id}*")
            page.locator("[data-viewer] canvas").first.wait_for()
            chord(page, "s", "s")
            expect(page.locator("#sign")).to_be_visible()
            page.keyboard.press("Enter")
            expect(page.locator("[data-passkey-sign]")).to_be_focused()
            page.keyboard.press("Enter")
            page.wait_for_url(f"**/read/{later.case_id}*")
            expect(page.locator("#toasts")).to_contain_text("imzalandı")
            page.locator("[data-viewer] canvas").first.wait_for()
            with room.app_context.records.read() as tx:
                assert cases.load_case(tx, room.case_id, audit=False).state is CaseState.SIGNED
                assert claims.reader_of_case(tx, later.case_id) is not None
            # No further case in the view: back to it; and whoever leaves reads no more.
            chord(page, "n", "n")
            page.wait_for_url("**/worklist?priority=urgent")
            page.wait_for_function(
                "id => !document.querySelector(`tr[data-case='${id}'] .mine`)", arg=later.case_id
            )
            with room.app_context.records.read() as tx:
                assert claims.reader_of_case(tx, later.case_id) is None
            # Somebody else reads one: opening it asks, and takes nothing over by itself.
            other = made_user(room.app_context.records, Role.RADIOLOGIST, name="Dr. Barış")
            with room.app_context.records.write(other) as tx:
                claims.claim_case(tx, routine)
            page.goto(f"/read/{routine}")
            asked = page.locator("#read-by[open]")
            expect(asked).to_contain_text("Dr. Barış")
            asked.locator("[type=submit]").click()
            page.wait_for_selector("[data-mine]")
            with room.app_context.records.read() as tx:
                reader = claims.reader_of_case(tx, routine)
            assert reader is not None and reader.user_id == room.reader.user_id


def test_a_case_is_assigned_by_touch_on_a_phone(app_context, browser):
    mine, later = put(app_context, "Hasta 01"), put(app_context, "Hasta 02")
    reader = made_user(app_context.records, Role.RADIOLOGIST, name="Uzm. Dr. Abdurrahman Kavaklıdereoğlu")
    with app_context.records.write(SYSTEM) as tx:
        assignments.save_pool(tx, None, "Toraks", [reader.user_id or ""])
    with (
        serving(app_context) as address,
        opened(browser, address, width=390, language="tr", touch=True) as context,
    ):
        signed_in(context, app_context, actor=reader)
        page = context.new_page()
        page.goto("/worklist")
        for case_id, whom in ((mine, "Bana"), (later, "Toraks")):
            button = page.locator(f'tr[data-case="{case_id}"] [data-assign]')
            box = button.bounding_box()
            assert box is not None and box["height"] >= 40
            button.tap()
            dialog = page.locator("#assign[open]")
            dialog.locator("select").select_option(label=whom)
            dialog.locator("[type=submit]").tap()
            expect(button).to_have_text(reader.name if whom == "Bana" else whom)
        assert overflow(page) == 0
        page.goto("/worklist?assigned=mine")
        expect(page.locator("tr.case")).to_have_attribute("data-case", mine)


def test_it_fits_every_screen(app_context, browser):
    for n in range(21):
        put(app_context, f"Gülçin ŞAHİN {n}", priority=Priority(n % 3))
    with serving(app_context) as address:
        actor = made_user(app_context.records, Role.RADIOLOGIST)
        with opened(browser, address) as context:
            signed_in(context, app_context, actor=actor)
            page = context.new_page()
            for width, height in ((1440, 900), (768, 1024), (390, 844)):
                page.set_viewport_size({"width": width, "height": height})
                page.goto("/worklist")
                assert overflow(page) == 0
                assert axe(page) == []
                shown = (
                    "[...document.querySelectorAll('tr.case')].filter((row) => "
                    "row.getBoundingClientRect().bottom <= innerHeight).length"
                )
                assert width < 1440 or page.evaluate(shown) >= 20
