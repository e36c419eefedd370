"""The hospital's directory, as the settings name it."""

from __future__ import annotations

from tetkik.integrations.ldap_directory import Directory
from tetkik.service.kit.access.group_rights import departments_by_value, roles_by_group
from tetkik.settings import Settings


def directory_of(settings: Settings) -> Directory | None:
    """The directory that is asked about passwords; None where there is none.

    Raises:
        SettingError: one that cannot be used.
    """
    if not settings.ldap_url:
        return None
    roles = roles_by_group(settings.ldap_roles, "ldap_roles")
    opens = departments_by_value(settings.ldap_departments, "ldap_departments", settings.triage_model)
    return Directory(settings, roles, opens)
