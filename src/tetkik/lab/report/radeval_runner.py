"""Metrics of radeval, run by the Python of its own environment: JSON in, and out on the last line.

It imports nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def scores(metric: str, references: list[str], drafts: list[str]) -> dict[str, Any]:
    """The scores of each pair by key, or why there are none."""
    try:
        package = importlib.import_module("radeval")
        # Release 2.2.1 imports parts of itself under its former name.
        sys.modules.setdefault("RadEval", package)
        judge = package.RadEval(metrics=[metric], per_sample=True, show_progress=False)
        found = judge(refs=references, hyps=drafts)
        return {"scores": {key: [float(value) for value in values] for key, values in found.items()}}
    # Whatever a metric raises, or exits with, is the reason why it has no figure.
    except BaseException as fault:
        words = " ".join(str(fault).split())
        return {"fault": f"{type(fault).__name__}: {words}"[:160]}


def main() -> None:
    asked = json.load(sys.stdin)
    found = {name: scores(name, asked["references"], asked["drafts"]) for name in asked["metrics"]}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
