"""A real OpenID Connect provider on this machine, and a person who signs on there."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urljoin

import httpx
import pytest
from platformdirs import user_cache_path

FOLDER = Path(__file__).parent / "identity_provider"
REDIRECT = "http://testserver/login/oidc/callback"
SECRET = "a-secret-of-the-test"


@contextmanager
def provider(*, in_token: bool = False) -> Iterator[str]:
    """The provider as a process; gives its issuer."""
    node = shutil.which("node") or pytest.fail("These tests need Node.js: install node and npm.")
    environment = {
        **os.environ,
        "NODE_PATH": str(_modules()),
        "REDIRECT": REDIRECT,
        "IN_TOKEN": "yes" if in_token else "no",
    }
    process = subprocess.Popen(
        [node, FOLDER / "provider.mjs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        port = next((line.strip() for line in process.stdout if line.strip().isdecimal()), None)
        assert port is not None, "the identity provider did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def sign_on(address: str, person: str) -> str:
    """A person at the provider's own pages: signs in, agrees; gives the address they are sent back to."""
    with httpx.Client() as browser:
        answer = browser.get(address)
        for _ in range(12):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(REDIRECT):
                    return target
                answer = browser.get(target)
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            assert action is not None, f"the provider says: {answer.status_code} {answer.text[:300]}"
            prompt = "login" if 'name="login"' in answer.text else "consent"
            form = {"prompt": prompt, "login": person, "password": "x"}
            answer = browser.post(urljoin(str(answer.url), action[1]), data=form)
    raise AssertionError("the provider went round in circles")


def _modules() -> Path:
    """The packages of `package-lock.json`, fetched once and kept in the user's cache."""
    lock = FOLDER / "package-lock.json"
    version = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = user_cache_path("tetkik") / "tests" / f"identity-provider-{version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(mkdtemp(prefix=".identity-provider-", dir=folder.parent))
        try:
            for name in ("package.json", lock.name):
                shutil.copy(FOLDER / name, stage / name)
            npm = shutil.which("npm") or pytest.fail("These tests need Node.js: install node and npm.")
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            if subprocess.run(command, cwd=stage, capture_output=True, check=False, timeout=300).returncode:
                pytest.fail(
                    f"npm could not fetch the identity provider: run `npm ci` in {FOLDER} to see why, and "
                    "the tests again once it can reach its registry."
                )
            _take_place(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return folder / "node_modules"


def _take_place(stage: Path, folder: Path) -> None:
    """Rename, unless another process of the same run was quicker."""
    try:
        stage.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
