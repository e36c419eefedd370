"""Folders and tables in, Parquet out: one row an input, parts that are kept, the same rows again."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tests.patience import PATIENCE
from tetkik.bundle import Task, resolve
from tetkik.errors import InputError, OutputError, UsageError
from tetkik.findings.predict import load_findings
from tetkik.fleet.bulk import make_job, run_bulk
from tetkik.fleet.bulk.local import LocalRunner, checked, scored
from tetkik.fleet.bulk.run import Location, entries
from tetkik.imaging import examples
from tetkik.triage.predict import load_triage

EXAMPLES = Path(examples.__file__).parent
TEXTS = ["Gözlerim kızardı ve sulanıyor.", "Göğsüme baskı tarzında ağrı var, terliyorum.", "asdf"]


def here(job, entries, parts):
    """A runner in this process."""
    for part in parts:
        yield checked(part, scored(job, 1, entries(part)))


def rows_of(out: Path) -> list[dict[str, object]]:
    tables = [parquet.read_table(path) for path in sorted(out.glob("part-*.parquet"))]
    rows: list[dict[str, object]] = pa.concat_tables(tables).to_pylist()
    return rows


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Images with and without an ending, a damaged one, and what only describes them."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "b").mkdir()
    shutil.copy(EXAMPLES / "normal.dcm", folder / "a.dcm")
    shutil.copy(EXAMPLES / "effusion.dcm", folder / "b" / "1.2.3")
    (folder / "b" / "bad.png").write_bytes(b"no image")
    for name in ("labels.csv", "DICOMDIR", ".hidden.dcm"):
        (folder / name).write_text("path\n../b\n")
    (folder / "circle").symlink_to(folder)
    return folder


def test_every_file_is_a_row_and_a_bad_one_holds_its_error(archive, tmp_path):
    job = make_job(Task.FINDINGS, str(archive))
    result = run_bulk(job, tmp_path / "out", here, part_rows=2)
    assert (result.rows, result.errors, result.parts, result.kept) == (3, 1, 2, 0)
    rows = rows_of(tmp_path / "out")
    assert [(row["row"], row["source"]) for row in rows] == [(0, "a.dcm"), (1, "b/1.2.3"), (2, "b/bad.png")]
    bundle = resolve("findings-mobilenet-cxr")
    for row in rows:
        assert row["input_sha256"] == hashlib.sha256((archive / str(row["source"])).read_bytes()).hexdigest()
        assert row["model"] == bundle.manifest.name
        manifest = (bundle.path / "manifest.json").read_bytes()
        assert row["bundle_sha256"] == hashlib.sha256(manifest).hexdigest()
    answer = load_findings().predict(archive / "a.dcm")
    assert rows[0]["suitable"] and rows[0]["screen"] == answer.screen and rows[0]["error"] is None
    for finding in answer.findings:
        assert rows[0].get(f"probability_{finding.label}") == finding.probability
        assert rows[0].get(f"positive_{finding.label}") == (finding.positive if finding.assessed else None)
    assert str(rows[2]["error"]).startswith("b/bad.png is neither DICOM nor")
    assert rows[2]["suitable"] is None
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["manifest.json", "part-000000.parquet", "part-000001.parquet"]  # the list is gone
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {0o600}


def test_a_run_goes_on_with_the_inputs_it_began_with(archive, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(archive, folder, symlinks=True)
    job = make_job(Task.FINDINGS, str(folder))

    def interrupted(job, entries, parts):
        yield next(here(job, entries, parts))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bulk(job, out, interrupted, part_rows=1)
    first = (out / "part-000000.parquet").stat().st_mtime_ns
    shutil.copy(EXAMPLES / "brain.dcm", folder / "a0.dcm")  # came later
    (out / ".part-000001.parquet.1.part").write_bytes(b"half")
    result = run_bulk(job, out, here, part_rows=1)
    assert (result.rows, result.kept) == (3, 1)
    assert (out / "part-000000.parquet").stat().st_mtime_ns == first
    assert [row["source"] for row in rows_of(out)] == ["a.dcm", "b/1.2.3", "b/bad.png"]
    assert not list(out.glob(".part-*"))
    assert run_bulk(job, out, interrupted, part_rows=1).kept == 3  # nothing is left for a runner


def test_what_a_runner_lost_is_asked_for_again_and_a_run_that_stands_still_ends(tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(TEXTS))
    asked = []

    def losing(job, entries, parts):
        asked.append(list(parts))
        yield from here(job, entries, parts[: len(parts) // 2])

    with pytest.raises(OutputError, match="No part came back"):
        run_bulk(make_job(Task.TRIAGE, str(table)), tmp_path / "out", losing, part_rows=1)
    assert asked == [[0, 1, 2], [1, 2], [2]]


@pytest.mark.parametrize("change", [{"column": "other"}, {"model": "bundle"}])
def test_another_run_in_the_same_folder_is_refused(change, tmp_path):
    table = tmp_path / "texts.csv"
    table.write_text("text,other\nbaş ağrısı,x\n")
    run_bulk(make_job(Task.TRIAGE, str(table)), tmp_path / "out", here, part_rows=1)
    if "model" in change:
        copy = tmp_path / "bundle"
        shutil.copytree(resolve("triage-linear-tr").path, copy)
        change = {"model": str(copy)}
    with pytest.raises(UsageError, match="holds another run"):
        run_bulk(make_job(Task.TRIAGE, str(table), **change), tmp_path / "out", here, part_rows=1)
    with pytest.raises(OutputError, match="something else"):
        run_bulk(make_job(Task.TRIAGE, str(table)), tmp_path, here, part_rows=1)


def test_another_bundle_or_version_on_a_node_is_an_error(tmp_path, monkeypatch):
    table = tmp_path / "texts.csv"
    table.write_text("text\nbaş ağrısı\n")
    bundle = tmp_path / "bundle"
    shutil.copytree(resolve("triage-linear-tr").path, bundle)
    job = make_job(Task.TRIAGE, str(table), model=str(bundle))
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(OutputError, match="is another than where the run was started"):
        run_bulk(job, tmp_path / "out", here, part_rows=1)
    monkeypatch.setattr("tetkik.fleet.bulk.run.__version__", "0.0.1")
    with pytest.raises(OutputError, match=r"This node has Tetkik 0\.0\.1"):
        run_bulk(job, tmp_path / "out", here, part_rows=1)


def test_complaints_come_from_tables_of_both_kinds_and_leave_no_words(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    with (folder / "b.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["no", "text"], *enumerate(TEXTS)])
    (folder / "b.csv").write_bytes((folder / "b.csv").read_bytes() + b"4;caf\xe9\n")
    parquet.write_table(pa.table({"text": [*TEXTS, None]}), folder / "a.parquet", row_group_size=2)
    (folder / "c.parquet").write_bytes(b"PAR1 cut short")
    out = tmp_path / "out"
    result = run_bulk(make_job(Task.TRIAGE, str(folder)), out, here, part_rows=3)
    rows = rows_of(out)
    assert (result.rows, result.errors) == (9, 3)
    assert [row["source"] for row in rows] == ["a.parquet"] * 4 + ["b.csv"] * 4 + ["c.parquet"]
    assert [row["source_row"] for row in rows] == [0, 1, 2, 3, 0, 1, 2, 3, None]
    assert [bool(row["error"]) for row in rows] == [False] * 3 + [True] + [False] * 3 + [True] * 2
    triage = load_triage(priors=True)
    for row, text in zip(rows[:3], TEXTS, strict=True):
        answer = triage.predict(text)
        level = answer.urgency.level
        assert row["urgency"] == (level.value if level else None)
        assert row["flags"] == [flag.id for flag in answer.urgency.flags]
        assert row["input_sha256"] == hashlib.sha256(text.encode()).hexdigest()
        for one in answer.departments:
            assert row[f"probability_{one.name}"] == one.probability
    assert b"terliyorum" not in b"".join(path.read_bytes() for path in out.iterdir())
    assert not any("terliyorum" in str(row) for row in rows)


def test_images_come_out_of_parquet_in_order_whatever_the_row_groups(tmp_path):
    contents = [(EXAMPLES / f"{name}.dcm").read_bytes() for name in ("normal", "effusion", "chest")]
    images = [{"bytes": content, "path": None} for content in (contents * 2)[:5]]
    images.insert(2, {"bytes": b"", "path": None})
    parquet.write_table(pa.table({"image": images}), tmp_path / "images.parquet", row_group_size=4)
    result = run_bulk(
        make_job(Task.FINDINGS, str(tmp_path / "images.parquet")), tmp_path / "out", here, part_rows=3
    )
    rows = rows_of(tmp_path / "out")
    assert (result.rows, result.errors, result.parts) == (6, 1, 2)
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    assert [row["input_sha256"] for row in rows] == [*hashes[:2], None, hashes[2], *hashes[:2]]


@pytest.mark.attack
def test_a_table_names_no_file_outside_its_folder(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    folder = tmp_path / "tables"
    folder.mkdir()
    shutil.copy(EXAMPLES / "normal.dcm", folder / "a.dcm")
    table = folder / "images.csv"
    table.write_text(f"path\na.dcm\n../secret.png\n{tmp_path}/secret.png\n")
    run_bulk(make_job(Task.FINDINGS, str(table)), tmp_path / "out", here, part_rows=9)
    rows = rows_of(tmp_path / "out")
    assert [row["path"] for row in rows] == ["a.dcm", None, None]
    assert [row["input_sha256"] is None for row in rows] == [False, True, True]


def test_hashed_paths_say_nothing_without_their_key(archive, tmp_path):
    out = tmp_path / "out"
    run_bulk(make_job(Task.FINDINGS, str(archive)), out, here, part_rows=9, hash_paths=True)
    rows = rows_of(out)
    assert len({row["source"] for row in rows}) == 3
    assert all(len(str(row["source"])) == 64 for row in rows)
    assert "bad.png" not in str(rows[2]["error"]) and str(rows[2]["source"]) in str(rows[2]["error"])
    assert hashlib.sha256(b"a.dcm").hexdigest() not in {row["source"] for row in rows}


def test_nothing_to_score_and_addresses_that_are_none(tmp_path):
    with pytest.raises(InputError, match="nothing to score"):
        run_bulk(make_job(Task.FINDINGS, str(tmp_path)), tmp_path / "out", here, part_rows=1)
    with pytest.raises(InputError, match="There is no file"):
        run_bulk(make_job(Task.FINDINGS, str(tmp_path / "x")), tmp_path / "out", here, part_rows=1)
    with pytest.raises(UsageError, match="neither a path nor"):
        Location.of("ftp://host/x")
    with pytest.raises(UsageError, match="password"):
        Location.of("s3://key:secret@bucket/x")


@given(st.lists(st.text(min_size=1), max_size=8), st.integers(1, 5))
def test_a_table_of_any_texts_is_listed_row_for_row(tmp_path_factory, texts, size):
    folder = tmp_path_factory.mktemp("any")
    sound = [text.encode("utf-8", "replace").decode() for text in texts]
    parquet.write_table(pa.table({"text": pa.array(sound, pa.string())}), folder / "t.parquet", size)
    job = make_job(Task.TRIAGE, str(folder / "t.parquet"))
    assert [entry.text for entry in entries(job)] == sound


def test_processes_of_this_machine_go_on_where_a_killed_run_ended(tmp_path):
    """The command, killed with all that it started once two parts are written, and run again."""
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(f"{number} gündür başım ağrıyor." for number in range(60)))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tetkik", "bulk", "triage", str(table), "--out", str(out)]
    command += ["--part-rows", "4", "--processes", "2", "--json"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    assert run.stderr is not None
    for line in run.stderr:
        if b"2" in line or len(list(out.glob("part-*"))) >= 2:
            break
    os.kill(run.pid, signal.SIGKILL)
    run.wait(PATIENCE)
    left = len(list(out.glob("part-*")))
    job = make_job(Task.TRIAGE, str(table))
    result = run_bulk(job, out, LocalRunner(1), part_rows=4)
    assert result.kept == left < 15 == result.parts
    run_bulk(job, tmp_path / "undisturbed", here, part_rows=4)
    assert rows_of(out) == rows_of(tmp_path / "undisturbed")
    # What it had started ended with it.
    run.stderr.read()
    run.stderr.close()


def test_a_network_folder_that_is_gone_stops_the_run_and_costs_no_file(tmp_path, monkeypatch):
    storage = Location(str(tmp_path)).open()
    assert isinstance(storage.read("film.dcm", "film.dcm"), InputError)

    def gone(folder):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", gone)
    with pytest.raises(InputError, match="cannot be reached"):
        storage.read("film.dcm", "film.dcm")
