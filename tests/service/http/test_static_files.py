"""Browsers keep a file as long as its address names its content, and ask again for every other."""

from __future__ import annotations

from tests.service.kit import make_context, served
from tetkik.service.kit.rendering.templates import asset


def test_a_named_content_is_kept_and_a_bare_name_asked_for_again(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert "immutable" in client.get(asset("css/base.css")).headers["cache-control"]
        bare = client.get("/static/js/shell.js")
        assert bare.headers["cache-control"] == "no-cache"
        again = client.get("/static/js/shell.js", headers={"If-None-Match": bare.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
