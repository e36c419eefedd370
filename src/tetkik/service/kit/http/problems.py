"""Errors: problem+json for programs (RFC 9457), a page or a fragment for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from tetkik.errors import NotSignedIn, TetkikError
from tetkik.language import Sentence
from tetkik.service.kit.http import openapi
from tetkik.service.kit.http.preconditions import CONTENT
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.service.kit.statuses import status_of

_log = structlog.get_logger()
_SENTENCES = {
    404: Sentence("There is nothing at this address; check it, or begin at the start page."),
    405: Sentence("This address does not know that method; see the documentation of the API."),
    413: Sentence("The file is too large; send a smaller one, or raise the limit in the settings."),
    422: Sentence("The request is not as this address expects it; correct what is listed under errors."),
    429: Sentence("Too many requests; wait a moment."),
    500: Sentence("Something failed here; it is in the log under this request's number."),
}


class Problem(BaseModel):
    """A fault, as RFC 9457 writes it."""

    type: str = Field(description="What kind, as a URN.")
    title: str = Field(description="The kind in a few words, always English.")
    status: int
    detail: str = Field(description="One sentence: the input, the fault, the remedy.")
    instance: str | None = Field(default=None, description="The request's number, as the log has it.")
    errors: list[dict[str, Any]] | None = Field(
        default=None, description="Of fields, each with its place and fault."
    )


PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": "Problem", "content": CONTENT}
    for code in (400, 401, 403, 404, 409, 412, 413, 422, 428, 429)
}
"""For `responses=` of every router of the API, so that the schema lists them."""


def install(app: FastAPI) -> None:
    openapi.install(app, Problem.model_json_schema())
    app.add_exception_handler(TetkikError, _fault)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)


def _fault(request: Request, error: Exception) -> Response:
    if isinstance(error, NotSignedIn) and not _for_programs(request):
        return _to_sign_in(request)
    return _sent(request, problem_of_fault(request, error))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The place and the fault, never the value: it may be a patient's.
    errors = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()]
    return answer(request, 422, _SENTENCES[422], "Invalid", errors=errors)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = _SENTENCES.get(error.status_code) or Sentence(str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405 and _for_programs(request):
        known = openapi.methods_of(request.app, request.scope["path"])
        headers |= {"Allow": ", ".join(known)} if known else {}
    return answer(request, error.status_code, sentence, "Http", headers=headers)


def answer(
    request: Request,
    status: int,
    sentence: Sentence,
    kind: str,
    *,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return _sent(request, problem_of(request, status, sentence, kind, errors), headers)


def _sent(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    if _for_programs(request):
        return JSONResponse(
            problem.model_dump(exclude_none=True),
            problem.status,
            headers=dict(headers or {}),
            media_type="application/problem+json",
        )
    return render(
        request,
        "error.html.jinja",
        status=problem.status,
        code=problem.status,
        sentence=problem.detail,
        number=problem.instance,
    )


def problem_of(
    request: Request,
    status: int,
    sentence: Sentence,
    kind: str,
    errors: list[dict[str, Any]] | None = None,
) -> Problem:
    """One fault for programs, in the language of whoever asked."""
    return Problem(
        type=f"urn:tetkik:problem:{kind}",
        title=kind,
        status=status,
        detail=sentence.in_language(language_of(request)),
        instance=getattr(request.state, "request_id", None),
        errors=errors,
    )


def problem_of_fault(request: Request, fault: Exception) -> Problem:
    """What an exception is answered with; of an unexpected one the kind alone, and a line in the log."""
    kind = type(fault).__name__
    if isinstance(fault, TetkikError):
        sentence = Sentence(fault.template, fault.values)
        status = status_of(fault)
        if status == 500:
            _log.error("fault", kind=kind, template=fault.template)
        return problem_of(request, status, sentence, kind, getattr(fault, "fields", None))
    # The kind alone: the text of an unexpected error may hold anything.
    _log.error("unexpected", kind=kind, route=getattr(request.scope.get("route"), "path", None))
    return problem_of(request, 500, _SENTENCES[500], "Unexpected")


def _for_programs(request: Request) -> bool:
    path: str = request.scope["path"]
    return path.startswith("/api/")


def _to_sign_in(request: Request) -> Response:
    """The sign-in page, which comes back to where one wanted to go; htmx loads it as a whole page."""
    target = request.scope["path"] if request.method == "GET" else "/"
    # A locked screen is opened, a password that has to be changed is changed, everybody else signs in.
    page = f"{getattr(request.state, 'detour', '/login')}?next={quote(target)}"
    if request.headers.get("hx-request"):
        return Response(status_code=401, headers={"HX-Redirect": page})
    return RedirectResponse(page, 303)
