"""Errors: problem+json for programs (RFC 9457), a page or a fragment for people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from tetkik.errors import NotSignedIn, TetkikError
from tetkik.language import Sentence
from tetkik.service.kit.http.responses import CONTENT
from tetkik.service.kit.rendering.templates import language_of, render, status_of

# The description of the API (OpenAPI 3.1): what FastAPI cannot see by itself is added here.
#
# Who may call an operation, how faults look, and which operation goes on where another one ends.


_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API token of a user, narrowed to its scopes.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "tetkik",
        "description": "A signed-in browser; what changes something also carries `X-CSRF-Token`. Over TLS "
        "the cookie is called `__Host-tetkik`.",
    },
}
_ABOUT = (
    "From a complaint to a department, from an image to a signed report. Faults are `problem+json`; lists go "
    "on with `cursor`; what creates takes an `Idempotency-Key`. Research and education software: not a "
    "medical device."
)
_PUBLIC = ("/health", "/ready")


def describe_api(app: FastAPI, problem: dict[str, Any]) -> None:
    """Let the application describe itself in full, with the JSON schema of a fault."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(app, problem)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _complete(app: FastAPI, problem: dict[str, Any]) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_ABOUT)
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = problem
    components["securitySchemes"] = _SECURITY
    for path, _, operation in _operations(schema):
        if not path.endswith(_PUBLIC):
            operation["security"] = [{"token": []}, {"session": []}]
    _link(schema)
    return schema


def methods_of(app: FastAPI, path: str) -> tuple[str, ...]:
    """The methods that an address of the API knows, for the header `Allow` (RFC 9110, 10.2.1)."""
    fitting = [
        template
        for template in app.openapi()["paths"]
        if re.fullmatch(re.sub(r"\\{[^}]*\\}", "[^/]*", re.escape(template)), path)
    ]
    if not fitting:
        return ()
    known = app.openapi()["paths"][min(fitting, key=lambda template: template.count("{"))]
    return tuple(sorted(method.upper() for method in known if method in _METHODS))


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, operation


def _link(schema: dict[str, Any]) -> None:
    """From whatever makes a thing to whatever takes its id: by the name of the parameter (`case_id`)."""
    takers: dict[str, list[dict[str, Any]]] = {}
    for _, _, operation in _operations(schema):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path" and parameter["name"].endswith("_id"):
                takers.setdefault(parameter["name"], []).append(operation)
    for path, method, operation in _operations(schema):
        made = operation["responses"].get("201")
        if method != "post" or made is None:
            continue
        thing = path.rstrip("/").rpartition("/")[2].removesuffix("s")  # `/api/v1/cases` holds a `case`
        for pointer, parameter in _ids(schema, made, thing):
            links = {
                taker["operationId"]: {
                    "operationId": taker["operationId"],
                    "parameters": {parameter: f"$response.body#/{pointer}"},
                }
                for taker in takers.get(parameter, ())
            }
            if links:
                made.setdefault("links", {}).update(links)


def _ids(schema: dict[str, Any], answer: dict[str, Any], thing: str) -> Iterator[tuple[str, str]]:
    """Ids in an answer: where each is, as a JSON pointer, and what a parameter calls it."""
    content = answer.get("content", {}).get("application/json", {}).get("schema", {})
    for field, shape in _fields(schema, content).items():
        if field == "id":
            yield field, f"{thing}_id"
        elif field.endswith("_id"):
            yield field, field
        elif "id" in _fields(schema, shape):
            yield f"{field}/id", f"{field}_id"


def _fields(schema: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """The fields of a shape that stands among the components."""
    known = schema["components"]["schemas"].get(shape.get("$ref", "").rpartition("/")[2], {})
    fields: dict[str, Any] = known.get("properties", {})
    return fields


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
    describe_api(app, Problem.model_json_schema())
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
        known = methods_of(request.app, request.scope["path"])
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
    request: Request, status: int, sentence: Sentence, kind: str, errors: list[dict[str, Any]] | None = None
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
