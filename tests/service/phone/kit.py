"""A phone in a browser: taking a complaint or photo, and what lies in its storage."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect
from sqlalchemy import select

from tetkik.records.cases import cases
from tetkik.records.schema import Case
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, Role

COMPLAINT = "üç gündür öksürüyorum, ateşim var"
DESK = (Role.RECEPTION, Role.TECHNICIAN)
CASES = "**/api/v1/cases"


def ready(page: Page, path: str = "/phone") -> Page:
    """Open a page with its service worker at work."""
    page.goto(path)
    page.evaluate(
        """async () => { await navigator.serviceWorker.ready;
        if (!navigator.serviceWorker.controller)
            await new Promise((go) => navigator.serviceWorker.addEventListener('controllerchange', go)); }"""
    )
    return page


def take(page: Page, name: str, complaint: str = COMPLAINT, photo: Path | None = None) -> None:
    page.fill("#take-name", name)
    page.fill("#take-complaint", complaint)
    if photo is not None:
        page.set_input_files("#take-photo", photo)
    page.click("[data-take] [type=submit]")


def taken(page: Page, name: str) -> None:
    """Take a complaint that this page cannot send."""
    page.route(CASES, lambda route: route.abort())
    with page.expect_event("requestfailed"):
        take(page, name)
    expect(page.locator("[data-count]")).to_have_text("1")


def named(app_context: AppContext, name: str) -> list[str]:
    """The cases of patients of this name."""
    with app_context.records.read(SYSTEM) as tx:
        ids = tx.session.scalars(select(Case.id)).all()
        return [one for one in ids if cases.load_case(tx, one, audit=False).person.name == name]


_KEPT = """() => new Promise((found) => {
    const request = indexedDB.open('tetkik-phone');
    request.onsuccess = () => {
        const all = request.result.transaction('entries').objectStore('entries').getAll();
        const text = (bytes) => String.fromCharCode(...new Uint8Array(bytes));
        all.onsuccess = () => {
            request.result.close();
            all.result.sort((a, b) => a.at - b.at);
            found(all.result.map((one) => ({ ...one, text: one.body && text(one.body.sealed) })));
        };
    };
})"""


def kept(page: Page) -> list[dict[str, object]]:
    """What lies in the phone's storage, the oldest first, as anybody with the phone in hand reads it."""
    found: list[dict[str, object]] = page.evaluate(_KEPT)
    return found


def at_the_phone(page: Page) -> str | None:
    """The id of whoever the phone takes complaints from without a network; None for nobody."""
    found: str | None = page.evaluate(
        """() => new Promise((found) => {
            const request = indexedDB.open('tetkik-phone');
            request.onsuccess = () => {
                const person = request.result.transaction('here').objectStore('here').get('person');
                person.onsuccess = () => {
                    request.result.close();
                    found(person.result ?? null);
                };
            };
        })"""
    )
    return found


def nothing_kept(page: Page) -> None:
    """Wait until nothing lies in the phone's storage any more."""
    page.wait_for_function(f"async () => !(await ({_KEPT})()).length")
