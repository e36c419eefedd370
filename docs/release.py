"""Builds a release of a commit: a wheel that anybody can build again to the same bytes, its bill, checksums.

    python docs/release.py --out dist
    openssl pkeyutl -sign -rawin -inkey release-key.pem -in dist/SHA256SUMS -out dist/SHA256SUMS.sig

The wheel depends on the commit, on setuptools and on the C compiler alone: files are those of git with
fixed rights, times are that of the commit, and no folder's name gets into the compiled file. The private key
is not needed here; docs/how-to/release.md says who has it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import sbom

ROOT = Path(__file__).parent.parent


def _git(root: Path, *arguments: str) -> bytes:
    git = shutil.which("git") or "git"
    return subprocess.run([git, "-C", root, *arguments], capture_output=True, check=True).stdout  # noqa: S603 - our own arguments


def build_wheel(root: Path, out: Path, commit: str = "HEAD") -> Path:
    """The wheel of a commit, in `out`."""
    time = _git(root, "log", "-1", "--format=%ct", commit).decode().strip()
    with tempfile.TemporaryDirectory(prefix="tetkik-release-") as name:
        source = Path(name, "source")
        with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", commit))) as archive:
            for member in archive.getmembers():
                member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
                archive.extract(member, source, filter="fully_trusted")
        # `-g` names folders; setuptools takes CFLAGS after those of this Python.
        flags = f"{os.environ.get('CFLAGS', '')} -g0 -ffile-prefix-map={source}=."
        environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": time,
            "PYTHONHASHSEED": "0",
            "CFLAGS": flags.strip(),
        }
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run(  # noqa: S603 - our own arguments
            [*command, "--no-cache-dir", "--wheel-dir", str(Path(name, "made")), str(source)],
            env=environment,
            umask=0o022,
            check=True,
        )
        (made,) = Path(name, "made").glob("tetkik-*.whl")
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(made, out / made.name))


def write_sums(out: Path) -> Path:
    """`SHA256SUMS` over the files of a release, as `sha256sum -c` reads it."""
    files = sorted(path for path in out.iterdir() if not path.name.startswith("SHA256SUMS"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    target = out / "SHA256SUMS"
    target.write_text("".join(lines), "ascii")
    return target


def main() -> None:
    """Build it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="an empty folder, or none yet")
    parser.add_argument("--commit", default="HEAD")
    parser.add_argument("--python", default=sys.executable, help="the installation whose bill is written")
    chosen = parser.parse_args()
    if chosen.out.exists() and any(chosen.out.iterdir()):
        raise SystemExit(f"{chosen.out} is not empty; name another folder.")
    wheel = build_wheel(ROOT, chosen.out, chosen.commit)
    bill = json.dumps(sbom.bill_of(chosen.python), indent=1, ensure_ascii=False)
    (chosen.out / "sbom.cdx.json").write_text(bill + "\n", "utf-8")
    sums = write_sums(chosen.out)
    sign = f"openssl pkeyutl -sign -rawin -inkey KEY.pem -in {sums} -out {sums}.sig"
    print(f"{wheel}\n{sums.read_text('ascii')}Sign it: {sign}")


if __name__ == "__main__":
    main()
