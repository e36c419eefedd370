"""A bundle that is imported anew while the service reads: every run row names the one that answered."""

from __future__ import annotations

import shutil

import pytest

from tests.findings.bundles import make_findings_bundle
from tests.records.kit import made_case, made_user, take_job
from tests.records.pictured import put, radiograph
from tests.service.kit import make_context
from tetkik.bundle import import_bundle, sha256_of, staged_folder
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.jobs import JobKind
from tetkik.settings import settings
from tetkik.values import SYSTEM, Priority, Role
from tetkik.workflow.image_processing import ProcessingStage, read_case_image


@pytest.fixture
def app_context(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("TETKIK_FINDINGS_MODEL", "findings-blobs")
    settings.cache_clear()
    made = make_context(tmp_path / "hospital")
    yield made
    made.records.close()


def imported(folder, version):
    """A bundle of this version imported in the place of the last; gives the hash of its manifest."""
    make_findings_bundle(folder / version, version=version)
    place = settings().models_dir / "findings-blobs"
    if place.exists():
        with staged_folder(place) as stage:
            shutil.copytree(folder / version, stage, dirs_exist_ok=True)
    else:
        import_bundle(folder / version, settings().models_dir)
    return sha256_of(place / "manifest.json")


def test_a_run_ends_with_the_bundle_that_it_began_with(app_context, tmp_path):
    technician = made_user(app_context.records, Role.TECHNICIAN)
    shas = [imported(tmp_path, "1.0")]
    rows = []
    for seed in (0, 1):
        case_id = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
        added = put(app_context.records, technician, case_id, seed)
        with app_context.records.write(SYSTEM) as tx:
            jobs.add_job(tx, JobKind.READ_IMAGE, images.load_image(tx, added.image.id), Priority.ROUTINE)
            work = take_job(tx, "w")
        assert work is not None

        def import_anew(stage, _text):
            if stage is ProcessingStage.DRAFTING and len(shas) == 1:
                shas.append(imported(tmp_path, "2.0"))

        read_case_image(app_context.records, app_context.settings, work, lambda *_: radiograph(), import_anew)
        with app_context.records.read() as tx:
            run = runs.load_latest_run(tx, added.image.id)
        assert run is not None
        rows.append((run.bundle, run.bundle_sha256))
    assert rows == [
        ("findings-blobs 1.0", shas[0]),
        ("findings-blobs 2.0", shas[1]),
    ]
