"""Errors at the HTTP edge: RFC 9457 problem documents, and the one table of status codes."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from catalogue import errors
from catalogue.context import current, note
from catalogue.errors import Fault, LatheError
from catalogue.nouns import Reason

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

STATUSES: Mapping[type[LatheError], int] = {
    errors.InvalidInput: 422,
    errors.Unauthenticated: 401,
    errors.NotAllowed: 403,
    errors.RightsMissing: 451,
    errors.Untrusted: 403,
    errors.Gone: 410,
    errors.TooMany: 429,
    errors.NotFound: 404,
    errors.MethodNotSupported: 405,
    errors.RangeUnsatisfiable: 416,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.MediaTypeUnsupported: 415,
    errors.Locked: 423,
    # As tus has it.
    errors.ChecksumDiffers: 460,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.DiskFull: 507,
    errors.Broken: 500,
}
"""The status of a branch or leaf of the error tree; the nearest ancestor counts."""


class Problem(BaseModel):
    """A problem document (RFC 9457) with a stable code, what was measured, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:lathe:problem:territory-not-licensed"])
    title: str
    status: int
    detail: str
    code: str = Field(description="stable; docs/errors.md lists all of them")
    advice: str
    measured: dict[str, str | int | float | bool | None]


class InvalidMetadata(Problem):
    """All that is wrong with what was said of a delivery."""

    faults: list[Fault]


def status_of(kind: type[LatheError]) -> int:
    """Return the HTTP status of an error class. Raises LookupError when none covers it."""
    for ancestor in kind.__mro__:
        if ancestor in STATUSES:
            return STATUSES[ancestor]
    raise LookupError(kind.__name__)


def describe(fault: LatheError) -> Problem:
    """Return the problem document of an error."""
    return Problem(
        type=f"urn:lathe:problem:{fault.code}",
        title=fault.title,
        status=status_of(type(fault)),
        detail=fault.detail,
        code=fault.code,
        advice=fault.advice,
        measured=dict(fault.measured),
    )


def describe_reason(reason: Reason) -> Problem:
    """Return the problem document of why a job stopped."""
    kinds = {leaf.code: leaf for leaf in errors.leaves()}
    return Problem(
        type=f"urn:lathe:problem:{reason.code}",
        title=reason.title,
        status=status_of(kinds.get(reason.code, errors.Unexpected)),
        detail=reason.detail,
        code=reason.code,
        advice=reason.advice,
        measured=dict(reason.measured),
    )


def complete_openapi(document: dict[str, Any], *models: type[BaseModel]) -> None:
    """Make an OpenAPI document name its problems and ``models`` as components.

    FastAPI's own account of invalid parameters is replaced: they are problems like all others.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    components: tuple[type[BaseModel], ...] = (Problem, *models)
    for model in components:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    invalid = responses(errors.RequestInvalid)[422]
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if answers.get("422", {}).get("description") == "Validation Error":
                answers["422"] = invalid


def responses(*kinds: type[LatheError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI account of the problems that a route answers with."""
    found: dict[int | str, dict[str, Any]] = {}
    for leaf in (leaf for kind in kinds for leaf in errors.leaves(kind)):
        _add_answer(found.setdefault(status_of(leaf), {"description": ""}), leaf)
    return found


def complete_answers(answers: dict[str, dict[str, Any]], *kinds: type[LatheError]) -> None:
    """Add problems to the answers of an operation of an OpenAPI document."""
    for leaf in (leaf for kind in kinds for leaf in errors.leaves(kind)):
        _add_answer(answers.setdefault(str(status_of(leaf)), {"description": ""}), leaf)


def _add_answer(entry: dict[str, Any], leaf: type[LatheError]) -> None:
    known = [code for code in entry["description"].split(", ") if code]
    entry["description"] = ", ".join([*known, leaf.code])
    entry["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def install(app: FastAPI) -> None:
    """Make every error of ``app`` leave as a problem document."""
    app.add_exception_handler(LatheError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)


def respond(
    fault: LatheError, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """Return the response for an error; ``extra`` are further members of the document.

    It names the request that it answers (RFC 9457, 3.1.5).
    """
    problem = describe(fault)
    note(code=fault.code)
    if (request_id := current().get("request_id")) is not None:
        extra["instance"] = f"urn:lathe:request:{request_id}"
    sent = {"Cache-Control": "no-store"} | dict(headers or {})
    if problem.status == 401:
        sent["WWW-Authenticate"] = 'Bearer realm="lathe"'
    if problem.status == 503:
        sent["Retry-After"] = "5"
    if problem.status == 429:
        sent["Retry-After"] = str(fault.measured["retry_after_s"])
    return JSONResponse(
        problem.model_dump() | extra, problem.status, headers=sent, media_type=MEDIA_TYPE
    )


async def _on_known(_: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, LatheError)
    if isinstance(fault, errors.Broken):
        log.error("%s: %s", fault.code, fault.detail, exc_info=fault)
    if isinstance(fault, errors.MetadataInvalid) and fault.faults:
        return respond(fault, faults=[asdict(each) for each in fault.faults])
    if isinstance(fault, errors.UrlExpired):
        return respond(fault, refresh_url=f"/v1/tracks/{fault.measured['track']}/manifest")
    return respond(fault)


async def _on_invalid(_: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, RequestValidationError)
    first = fault.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return respond(errors.RequestInvalid(f"{place}: {first['msg']}.", where=place))


async def _on_http(request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, HTTPException)
    if isinstance(fault.__cause__, LatheError):
        # FastAPI has its own words for whatever it meets while it reads a body.
        return await _on_known(request, fault.__cause__)
    if fault.status_code == 404:
        return respond(errors.PathNotFound("No route leads there."))
    if fault.status_code == 405:
        return respond(
            errors.MethodNotSupported(f"{request.method} is not answered.", method=request.method),
            {"Allow": ", ".join(sorted(_methods_of(request)))},
        )
    return respond(errors.RequestInvalid(f"{fault.detail}."))


def _methods_of(request: Request) -> set[str]:
    """Return what methods the path of a request does answer, by whichever of its routes."""

    def is_answered(method: str) -> bool:
        asked = {**request.scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in request.app.router.routes)

    return {method for method in _METHODS if is_answered(method)}


async def _on_unexpected(_: Request, fault: Exception) -> JSONResponse:
    return respond(errors.Unexpected(f"{type(fault).__name__} was raised; the log has it."))
