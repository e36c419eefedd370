"""What the groups of a person allow, whoever says which groups these are: single sign-on or the directory."""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tetkik.errors import AccessError, Forbidden, SettingError
from tetkik.integrations.ldap_directory import Directory
from tetkik.records.people.users import Arrival, departments_of_groups
from tetkik.settings import Settings
from tetkik.values.access import EVERY_DEPARTMENT, Role
from tetkik.workflow.complaints import departments


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


# Single sign-on: OpenID Connect's code flow with PKCE, nonce and state, against one provider.
#
# OpenID Connect Core 1.0, 3.1; RFC 7636 (PKCE); RFC 9207 (`iss` of the answer); RFC 9700 (state bound to the
# browser). The ID token is believed for its signature and claims alone, whatever channel it came through.
COOKIE = "tetkik-sign-on"
CALLBACK = "/login/oidc/callback"
_SECONDS = 10
_LEEWAY = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those with a public key: with a shared secret, the provider's word could be anybody's who knows it."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str | None


@dataclass(frozen=True, slots=True)
class SignOn:
    """A sign-on under way; `max_age` is how many seconds old the proof may be, and 0 asks for a new one."""

    nonce: str
    verifier: str
    redirect: str
    back: str
    max_age: int


def provider_name(settings: Settings) -> str | None:
    """What the button of single sign-on calls the provider; None where there is none."""
    if not settings.oidc_issuer:
        return None
    return settings.oidc_name or urlsplit(settings.oidc_issuer).hostname


def oidc_roles(settings: Settings) -> dict[str, Role]:
    """The setting `oidc_roles`, read."""
    return roles_by_group(settings.oidc_roles, "oidc_roles")


def oidc_departments(settings: Settings, *, check: bool = True) -> dict[str, tuple[str, ...]]:
    """The setting `oidc_departments`, read; with `check` each has to be one of the triage model's."""
    model = settings.triage_model if check else None
    return departments_by_value(settings.oidc_departments, "oidc_departments", model)


def begin(settings: Settings, origin: str, back: str, *, anew: bool) -> tuple[str, str, SignOn]:
    """Where to send a browser, the state that it has to bring back, and what is kept meanwhile.

    Whoever left a screen behind is still known to the provider's own cookie; so it is asked for a proof that
    is no older than the time after which a screen locks, and for one of now (`anew`) where a screen is
    locked.
    """
    provider = _discover(settings)
    state = generate_token(43)
    max_age = 0 if anew else settings.lock_minutes * 60
    sign_on = SignOn(generate_token(43), generate_token(64), origin + CALLBACK, back, max_age)
    query = {
        "response_type": "code",
        "client_id": settings.oidc_client_id,
        "redirect_uri": sign_on.redirect,
        "scope": settings.oidc_scopes,
        "state": state,
        "nonce": sign_on.nonce,
        "code_challenge": create_s256_code_challenge(sign_on.verifier),
        "code_challenge_method": "S256",
        "max_age": str(max_age),
        **({"prompt": "login"} if anew else {}),
    }
    mark = "&" if urlsplit(provider.authorization).query else "?"
    return f"{provider.authorization}{mark}{urlencode(query)}", state, sign_on


def same_browser(state: str, cookie: str | None) -> bool:
    """Whether an answer came to the browser that asked."""
    return cookie is not None and hmac.compare_digest(state.encode(), cookie.encode())


def finish(settings: Settings, sign_on: SignOn, answer: Mapping[str, str]) -> Arrival:
    """Who came, from the provider's answer."""
    provider = _discover(settings)
    code = answer.get("code")
    if code is None or answer.get("iss", provider.issuer) != provider.issuer:
        raise _refused()
    tokens = _tokens(settings, provider, sign_on, code)
    claims = _verified(settings, provider, sign_on, tokens)
    by_value = oidc_departments(settings, check=False)
    wanted = {settings.oidc_role_claim} | ({settings.oidc_department_claim} if by_value else set())
    if provider.userinfo is not None and not wanted <= claims.keys():
        more = _get(provider.userinfo, {"Authorization": f"Bearer {tokens.get('access_token', '')}"})
        if more.get("sub") != str(claims["sub"]):  # of the same person alone (Core 1.0, 5.3.2)
            raise _refused()
        claims |= more
    roles = oidc_roles(settings)
    subject = str(claims["sub"])
    return Arrival(
        issuer=provider.issuer,
        subject=subject,
        login=str(claims.get("preferred_username") or claims.get("email") or ""),
        name=str(claims.get("name") or ""),
        roles=frozenset(
            roles[group] for group in _values_of(claims, settings.oidc_role_claim) if group in roles
        ),
        departments=departments_of_groups(by_value, _values_of(claims, settings.oidc_department_claim)),
    )


def _values_of(claims: Mapping[str, Any], name: str) -> list[str]:
    """The values of a claim that may be one text or a list."""
    value = claims.get(name, [])
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _discover(settings: Settings) -> Provider:
    issuer = settings.oidc_issuer.rstrip("/")
    parts = urlsplit(issuer)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise SettingError("The setting oidc_issuer has to begin with https://; correct it.")
    configuration = _get(f"{issuer}/.well-known/openid-configuration")
    try:
        provider = Provider(
            issuer=configuration["issuer"],
            authorization=configuration["authorization_endpoint"],
            token=configuration["token_endpoint"],
            keys=configuration["jwks_uri"],
            userinfo=configuration.get("userinfo_endpoint"),
        )
    except KeyError:
        raise _silent() from None
    # Another provider's document must not speak for this one (Discovery 1.0, 4.3).
    if provider.issuer.rstrip("/") != issuer:
        raise _silent()
    return provider


def _tokens(settings: Settings, provider: Provider, sign_on: SignOn, code: str) -> dict[str, Any]:
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": sign_on.redirect,
        "code_verifier": sign_on.verifier,
        "client_id": settings.oidc_client_id,
    }
    secret = settings.oidc_client_secret
    proof = httpx.BasicAuth(settings.oidc_client_id, secret.get_secret_value()) if secret else None
    try:
        answer = httpx.post(provider.token, data=body, auth=proof, timeout=_SECONDS)
        content = answer.json()
    except (httpx.HTTPError, ValueError):
        raise _silent() from None
    if answer.status_code != 200 or not isinstance(content, dict) or "id_token" not in content:
        raise _refused()
    return content


def _verified(
    settings: Settings, provider: Provider, sign_on: SignOn, tokens: Mapping[str, Any]
) -> dict[str, Any]:
    """The claims of the ID token, if its signature and they hold (Core 1.0, 3.1.3.7)."""
    try:
        keys = KeySet.import_key_set(cast(Any, _get(provider.keys)))
        token = jwt.decode(tokens["id_token"], keys, algorithms=_ALGORITHMS)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": settings.oidc_client_id},
            },
            params={
                "nonce": sign_on.nonce,
                "client_id": settings.oidc_client_id,
                "access_token": tokens.get("access_token"),
            },
        )
        claims.validate(leeway=_LEEWAY)
        if time.time() - claims["auth_time"] > sign_on.max_age + _LEEWAY:
            raise _refused()
    except (JoseError, ValueError, KeyError, TypeError):
        raise _refused() from None
    return dict(claims)


def _get(url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        answer = httpx.get(url, headers=headers, timeout=_SECONDS).raise_for_status()
        content = answer.json()
    except (httpx.HTTPError, ValueError):
        raise _silent() from None
    if not isinstance(content, dict):
        raise _silent()
    return content


def _silent() -> AccessError:
    return AccessError("The identity provider does not answer as it should; sign in with your password.")


def _refused() -> Forbidden:
    return Forbidden("The identity provider did not sign you on; try again, or sign in with your password.")


# The hospital's directory, as the settings name it.
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
