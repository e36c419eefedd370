"""Every page of every role, in a real browser: nobody is kept out by how a page is made.

Pages are found by their routes, so that a new one is looked at without a word here; one whose address names
something (a case, a report) says below what is put in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Page, Response, expect

from tests.service.browser import SIZES, Watch, arrived, axe, chord, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tests.service.rounds import Rounds
from tetkik.service.app import routers
from tetkik.service.kit.access.authorization import Guard, guards
from tetkik.values import Permission, Role, permissions_of

MOST_BYTES = 150_000
SMALL = """() => {
    const small = [];
    for (const one of document.querySelectorAll('a[href], button, input, select, textarea, summary')) {
        const target = one.matches('[type=checkbox], [type=radio]') ? (one.labels[0] ?? one) : one;
        const shown = target.checkVisibility({ visibilityProperty: true })
            && !target.closest(".sr-only, .skip");
        const words = (element) => element.innerText.trim();
        const sentence = target.matches('a') && words(target.parentElement) !== words(target) &&
            getComputedStyle(target).display === 'inline';
        const { width, height } = target.getBoundingClientRect();
        if (shown && !sentence && (width < 43.9 || height < 43.9))
            small.push(`${location.pathname} ${width} x ${height}: ${target.outerHTML.slice(0, 120)}`);
    }
    return small;
}"""
"""What is pressed and is smaller than a finger (WCAG 2.2, 2.5.5); a link in a sentence may be."""


def page_routes() -> list[APIRoute]:
    routes = [route for router in routers("pages") for route in router.routes]
    return [route for route in routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]


def addresses(role: Role | None, rounds: Rounds) -> list[str]:
    """The pages that a role may open, or somebody who is not signed in."""
    held = permissions_of(frozenset({role})) if role else frozenset()
    found = []
    for route in page_routes():
        (guard,) = guards(route)
        if getattr(guard, "permission", None) is Permission.CASE_MOVE and Permission.CASE_READ not in held:
            continue  # with it alone nobody sees a case, and so moves none
        if (guard.permission in held) if isinstance(guard, Guard) else role is None:
            found += rounds.addresses(route.path)
    return sorted(set(found))


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    yield Rounds(make_context(tmp_path_factory.mktemp("hospital"), hospital_name="Örnek Hastanesi"))


@pytest.fixture(scope="module")
def address(rounds: Rounds) -> Iterator[str]:
    with serving(rounds.app_context) as found:
        yield found


def missing_icons(page: Page, rounds: Rounds) -> list[str]:
    """The icons that a page refers to and no file has."""
    all_of_them = "all => all.map(one => one.getAttribute('href'))"
    found = {
        (href.split("?")[0], href.split("#")[-1])
        for href in page.locator("svg use").evaluate_all(all_of_them)
    }
    return [f"no icon {name}" for file, name in sorted(found) if f'id="{name}"' not in rounds.static(file)]


_SEEN_IN_THE_DARK: set[str] = set()
"""Paths: a page has the same colours for every role (`test_tokens.py` holds each pair of them)."""


def faults_of(page: Page, watch: Watch, rounds: Rounds, path: str) -> list[str]:
    """What is wrong with a page: on a desk in the light, on a tablet, on a phone in the dark."""
    answer = page.goto(path)
    assert answer is not None
    if page.locator("main").count() == 0:  # a part of a page
        return [] if answer.status == 200 else [f"{answer.status}"]
    faults = [] if answer.status == 200 else [f"{answer.status}"]
    faults += [] if page.locator("h1").count() == 1 else ["has not one heading"]
    faults += missing_icons(page, rounds)
    faults += axe(page)
    for width in (768, 390):
        page.set_viewport_size({"width": width, "height": SIZES[width]})
        faults += [f"{overflow(page)} pixels too wide for {width}"] if overflow(page) > 0 else []
    if path not in _SEEN_IN_THE_DARK:
        _SEEN_IN_THE_DARK.add(path)
        page.emulate_media(color_scheme="dark")
        faults += [f"dark: {fault}" for fault in axe(page, "color-contrast")]
        page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": SIZES[1440]})
    faults += watch.complaints
    watch.complaints.clear()
    return faults


@pytest.mark.parametrize("role", [None, *Role], ids=lambda role: role.value if role else "signed-out")
def test_every_page_can_be_used_by_everybody(browser, rounds, address, role):
    with opened(browser, address) as context:
        if role:
            signed_in(context, rounds.app_context, role)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        faults = [
            f"{path}: {fault}"
            for path in addresses(role, rounds)
            for fault in faults_of(page, watch, rounds, path)
        ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", ["/login", "/worklist", "/reception"])
def test_the_first_page_is_light(browser, rounds, address, path):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, Role.RADIOLOGIST, Role.RECEPTION)
        answers: list[Response] = []
        page = context.new_page()

        def note(answer: Response) -> None:
            answers.append(answer)

        page.on("response", note)
        page.goto(path, wait_until="load")
        sizes = {
            answer.url: len(answer.body())
            for answer in answers
            # What somebody else changed is asked for anew at any moment: it is not the first page's.
            if answer.ok and answer.request.resource_type not in ("eventsource", "fetch", "xhr")
        }
        assert len(sizes) > 3
        assert sum(sizes.values()) < MOST_BYTES, "\n".join(map(str, sizes.items()))


def test_every_place_leads_somewhere(browser, rounds, address):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, *Role)
        page = context.new_page()
        page.goto("/account")
        places = page.locator(".places a").evaluate_all("found => found.map(one => one.getAttribute('href'))")
        assert len(places) >= 6
        for path in places:
            answer = page.goto(path)
            assert answer is not None and answer.status == 200, path
            assert page.locator(".places a[aria-current]").get_attribute("href") == path


def test_shortcuts_lead_to_places_and_are_told(browser, rounds, address):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, Role.ENGINEER, Role.ADMINISTRATOR)
        page = context.new_page()
        page.goto("/engineer")
        chord(page, "g", "s")
        arrived(page, "/admin")
        page.keyboard.press("?")
        help_ = page.locator("dialog#keys")
        help_.wait_for(state="visible")
        assert help_.locator("dt").all_inner_texts()[:2] == ["Modeller", "Kullanıcılar"]
        page.keyboard.press("Escape")
        help_.wait_for(state="hidden")


def test_letters_alone_can_be_switched_off(browser, rounds, address):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, Role.ENGINEER, Role.ADMINISTRATOR)
        page = context.new_page()
        page.goto("/engineer")
        page.get_by_role("button", name="Klavye").click()
        page.locator("[data-letters]").uncheck()
        page.keyboard.press("Escape")
        page.goto("/engineer")  # it is remembered
        chord(page, "g", "s")
        page.keyboard.press("?")
        assert page.url.endswith("/engineer")
        assert not page.locator("dialog#keys").is_visible()


def test_the_skip_link_leads_to_the_content(browser, rounds, address):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, Role.ENGINEER)
        page = context.new_page()
        page.goto("/engineer")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_class("skip")
        page.keyboard.press("Enter")
        expect(page.locator(":focus")).to_have_id("main")


def test_theme_and_language_change_at_once(browser, rounds, address):
    with opened(browser, address) as context:
        signed_in(context, rounds.app_context, Role.ENGINEER)
        page = context.new_page()
        page.goto("/engineer")
        assert page.locator("h1").inner_text() == "Modeller"
        page.locator("details.menu > summary").click()
        page.get_by_role("button", name="English").click()
        expect(page.locator("h1")).to_have_text("Models")
        page.locator("details.menu > summary").click()
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        expect(page.locator("body")).to_have_css("background-color", "rgb(13, 21, 24)")


def test_an_idle_screen_locks(browser, tmp_path):
    app_context = make_context(tmp_path, lock_minutes=1)
    with serving(app_context) as address, opened(browser, address) as context:
        signed_in(context, app_context, Role.ENGINEER)
        page = context.new_page()
        page.clock.install()
        page.goto("/engineer")
        page.clock.run_for("00:20")  # and as much as the machine has let pass meanwhile
        assert page.url.endswith("/engineer")
        page.clock.run_for("00:50")
        page.get_by_label("Parola").wait_for()
        assert "/lock" in page.url
        page.goto("/engineer")
        assert "/lock" in page.url


def test_under_a_finger_whatever_is_pressed_has_44_pixels(browser, rounds, address):
    roles = (Role.RADIOLOGIST, Role.CLINICIAN, Role.RECEPTION, Role.TECHNICIAN)
    # Of pages that differ in what they are about alone, one.
    paths = {re.sub(r"[0-9a-z]{26}", "", path): path for role in roles for path in addresses(role, rounds)}
    small: list[str] = []
    with opened(browser, address, width=390, touch=True) as context:
        signed_in(context, rounds.app_context, *roles)
        page = context.new_page()
        for path in paths.values():
            page.goto(path)
            if page.locator("main").count():
                small += page.evaluate(SMALL)
                assert overflow(page) == 0, path
    assert not small, "\n".join(small)
