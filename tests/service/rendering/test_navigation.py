"""The bar: declared beside the pages, in one order, each entry a page with the same permission."""

from __future__ import annotations

from fastapi.routing import APIRoute

from tests.service.kit import make_context
from tetkik.language import Sentence
from tetkik.service.app import create_app, routers
from tetkik.service.kit.access.authorization import Guard, guards
from tetkik.service.kit.rendering.templates import NavigationEntry, current_entry
from tetkik.values import Permission


def entry(path: str) -> NavigationEntry:
    return NavigationEntry(path, Permission.SYSTEM, "server", Sentence("System"), "g s", position=1)


def test_every_entry_is_a_page_with_its_permission(tmp_path):
    entries = create_app(make_context(tmp_path), work=False).state.navigation
    pages = {
        route.path: guard.permission
        for router in routers("pages")
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
        for guard in guards(route)
        if isinstance(guard, Guard)
    }
    assert {item.path: item.permission for item in entries}.items() <= pages.items()
    assert (
        len({item.position for item in entries}) == len({item.shortcut for item in entries}) == len(entries)
    )


def test_a_page_belongs_to_the_deepest_entry_above_it():
    admin, users = entry("/admin"), entry("/admin/users")
    assert current_entry((admin, users), "/admin/users/7") is users
    assert current_entry((admin, users), "/admin/other") is admin
    assert current_entry((admin, users), "/administrator") is None
