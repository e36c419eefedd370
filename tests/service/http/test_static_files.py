"""Browsers keep a file as long as its address names its content, and ask again for every other."""

from __future__ import annotations

import re

from tests.service.kit import make_context, served
from tetkik.service.kit.rendering.templates import asset, bundled


def test_a_named_content_is_kept_and_a_bare_name_asked_for_again(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert "immutable" in client.get(asset("css/base.css")).headers["cache-control"]
        bare = client.get("/static/js/shell.js")
        assert bare.headers["cache-control"] == "no-cache"
        again = client.get("/static/js/shell.js", headers={"If-None-Match": bare.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(re.sub("v=.*", "v=0123456789ab", asset("css/base.css")))  # of another version
        assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")
        assert (
            client.get(re.sub("v=.*", "", bundled("js/shell.js")[1])).headers["cache-control"] == "no-cache"
        )


def test_a_script_comes_with_all_that_it_imports(tmp_path):
    text, address = bundled("js/reading/reading.js")
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    assert text.index("modules['js/viewer/view.js'] =") < text.index("modules['js/viewer/viewer.js'] =")
    assert text.count("modules['js/viewer/preferences.js'] =") == 1  # asked for by several
    with served(make_context(tmp_path)) as client:
        answer = client.get(address)
        assert answer.text == text and "immutable" in answer.headers["cache-control"]
        assert client.get("/static/bundle/js/missing.js").status_code == 404
