"""A browser that has shown a patient keeps nothing of them."""

from __future__ import annotations

import pytest

from tests.service.browser import chromium, opened, serving, signed_in
from tests.service.kit import make_context
from tests.service.rounds import Rounds

KEPT = """() => ({
  local: Object.entries(localStorage), session: Object.entries(sessionStorage), cookies: document.cookie
})"""

CARD = "cornerstone3D.renderingCapabilities"
"""What the viewer's library notes of the graphics card, once it has drawn."""


@pytest.mark.program("chromium")
def test_the_browser_keeps_nothing_of_a_patient(tmp_path):
    rounds = Rounds(make_context(tmp_path))
    with serving(rounds.app_context) as address, chromium() as browser, opened(browser, address) as context:
        signed_in(context, rounds.app_context, actor=rounds.radiologist)
        page = context.new_page()
        for path in ("/worklist", f"/read/{rounds.to_read}", f"/reports/{rounds.report}"):
            page.goto(path)
            if path.startswith("/read/"):
                page.wait_for_selector("[data-viewer][data-ready]")
            kept = page.evaluate(KEPT)
            local = dict(kept["local"])
            local.pop(CARD, None)
            assert set(local) <= {"tetkik-active", "tetkik-keys"}
            assert all(value.isdigit() or value in ("on", "off") for value in local.values())
            # htmx notes where it is, and no page is kept there.
            assert {name for name, _ in kept["session"]} <= {"htmx-current-path-for-history"}
            assert all(value.split("?")[0] == path for _, value in kept["session"])
            assert kept["cookies"] == ""  # every cookie is kept from scripts
        assert page.evaluate("async () => (await caches.keys()).length") == 0
        assert page.evaluate("async () => (await indexedDB.databases()).length") == 0
