"""A real OpenID Connect provider on this machine, and a person who signs on there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.npm import modules
from tests.patience import PATIENCE
from tests.programs import program

FOLDER = Path(__file__).parent / "identity_provider"
REDIRECT = "http://testserver/login/oidc/callback"
SECRET = "a-secret-of-the-test"


@contextmanager
def provider(*, in_token: bool = False) -> Iterator[str]:
    """The provider as a process; gives its issuer."""
    environment = {
        **os.environ,
        "NODE_PATH": str(modules(FOLDER)),
        "REDIRECT": REDIRECT,
        "IN_TOKEN": "yes" if in_token else "no",
    }
    process = subprocess.Popen(
        [program("node"), FOLDER / "provider.mjs"],
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
    with httpx.Client(timeout=PATIENCE) as browser:
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
