"""The description of the API (OpenAPI 3.1): what FastAPI cannot see by itself is added here.

Who may call an operation, how faults look, and which operation goes on where another one ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

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


def install(app: FastAPI, problem: dict[str, Any]) -> None:
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
