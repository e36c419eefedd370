"""Writes the software bill of materials: what of others an installation runs (CycloneDX 1.6, JSON).

    python docs/sbom.py --python /opt/tetkik/current/bin/python --out sbom.cdx.json

The Python packages are those of the environment that is named; the browser's are those of `static/vendor/`,
with the integrity that their lock files pin.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

VENDOR = Path(__file__).parent.parent / "src" / "tetkik" / "service" / "static" / "vendor"


def server_parts(python: str) -> dict[str, Any]:
    """The bill of a Python environment, by cyclonedx-bom."""
    command = [
        sys.executable,
        "-m",
        "cyclonedx_py",
        "environment",
        "--sv",
        "1.6",
        "--output-reproducible",
        python,
    ]
    answer = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - our own arguments
    bill: dict[str, Any] = json.loads(answer.stdout)
    for component in bill["components"]:  # a folder of this machine is no place to get anything from
        named = component.pop("externalReferences", [])
        if known := [item for item in named if not item["url"].startswith("file:")]:
            component["externalReferences"] = known
    return bill


def browser_parts() -> list[dict[str, Any]]:
    """A component for each package under `static/vendor/`."""
    found = []
    for manifest in sorted(VENDOR.glob("*/manifest.json")):
        for package in json.loads(manifest.read_text("utf-8"))["packages"]:
            name, version = package["name"], package["version"]
            purl = f"pkg:npm/{quote(name, safe='/')}@{version}"
            digest = base64.b64decode(package["integrity"].removeprefix("sha512-")).hex()
            found.append(
                {
                    "type": "library",
                    "bom-ref": purl,
                    "name": name,
                    "version": version,
                    "purl": purl,
                    "licenses": [{"expression": package["licence"]}],
                    "hashes": [{"alg": "SHA-512", "content": digest}],
                    "properties": [
                        {"name": "tetkik:folder", "value": f"static/vendor/{manifest.parent.name}"}
                    ],
                }
            )
    return found


def bill_of(python: str) -> dict[str, Any]:
    """The whole bill of an installation."""
    bill = server_parts(python)
    bill["components"] = [*bill["components"], *browser_parts()]
    return bill


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the installation")
    parser.add_argument("--out", type=Path, default=Path("sbom.cdx.json"))
    chosen = parser.parse_args()
    bill = bill_of(chosen.python)
    chosen.out.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"{chosen.out}: {len(bill['components'])} components")


if __name__ == "__main__":
    main()
