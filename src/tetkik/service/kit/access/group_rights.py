"""What the groups of a person allow, whoever says which groups these are: single sign-on or the directory."""

from __future__ import annotations

from tetkik.errors import SettingError
from tetkik.values import EVERY_DEPARTMENT, Role
from tetkik.workflow import departments


def roles_by_group(text: str, setting: str) -> dict[str, Role]:
    """A setting such as `radyoloji=radiologist, kalite=auditor`, read."""
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    try:
        return {group.strip(): Role(role.strip()) for group, _, role in pairs if group.strip()}
    except ValueError:
        raise SettingError(
            "The setting {setting} names a role that there is not ({text}); write such as "
            "radyoloji=radiologist, kalite=auditor.",
            setting=setting,
            text=text,
        ) from None


def departments_by_value(text: str, setting: str, model: str | None) -> dict[str, tuple[str, ...]]:
    """A setting such as `noroloji=Nöroloji, bashekimlik=*`, read; each department has to be of the model."""
    found: dict[str, tuple[str, ...]] = {}
    known = {EVERY_DEPARTMENT, *(departments(model) if model is not None and text else ())}
    for part in text.split(","):
        value, _, department = (one.strip() for one in part.rpartition("="))
        if value and department and (model is None or department in known):
            found[value] = (*found.get(value, ()), department)
        elif part.strip():
            raise SettingError(
                "The setting {setting} names a department that there is not ({text}); write such as "
                "noroloji=Nöroloji, and see `tetkik users departments`.",
                setting=setting,
                text=part.strip(),
            )
    return found
