"""Single sign-on: to the identity provider and back."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import Forbidden, NotFound, NotSignedIn, TetkikError
from tetkik.records.audit_chain import Action
from tetkik.records.people import sign_in, sso
from tetkik.service.access import oidc
from tetkik.service.access.gate import gate_of, take
from tetkik.service.access.guard import public
from tetkik.service.access.identify import peer_of, resumed
from tetkik.service.access.opening import signed_in
from tetkik.service.access.passkeys import origin_of
from tetkik.service.access.returning import inside
from tetkik.service.house import House, InHouse
from tetkik.service.pages.sign_in import login_again
from tetkik.values import Actor, Method

router = APIRouter()

_MINUTES = 5


@router.get("/login/oidc", dependencies=[public()])
def go(request: Request, house: InHouse, next: str = "/") -> Response:  # noqa: A002
    """Send the browser to the identity provider."""
    take(request, gate_of(request).sign_ins, f"address {peer_of(request).address}")
    if not house.settings.oidc_issuer:
        raise NotFound("This house has no single sign-on; sign in with your password.")
    try:
        address, state, sign_on = oidc.begin(
            house.settings, origin_of(request), inside(next), anew=_is_locked(request)
        )
    except TetkikError as error:
        return login_again(request, house, next, error)
    gate_of(request).sign_ons.ask(state, sign_on)
    answer = RedirectResponse(address, 303)
    answer.set_cookie(
        oidc.COOKIE,
        state,
        max_age=_MINUTES * 60,
        path="/login",
        secure=house.secure,
        httponly=True,
        samesite="lax",
    )
    return answer


def _is_locked(request: Request) -> bool:
    try:
        return resumed(request).locked
    except NotSignedIn:
        return False


@router.get(oidc.CALLBACK, dependencies=[public()])
def come_back(request: Request, house: InHouse, state: str = "") -> Response:
    """The provider's answer: a session, or the sign-in page with the reason."""
    take(request, gate_of(request).sign_ins, f"address {peer_of(request).address}")
    sign_on: oidc.SignOn | None = gate_of(request).sign_ons.answered(state)
    try:
        if sign_on is None or not oidc.same_browser(state, request.cookies.get(oidc.COOKIE)):
            raise Forbidden("The sign-on was not begun in this browser, or too long ago; begin again.")
        actor = _arrived(request, house, oidc.finish(house.settings, sign_on, request.query_params))
        answer = signed_in(request, house, actor, sign_on.back)
    except TetkikError as error:
        _note_failure(request, house)
        answer = login_again(request, house, sign_on.back if sign_on else "/", error)
    answer.delete_cookie(oidc.COOKIE, path="/login")
    return answer


def _arrived(request: Request, house: House, arrival: sso.Arrival) -> Actor:
    with house.records.write(_nobody(request)) as tx:
        return sign_in.build_actor(sso.sign_in_by_sso(tx, arrival), Method.OIDC, peer_of(request))


def _note_failure(request: Request, house: House) -> None:
    with house.records.write(_nobody(request)) as tx:
        tx.audit(Action.SIGN_IN_FAILED, by=Method.OIDC.value)


def _nobody(request: Request) -> Actor:
    peer = peer_of(request)
    return Actor(None, "", method=Method.OIDC, address=peer.address, request_id=peer.request_id)
