"""One's own account: password, passkeys, sessions, tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import TetkikError
from tetkik.records.people import notices, passkeys, passwords, sessions, tokens, users
from tetkik.records.people.tokens import Token
from tetkik.service.access import oidc
from tetkik.service.access.again import FRESH, Proof, verify_for_account
from tetkik.service.access.browsers import browser_of
from tetkik.service.access.guard import allowed
from tetkik.service.access.identify import give_cookie, take_cookie
from tetkik.service.access.returning import inside, with_return
from tetkik.service.access.stronger import is_weak, refuse_second
from tetkik.service.house import House, InHouse
from tetkik.service.http.problems import status_of
from tetkik.service.pages.sign_in import Return, Text, refuse_unequal
from tetkik.service.pages.strength import shown_strength
from tetkik.service.showing.rendering import language_of, render
from tetkik.values import Actor, Permission

router = APIRouter()

Owner = Annotated[Actor, allowed(Permission.OWN_ACCOUNT)]


@router.get("/account")
def account(request: Request, house: InHouse, actor: Owner) -> Response:
    """Everything that opens one's account."""
    return _account(request, house, actor)


def _account(
    request: Request,
    house: House,
    actor: Actor,
    *,
    error: TetkikError | None = None,
    made: tuple[str, Token] | None = None,
) -> Response:
    idle = timedelta(minutes=house.settings.session_idle_minutes)
    with house.records.read(actor) as tx:
        assert actor.user_id is not None
        values = {
            "member": users.load_user(tx, actor.user_id),
            "passkeys": passkeys.of_user(tx, actor.user_id),
            "sessions": sessions.list_sessions(tx, idle),
            "tokens": tokens.list_tokens(tx),
            "notices": notices.list_notices(tx),
        }
    return render(
        request,
        "access/account.html.jinja",
        status=status_of(error) if error else 200,
        scopes=tokens.grantable(actor),
        browser_of=browser_of,
        error=error.in_language(language_of(request)) if error else None,
        secret=made[0] if made else None,
        new=made[1] if made else None,
        **values,
    )


@router.post("/account/notices")
def acknowledge(house: InHouse, actor: Owner, upto: Text = "") -> Response:
    """Say that one has seen what changed in one's account."""
    with house.records.write(actor) as tx:
        notices.acknowledge(tx, upto)
    return RedirectResponse("/account", 303)


@router.get("/account/passkey")
def enrol_page(request: Request, house: InHouse, actor: Owner, next: str = "/") -> Response:  # noqa: A002
    """The page of somebody whose role needs more than a password: add a passkey, then sign in with it."""
    if not is_weak(house.settings, actor):
        return RedirectResponse(inside(next), 303)
    with house.records.read(actor) as tx:
        assert actor.user_id is not None
        known, fresh = passkeys.of_user(tx, actor.user_id), sessions.is_fresh(tx, FRESH)
    return render(
        request,
        "access/enrol.html.jinja",
        passkeys=known,
        held=bool(known) and all(one.held for one in known),
        fresh=fresh,
        back=inside(next),
        here=with_return("/account/passkey", next),
        single_sign_on=oidc.button_of(house.settings),
    )


@router.get("/account/password")
def password_page(request: Request, house: InHouse, actor: Owner, next: str = "/account") -> Response:  # noqa: A002
    """The page to change one's password."""
    return _password(request, house, actor, next)


@router.post("/account/password")
def change_password(
    request: Request,
    house: InHouse,
    actor: Owner,
    password: Text = "",
    repeated: Text = "",
    current: Text = "",
    keys: Annotated[bool, Form()] = False,
    back: Return = "/account",
) -> Response:
    """Change one's password; every other session ends, and with `keys` passkeys and tokens, too."""
    assert actor.user_id is not None
    try:
        verify_for_account(request, actor, Proof(password=current or None))
        refuse_unequal(password, repeated)
        if keys:
            refuse_second(house, actor)
        with house.records.write(actor) as tx:
            users.set_password(tx, actor.user_id, password, house.settings.hospital_name, keys=keys)
            cookie = sessions.renew(tx)
    except TetkikError as error:
        return _password(request, house, actor, back, error)
    answer = RedirectResponse(inside(back), 303)
    give_cookie(answer, house, cookie)
    return answer


@router.post("/account/password/strength")
def password_strength(request: Request, house: InHouse, actor: Owner, password: Text = "") -> Response:
    """How good a new password is, while it is typed."""
    with house.records.read(actor) as tx:
        assert actor.user_id is not None
        member = users.load_user(tx, actor.user_id)
    return shown_strength(request, house, password, (member.login, member.profile.name))


def _password(
    request: Request, house: House, actor: Actor, back: str, error: TetkikError | None = None
) -> Response:
    with house.records.read(actor) as tx:
        assert actor.user_id is not None
        member, held_tokens = users.load_user(tx, actor.user_id), tokens.list_tokens(tx)
    return render(
        request,
        "access/password.html.jinja",
        status=status_of(error) if error else 200,
        member=member,
        back=inside(back),
        shortest=passwords.SHORTEST,
        keys=bool(member.passkeys or held_tokens) and not is_weak(house.settings, actor),
        error=error.in_language(language_of(request)) if error else None,
    )


@router.post("/account/tokens")
def make_token(
    request: Request,
    house: InHouse,
    actor: Owner,
    name: Text = "",
    days: Annotated[int, Form(ge=1, le=366)] = 90,
    scope: Annotated[list[Permission] | None, Form()] = None,
    current: Text = "",
) -> Response:
    """Make a token for a program; the page shows its secret this once."""
    try:
        verify_for_account(request, actor, Proof(password=current or None))
        with house.records.write(actor) as tx:
            made = tokens.create(tx, name, scope or [], timedelta(days=days))
    except TetkikError as error:
        return _account(request, house, actor, error=error)
    return _account(request, house, actor, made=made)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(house: InHouse, actor: Owner, token_id: str) -> Response:
    """End a token."""
    with house.records.write(actor) as tx:
        tokens.revoke(tx, token_id)
    return RedirectResponse("/account#tokens", 303)


@router.post("/account/passkeys/{passkey_id}/remove")
def remove_passkey(house: InHouse, actor: Owner, passkey_id: str) -> Response:
    """Forget a passkey."""
    with house.records.write(actor) as tx:
        passkeys.remove(tx, passkey_id)
    return RedirectResponse("/account#passkeys", 303)


@router.post("/account/sessions/{session_id}/end")
def end_session(house: InHouse, actor: Owner, session_id: str) -> Response:
    """Sign out in another browser."""
    with house.records.write(actor) as tx:
        sessions.end_one(tx, session_id)
    return RedirectResponse("/account#sessions", 303)


@router.post("/account/sign-out-everywhere")
def sign_out_everywhere(house: InHouse, actor: Owner) -> Response:
    """Sign out in every browser, this one too."""
    with house.records.write(actor) as tx:
        sessions.end_all(tx)
    answer = RedirectResponse("/login", 303)
    take_cookie(answer, house)
    return answer
