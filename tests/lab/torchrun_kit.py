"""One training of each capability, started by torchrun in two processes of which the first is slow to judge.

    torchrun --nproc-per-node 2 torchrun_kit.py FOLDER

FOLDER holds what `write_inputs` writes; the bundles go into its folder `two`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from tests.lab.caption import train_kit as caption_kit
from tests.lab.findings import train_kit as findings_kit
from tests.lab.triage.transformer.conftest import sentences, silent, write_base

TIMEOUT = 5
"""Seconds, of the process group."""


def triage_options(folder: Path, **changes: Any) -> Any:
    """One epoch without dropout, so that the loss does not depend on how a step is parted."""
    from tetkik.lab.triage.transformer.data import TransformerOptions

    return TransformerOptions(
        base=str(folder / "triage-base"),
        epochs=1,
        batch_size=8,
        learning_rate=2e-3,
        max_length=32,
        threads=1,
        reference=0,
        **changes,
    )


def triage_complaints() -> Any:
    return sentences(120)


def write_inputs(folder: Path) -> None:
    """Bases and data of all three."""
    from tests.caption.tiny import tiny_blip2

    write_base(folder / "triage-base", dropout=0.0)
    findings_kit.draw(folder / "images")
    base = tiny_blip2(folder / "caption-base")
    caption_kit.make_prepared(caption_kit.draw(folder / "drawn"), base, folder / "prepared")


def train_findings(folder: Path, out: Path, **changes: Any) -> None:
    from dataclasses import replace

    from tetkik.lab.findings.data import read_labels
    from tetkik.lab.findings.train import train_findings as train

    images = read_labels(folder / "images" / "labels.csv", folder / "images")
    train(images, out, replace(findings_kit.calm_options(), **changes), silent)


def train_caption(folder: Path, out: Path, **changes: Any) -> None:
    from dataclasses import replace

    from tetkik.lab.caption.prepared import open_prepared
    from tetkik.lab.caption.train import train_caption as train

    options = replace(caption_kit.calm_options(folder / "caption-base"), **changes)
    train(open_prepared(folder / "prepared"), out, options, silent)


def judge_caption(folder: Path, model: Path, out: Path) -> None:
    """Its captions of the test split, in batches of three."""
    from tetkik.cli.caption.evaluate import evaluate

    quick = {"no_meteor": True, "bootstrap": 20, "batch_size": 3, "max_tokens": 12, "beams": 2}
    base = str(folder / "caption-base")
    evaluate(folder / "prepared", model=str(model), base=base, folder=out, **quick)


def slow_once(judge: Callable[..., Any]) -> Callable[..., Any]:
    """`judge`, which takes longer than the timeout the first time."""
    left = [TIMEOUT + 1]

    @wraps(judge)
    def slow(*arguments: Any, **options: Any) -> Any:
        if left:
            time.sleep(left.pop())
        return judge(*arguments, **options)

    return slow


def main(folder: Path) -> None:
    import accelerate  # noqa: F401
    import peft  # noqa: F401

    from tetkik.findings.networks import FAMILIES
    from tetkik.lab.caption.training import run as captions  # noqa: F401
    from tetkik.lab.caption.training import trainer as caption_trainer
    from tetkik.lab.findings.training import bundle as findings_bundle
    from tetkik.lab.findings.training.trainer import FindingsTrainer
    from tetkik.lab.triage.transformer import train as export  # noqa: F401
    from tetkik.lab.triage.transformer import trainer  # noqa: F401
    from tetkik.lab.triage.transformer.train import train_transformer
    from tetkik.triage.transformer import OnnxNetwork

    rank = int(os.environ["RANK"])
    counted: list[float] = []
    read = FindingsTrainer._gathered_logits

    def note(self: Any, rows: Any) -> Any:
        counted.append(float(self._network.features[1].running_mean.sum()))
        return read(self, rows)

    FindingsTrainer._gathered_logits = note  # type: ignore[method-assign]
    FAMILIES["tiny"] = findings_kit.tiny_family(calm=True)  # type: ignore[index]
    if not rank:
        for place, name in (
            (OnnxNetwork, "logits"),  # shared out
            (findings_bundle, "metrics_of"),  # by the main process alone
            (caption_trainer, "make_captions"),
        ):
            setattr(place, name, slow_once(getattr(place, name)))
    # On a busy machine one imports for longer than the timeout of the group that they will form.
    (folder / f"ready-{rank}").touch()
    while not (folder / f"ready-{1 - rank}").exists():
        time.sleep(0.05)
    out = folder / "two"
    limit = {"process_timeout": TIMEOUT}
    train_transformer(triage_complaints(), out / "triage", triage_options(folder, **limit), silent)
    train_findings(folder, out / "findings", **limit)
    train_caption(folder, out / "caption", **limit)
    judge_caption(folder, out / "caption", out / "judged")
    (folder / f"counted-{rank}").write_text(" ".join(map(str, counted)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
