"""The bill of materials names what runs on the server and in the browser, and is CycloneDX."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "sbom.py"


def test_the_bill_names_browser_and_server_parts(tmp_path):
    from cyclonedx.schema import SchemaVersion  # seconds, which every process of tests would pay
    from cyclonedx.validation.json import JsonStrictValidator

    venv.create(tmp_path / "installation")  # with one package: a whole one takes long
    (packages,) = (tmp_path / "installation").glob("lib/python*/site-packages")
    package = packages / "example-1.2.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: example\nVersion: 1.2\n", "utf-8")
    python, out = tmp_path / "installation" / "bin" / "python", tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, SCRIPT, "--python", python, "--out", out], check=True, capture_output=True
    )

    text = out.read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    named = {component["name"]: component for component in json.loads(text)["components"]}
    assert named["example"]["version"] == "1.2"
    htmx = named["htmx.org"]
    assert htmx["purl"] == f"pkg:npm/htmx.org@{htmx['version']}"
    assert htmx["licenses"] == [{"expression": "0BSD"}] and len(htmx["hashes"][0]["content"]) == 128
    assert named["@cornerstonejs/core"]["purl"].startswith("pkg:npm/%40cornerstonejs/core@")
