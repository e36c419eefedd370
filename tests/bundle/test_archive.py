"""Bundles as zip files: the same bytes out, and nothing hostile in."""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from tests.conftest import edit_manifest
from tetkik.bundle import export_bundle, import_bundle, open_bundle
from tetkik.errors import BundleCorrupt, BundleNotFound, OutputError


def _rezip(source: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.write(path, prefix + path.relative_to(source).as_posix())
    return target


def test_out_and_in_again(tmp_path, make_bundle, own_settings):
    made = make_bundle(tmp_path / "b")
    (tmp_path / "b" / "notes.txt").write_text("not of the bundle")
    zipped = export_bundle(made, tmp_path / "new" / "b.zip")
    found = import_bundle(zipped, own_settings)
    assert found.path == own_settings / "ornek"
    assert found.manifest == made.manifest
    assert sorted(path.name for path in found.path.iterdir()) == [
        "README.md",
        "manifest.json",
        "model.npz",
        "tokens",
    ]
    assert [path.name for path in own_settings.iterdir()] == ["ornek"]


def test_two_exports_are_equal(tmp_path, make_bundle):
    made = make_bundle(tmp_path / "b")
    copy = shutil.copytree(made.path, tmp_path / "copy")
    first = export_bundle(made, tmp_path / "1.zip").read_bytes()
    assert export_bundle(open_bundle(copy), tmp_path / "2.zip").read_bytes() == first


def test_an_export_overwrites_nothing_and_leaves_nothing_half_written(tmp_path, make_bundle, monkeypatch):
    made = make_bundle(tmp_path / "b")
    (tmp_path / "there.zip").write_text("x")
    with pytest.raises(OutputError, match="exists already"):
        export_bundle(made, tmp_path / "there.zip")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        export_bundle(made, tmp_path / "out.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "there.zip"]


def test_a_folder_is_taken_in_too(tmp_path, make_bundle, own_settings):
    make_bundle(tmp_path / "b")
    assert import_bundle(tmp_path / "b", own_settings).path == own_settings / "ornek"
    with pytest.raises(OutputError, match="already in"):
        import_bundle(tmp_path / "b", own_settings)


def test_a_zip_of_the_folder_itself_is_taken_in(tmp_path, make_bundle, own_settings):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip", prefix="b/")
    assert import_bundle(zipped, own_settings).manifest.id == "ornek"


def test_a_built_in_id_is_not_hidden(tmp_path, make_bundle, own_settings):
    make_bundle(tmp_path / "b", id="triage-linear-tr")
    with pytest.raises(OutputError, match="built-in model"):
        import_bundle(tmp_path / "b", own_settings)


def test_an_altered_weight_is_not_taken_in(tmp_path, make_bundle, own_settings):
    folder = make_bundle(tmp_path / "b").path
    (folder / "model.npz").write_bytes(b"other")
    with pytest.raises(BundleCorrupt, match="SHA-256"):
        import_bundle(_rezip(folder, tmp_path / "b.zip"), own_settings)
    assert list(own_settings.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "C:/evil.txt", "..\\evil.txt", "C:evil.txt"]
)
def test_paths_that_lead_outside(tmp_path, make_bundle, own_settings, name):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(name, "evil")
    with pytest.raises(BundleCorrupt, match="names a file outside itself"):
        import_bundle(zipped, own_settings)
    assert not list(tmp_path.rglob("evil.txt"))
    assert list(own_settings.iterdir()) == []


def test_a_manifest_that_names_a_file_outside(tmp_path, make_bundle, own_settings):
    folder = make_bundle(tmp_path / "b").path
    (tmp_path / "secret").write_text("x")
    edit_manifest(folder, files={"../secret": "0"})
    for source in (folder, _rezip(folder, tmp_path / "b.zip")):
        with pytest.raises(BundleCorrupt, match="names a file outside it"):
            import_bundle(source, own_settings)


def test_a_link(tmp_path, make_bundle, own_settings):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    link = zipfile.ZipInfo("passwords")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BundleCorrupt, match="holds a link"):
        import_bundle(zipped, own_settings)


def test_a_file_without_a_name(tmp_path, make_bundle, own_settings):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    with zipfile.ZipFile(zipped, "a") as archive:
        archive.writestr("?nobody", "x")
    zipped.write_bytes(zipped.read_bytes().replace(b"?nobody", b"\0nobody"))  # readers cut names at a zero
    with pytest.raises(BundleCorrupt, match="not a readable zip"):
        import_bundle(zipped, own_settings)


def test_a_bomb(tmp_path, make_bundle, own_settings):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    with zipfile.ZipFile(zipped, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * (8 << 20))
    with pytest.raises(BundleCorrupt, match="decompression bomb"):
        import_bundle(zipped, own_settings)


def test_too_many_files(tmp_path, own_settings):
    zipped = tmp_path / "b.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for number in range(2_001):
            archive.writestr(str(number), "")
    with pytest.raises(BundleCorrupt, match="more than 2000 files"):
        import_bundle(zipped, own_settings)


@pytest.mark.parametrize("name", ["archive/data.pkl", "weights.PT", "setup.py", "x.so"])
def test_files_that_can_run_code(tmp_path, make_bundle, own_settings, name):
    folder = make_bundle(tmp_path / "b").path
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(BundleCorrupt, match="can run code"):
        import_bundle(_rezip(folder, tmp_path / "b.zip"), own_settings)
    edit_manifest(folder, files={name: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"})
    with pytest.raises(BundleCorrupt, match="can run code"):
        import_bundle(folder, own_settings)


def test_what_is_no_zip_of_a_bundle(tmp_path, make_bundle, own_settings):
    with pytest.raises(BundleNotFound, match="There is no file"):
        import_bundle(tmp_path / "nowhere.zip", own_settings)
    (tmp_path / "text.zip").write_text("not a zip")
    with pytest.raises(BundleCorrupt, match="is not a model bundle"):
        import_bundle(tmp_path / "text.zip", own_settings)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(BundleCorrupt, match="is a pickle"):
        import_bundle(tmp_path / "model.pkl", own_settings)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(BundleCorrupt, match=r"holds no manifest\.json"):
        import_bundle(tmp_path / "empty.zip", own_settings)


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_damaged_zip_is_one_sentence(tmp_path, make_bundle, own_settings, place):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    content = bytearray(zipped.read_bytes())
    start = int(len(content) * place)
    for index in range(start, min(start + 40, len(content))):
        content[index] ^= 0xA5
    zipped.write_bytes(content)
    with pytest.raises(BundleCorrupt):
        import_bundle(zipped, own_settings)
    assert list(own_settings.iterdir()) == []


def test_a_name_that_is_both_file_and_folder(tmp_path, own_settings):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a", "x")
        archive.writestr("a/b", "x")
    with pytest.raises(BundleCorrupt, match="not a readable zip"):
        import_bundle(tmp_path / "b.zip", own_settings)


def test_a_full_disk_is_not_called_a_damaged_zip(tmp_path, make_bundle, own_settings, monkeypatch):
    zipped = _rezip(make_bundle(tmp_path / "b").path, tmp_path / "b.zip")
    real = Path.open

    def open_(self: Path, mode: str = "r", *args: object, **more: object) -> object:
        if mode == "wb":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return real(self, mode, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(OSError, match="No space"):
        import_bundle(zipped, own_settings)
