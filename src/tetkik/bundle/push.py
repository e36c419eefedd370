"""A bundle in the layout of a model hub: in a folder, or sent to the hub itself."""

from __future__ import annotations

import shutil

from tetkik.bundle.hub import looks_like_hub_id, user_path
from tetkik.bundle.store import MANIFEST, Bundle, staged_folder
from tetkik.errors import MissingExtra, OutputError, UsageError
from tetkik.settings import settings


def push_bundle(bundle: Bundle, target: str) -> str:
    """Copy a bundle to the new folder `target`, or send it to the hub's private repository `owner/name`.

    What its manifest names goes, and nothing else that lies in its folder. A name of that form is a folder
    where its parent is one.

    Returns:
        The path, or the address of the repository.

    Raises:
        OutputError: the folder holds something, the repository is there and not private, or the hub refuses
            it or cannot be reached.
        UsageError: it is the hub's, and the setting `offline` is on; `MissingExtra`: its client is not there.
    """
    path = user_path(target)
    if looks_like_hub_id(target) and not path.parent.is_dir():
        return _send(bundle, target)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise OutputError("{target} exists already; choose another name.", target=path)
    with staged_folder(path) as stage:
        for name in _names(bundle):
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / name, stage / name)
    return str(path)


def _names(bundle: Bundle) -> list[str]:
    return [MANIFEST, *sorted(bundle.manifest.files)]


def _send(bundle: Bundle, target: str) -> str:
    if settings().offline:
        raise UsageError(
            "The setting offline is on, so nothing is sent to {target}; set TETKIK_OFFLINE=false where that "
            "is allowed, or give a folder, such as ./{target}.",
            target=target,
        )
    try:
        from huggingface_hub import CommitOperationAdd, HfApi
    except ImportError:
        raise MissingExtra(
            "Sending a model to the hub needs its client; `pip install huggingface-hub`, or give a folder."
        ) from None
    api = HfApi()
    try:
        place = api.create_repo(target, private=True, exist_ok=True)
        if api.repo_info(target).private is not True:  # one that was there stays as it was
            raise OutputError(
                "{target} is there already and is not private; make it so on the hub, or choose another "
                "name.",
                target=target,
            )
        files = [CommitOperationAdd(name, str(bundle.path / name)) for name in _names(bundle)]
        api.create_commit(target, files, commit_message=f"{bundle.manifest.name}, sent by Tetkik")
    except OutputError:
        raise
    except Exception as fault:  # of the client and of whatever it speaks HTTP with
        raise OutputError(
            "The hub did not take {target} ({fault}); sign in with `hf auth login`, check the name, or give "
            "a folder.",
            target=target,
            fault=type(fault).__name__,
        ) from None
    return str(place)
