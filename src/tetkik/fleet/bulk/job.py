"""What a run is: it is the same in every process and on every node, and its rows depend on nothing else."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from tetkik import __version__
from tetkik.bundle import Bundle, Task, resolve
from tetkik.choices import Device
from tetkik.errors import BundleMismatch, UsageError
from tetkik.fleet.bulk.location import Location
from tetkik.language import Language
from tetkik.settings import settings

TABLES = (".parquet", ".csv", ".tsv")
ANSWER_SETTINGS = (
    "findings_provider", "max_image_bytes", "max_image_pixels", "max_text_chars", "rules_out_bound",
    "triage_clinics", "triage_priors", "triage_rules", "triage_urgency_model",
)  # fmt: skip
"""Settings that change answers; every process takes those of the machine that started the run."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run.

    Attributes:
        images: where the paths in a table start.
        column: of a table, with the texts, the images or their paths; None finds it by its name.
        bundle_sha256: of the bundle's manifest, which holds the hash of each of its files.
        version: of Tetkik.
        answer_settings: names and values of `ANSWER_SETTINGS`.
        path_key: paths are written as their HMAC with it; None writes them as they are.
    """

    task: Task
    input: Location
    images: Location
    column: str | None
    model: str
    bundle_sha256: str
    language: Language
    device: Device
    answer_settings: tuple[tuple[str, str], ...]
    version: str = __version__
    path_key: bytes | None = field(default=None, repr=False)

    def shown(self, path: str) -> str:
        """A path as rows and errors name it."""
        if self.path_key is None:
            return path
        return hmac.new(self.path_key, path.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

    def open_bundle(self) -> Bundle:
        """The run's bundle, with the settings of the run in force in this process.

        Raises:
            BundleError: it is not here, damaged, or another than where the run was started.
            UsageError: this process runs another Tetkik.
        """
        if self.version != __version__:
            raise UsageError(
                "This node has Tetkik {here}, and the run was started with {there}; install the same on "
                "every node.",
                here=__version__,
                there=self.version,
            )
        os.environ.update({f"TETKIK_{name.upper()}": value for name, value in self.answer_settings})
        settings.cache_clear()
        bundle = resolve(self.model, self.task)
        if bundle_sha256(bundle) != self.bundle_sha256:
            raise BundleMismatch(
                "The bundle {model} on this node is another than where the run was started; copy the bundle "
                "to every node.",
                model=self.model,
            )
        return bundle


def bundle_sha256(bundle: Bundle) -> str:
    return hashlib.sha256((bundle.path / "manifest.json").read_bytes()).hexdigest()


def make_job(
    task: Task,
    input_: str,
    *,
    model: str | None = None,
    images: str | None = None,
    column: str | None = None,
    device: Device | None = None,
) -> Job:
    """The run over what `input_` names, a folder, a table or `s3://…`, with the settings of this process.

    Raises:
        BundleError: no such model, damaged, or for another task.
        UsageError: the input is no path and no such address.
    """
    chosen = settings()
    location = Location.of(input_)
    is_table = location.address.partition("?")[0].endswith(TABLES)
    base = Location.of(images) if images else location.folder() if is_table else location
    name = model or (chosen.findings_model if task is Task.FINDINGS else chosen.triage_model)
    name = str(Path(name).resolve()) if Path(name).is_dir() else name
    values = tuple(
        (one, str(value)) for one in ANSWER_SETTINGS if (value := getattr(chosen, one)) is not None
    )
    return Job(
        task=task,
        input=location,
        images=base,
        column=column,
        model=name,
        bundle_sha256=bundle_sha256(resolve(name, task)),
        language=chosen.language,
        device=device or chosen.device,
        answer_settings=values,
    )
