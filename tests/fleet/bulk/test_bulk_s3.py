"""Archives and tables in a bucket that speaks S3: the rows of the same files in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.records.object_storage import KEY, REGION, SECRET
from tetkik.bundle import Task
from tetkik.errors import InputError
from tetkik.fleet.bulk import make_job, run_bulk
from tetkik.fleet.bulk.local import checked, scored
from tetkik.imaging import examples

EXAMPLES = Path(examples.__file__).parent


@pytest.fixture
def bucket(object_storage, monkeypatch):
    """What keeps a file, and the address of a name in the bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    name = object_storage.bucket().name
    requests = object_storage.requests(name)

    def keep(key: str, content: bytes) -> None:
        assert requests.ask("PUT", key, content=content)[0] == 200

    server = object_storage.endpoint.removeprefix("http://")
    options = f"?endpoint_override={server}&scheme=http&region={REGION}"
    return keep, lambda key: f"s3://{name}/{key}{options}"


def in_this_process(job, entries, parts):
    for part in parts:
        yield checked(part, scored(job, 1, entries(part)))


def rows(task: Task, address: str, out: Path) -> list[dict[str, object]]:
    run_bulk(make_job(task, address), out, in_this_process, part_rows=2)
    found = [parquet.read_table(path) for path in sorted(out.glob("part-*.parquet"))]
    made: list[dict[str, object]] = pa.concat_tables(found).to_pylist()
    return made


def test_an_archive_in_a_bucket_gives_the_rows_of_the_same_folder(bucket, tmp_path):
    keep, address = bucket
    folder = tmp_path / "archive"
    (folder / "b").mkdir(parents=True)
    shutil.copy(EXAMPLES / "normal.dcm", folder / "a.dcm")
    shutil.copy(EXAMPLES / "effusion.dcm", folder / "b" / "1.2.3")
    (folder / "b" / "bad.png").write_bytes(b"no image")
    for path in folder.rglob("*"):
        if path.is_file():
            keep(f"chest/{path.relative_to(folder)}", path.read_bytes())
    found = rows(Task.FINDINGS, address("chest"), tmp_path / "from-bucket")
    assert found == rows(Task.FINDINGS, str(folder), tmp_path / "from-folder")
    assert [row["source"] for row in found] == ["a.dcm", "b/1.2.3", "b/bad.png"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_in_a_bucket_is_read_as_one_of_this_machine(ending, bucket, tmp_path):
    keep, address = bucket
    table = tmp_path / f"texts.{ending}"
    texts = ["Gözlerim kızardı ve sulanıyor.", "Göğsüme baskı tarzında ağrı var.", "asdf"]
    if ending == "csv":
        table.write_text("text\n" + "\n".join(texts))
    else:
        parquet.write_table(pa.table({"text": texts}), table)
    keep(table.name, table.read_bytes())
    found = rows(Task.TRIAGE, address(table.name), tmp_path / "from-bucket")
    assert len(found) == 3
    assert found == rows(Task.TRIAGE, str(table), tmp_path / "from-folder")


def test_a_wrong_secret_or_name_is_one_sentence(bucket, monkeypatch, tmp_path):
    _, address = bucket
    with pytest.raises(InputError):
        rows(Task.FINDINGS, address("nothing-here"), tmp_path / "empty")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputError, match="cannot be reached"):
        rows(Task.FINDINGS, address("chest"), tmp_path / "out")
