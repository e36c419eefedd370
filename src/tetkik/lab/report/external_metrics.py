"""RadGraph F1, RaTEScore and GREEN, computed by the package radeval in an environment of its own.

Its requirements (NumPy below 2, trust in code of a hub) do not fit into this one's. J.-B. Delbrouck et al.,
RadEval, EMNLP 2025.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from tetkik.language import Sentence

METRICS = {
    "radgraph_f1": ("radgraph", "radgraph_partial"),
    "ratescore": ("ratescore",) * 2,
    "green": ("green",) * 2,
}
"""Our names, and radeval's of the metric and of its figure; RadGraph F1 is that of entities and
whether they have relations."""
_RUNNER = "radeval_runner.py"
_HOURS = 12.0
"""For all metrics: GREEN's network takes minutes a report on a CPU."""
_OFFLINE = dict.fromkeys(
    ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DO_NOT_TRACK"), "1"
)


def radeval_rows(
    references: Sequence[str], drafts: Sequence[str], python: Path, *, offline: bool
) -> dict[str, list[float] | Sentence]:
    """The score of each pair of English reports by metric, or why there is none.

    Args:
        python: the interpreter of an environment with radeval.
        offline: whether the hub's clients take only what was downloaded before.
    """
    asked = {
        "metrics": [name for name, _ in METRICS.values()],
        "references": list(references),
        "drafts": list(drafts),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TETKIK_")}
    environment |= _OFFLINE if offline else {}
    try:
        with (
            resources.as_file(resources.files(__package__).joinpath(_RUNNER)) as runner,
            tempfile.TemporaryDirectory() as folder,  # some metrics write beside themselves
        ):
            answer = subprocess.run(  # noqa: S603 - our own program, without a shell
                [python.absolute(), "-I", runner],
                input=json.dumps(asked).encode(),
                capture_output=True,
                check=False,
                cwd=folder,
                env=environment,
                timeout=_HOURS * 3600,
            )
        found = json.loads(answer.stdout.splitlines()[-1] if answer.stdout.strip() else b"")
        if not isinstance(found, dict):
            raise ValueError("no object")
    except subprocess.TimeoutExpired:
        reason = Sentence("radeval was stopped: it took longer than {hours:g} hours.", {"hours": _HOURS})
        return dict.fromkeys(METRICS, reason)
    except OSError as fault:
        return dict.fromkeys(
            METRICS,
            Sentence("{python} could not be run ({fault}).", {"python": python, "fault": fault.strerror}),
        )
    except (ValueError, RecursionError):
        reason = Sentence(
            "The program of radeval ended without figures (exit status {status}).",
            {"status": answer.returncode},
        )
        return dict.fromkeys(METRICS, reason)
    return {
        name: _rows(found.get(metric), key, len(references), offline)
        for name, (metric, key) in METRICS.items()
    }


def _rows(found: object, key: str, count: int, offline: bool) -> list[float] | Sentence:
    content = found if isinstance(found, dict) else {}
    scores = content.get("scores")
    rows = scores.get(key) if isinstance(scores, dict) else None
    if isinstance(rows, list) and len(rows) == count and all(map(_is_figure, rows)):
        return rows
    fault = content.get("fault") or "no figure for each report"
    if offline:
        return Sentence(
            "radeval could not compute it ({fault}). Weights that are not here it may fetch with the setting "
            "offline=false.",
            {"fault": fault},
        )
    return Sentence("radeval could not compute it ({fault}).", {"fault": fault})


def _is_figure(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)
