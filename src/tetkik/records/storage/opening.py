"""The object storage that the settings name."""

from __future__ import annotations

from pathlib import Path

from tetkik.errors import SettingError
from tetkik.records.storage.s3 import Bucket, S3Storage
from tetkik.settings import Settings


def open_storage(settings: Settings) -> S3Storage | None:
    """The bucket that the settings name, without a request to it; None where files lie in `data_dir`."""
    if not settings.object_storage:
        return None
    key, secret, endpoint = (
        settings.object_storage_key,
        settings.object_storage_secret,
        settings.object_storage_endpoint,
    )
    if key is None or secret is None or not endpoint:
        raise SettingError(
            "The setting object_storage names a bucket, and object_storage_endpoint, object_storage_key or "
            "object_storage_secret is missing; give all of them."
        )
    name, _, prefix = settings.object_storage.removeprefix("s3://").rstrip("/").partition("/")
    bucket = Bucket(
        endpoint.rstrip("/"),
        name,
        prefix,
        settings.object_storage_region,
        key.get_secret_value(),
        secret.get_secret_value(),
        _authorities(settings.object_storage_ca),
    )
    return S3Storage(bucket, settings.data_dir.absolute() / "tmp")


def _authorities(file: Path | None) -> str | None:
    try:
        return file.read_text("utf-8") if file else None
    except (OSError, ValueError):
        raise SettingError(
            "The file {file} of the setting object_storage_ca cannot be read; correct its name or its "
            "permissions.",
            file=file,
        ) from None
