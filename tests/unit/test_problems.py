import asyncio
import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from catalogue import errors
from catalogue.errors import LatheError, leaves
from catalogue.nouns import Reason
from origin.problems import describe, describe_reason, install, respond, responses, status_of
from tests.contract.examples import REASON

LEAVES = {leaf.code: leaf for leaf in leaves()}
STANDARD = {"type", "title", "status", "detail"}
MEMBERS = STANDARD | {"code", "advice", "measured"}


def build() -> FastAPI:
    """Return an application that raises what it is asked to."""
    app = FastAPI()
    install(app)

    @app.get("/raise/{code}")
    def get_error(code: str) -> None:
        raise LEAVES[code]("This case.", track="trk_1", samples=3, retry_after_s=7)

    @app.get("/unexpected")
    def get_unexpected() -> None:
        raise ValueError("a secret")

    @app.get("/number/{number}")
    def get_number(number: int, limit: int = 1) -> int:
        return number + limit

    return app


def ask(path: str, method: str = "GET") -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(build(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://origin") as client:
            return await client.request(method, path)

    return asyncio.run(send())


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the members of an answer that is a problem document."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    return document


@pytest.mark.parametrize("leaf", LEAVES.values())
def test_an_error_leaves_as_a_problem_document(leaf: type[LatheError]) -> None:
    document = problem(ask(f"/raise/{leaf.code}"))
    assert set(document) - {"refresh_url"} == MEMBERS
    assert document["type"] == f"urn:lathe:problem:{leaf.code}"
    assert (document["title"], document["advice"]) == (leaf.title, leaf.advice)
    assert (document["code"], document["status"]) == (leaf.code, status_of(leaf))
    assert document["detail"] == "This case."
    assert document["measured"] == {"track": "trk_1", "samples": 3, "retry_after_s": 7}


@pytest.mark.parametrize("leaf", LEAVES.values())
def test_headers_follow_the_status(leaf: type[LatheError]) -> None:
    answer = ask(f"/raise/{leaf.code}")
    assert ("WWW-Authenticate" in answer.headers) == (answer.status_code == 401)
    waits = {429: "7", 503: "5"}
    assert answer.headers.get("Retry-After") == waits.get(answer.status_code)


def test_a_key_is_asked_for_by_scheme() -> None:
    assert ask("/raise/key-missing").headers["WWW-Authenticate"].startswith("Bearer ")


def test_an_expired_url_says_where_to_get_a_new_one() -> None:
    document = problem(ask("/raise/url-expired"))
    assert document["refresh_url"] == "/v1/tracks/trk_1/manifest"
    assert "refresh_url" not in problem(ask("/raise/url-untrusted"))


def test_an_unexpected_error_tells_nothing_but_its_kind() -> None:
    answer = ask("/unexpected")
    document = problem(answer)
    assert (document["status"], document["code"]) == (500, "unexpected")
    assert "ValueError" in document["detail"]
    assert "a secret" not in answer.text


@pytest.mark.parametrize(
    ("path", "where"), [("/number/x", "path.number"), ("/number/1?limit=x", "query.limit")]
)
def test_a_request_of_the_wrong_shape_says_where(path: str, where: str) -> None:
    document = problem(ask(path))
    assert (document["status"], document["code"]) == (422, "request-invalid")
    assert document["measured"] == {"where": where}
    assert where in document["detail"]


def test_no_route_is_a_problem() -> None:
    assert problem(ask("/nowhere"))["code"] == "path-not-found"


def test_another_method_is_a_problem_that_names_those_allowed() -> None:
    answer = ask("/number/1", "DELETE")
    document = problem(answer)
    assert (document["status"], document["code"]) == (405, "method-not-supported")
    assert document["measured"] == {"method": "DELETE"}
    assert answer.headers["Allow"] == "GET"


def test_a_response_takes_more_headers_and_members() -> None:
    fault = errors.RangeUnsatisfiable("Outside.", size_bytes=9)
    answer = respond(fault, {"Content-Range": "bytes */9"}, hint="smaller")
    assert answer.headers["Content-Range"] == "bytes */9"
    assert json.loads(bytes(answer.body))["hint"] == "smaller"


@pytest.mark.parametrize("leaf", LEAVES.values())
def test_a_stored_reason_is_the_problem_it_was(leaf: type[LatheError]) -> None:
    fault = leaf("This case.", samples=3)
    reason = Reason(
        code=leaf.code,
        title=leaf.title,
        detail=fault.detail,
        advice=leaf.advice,
        measured=dict(fault.measured),
    )
    assert describe_reason(reason) == describe(fault)


def test_a_reason_of_a_later_version_is_told_as_it_was_stored() -> None:
    later = Reason(
        code="not-yet-known",
        title=REASON.title,
        detail=REASON.detail,
        advice=REASON.advice,
        measured=REASON.measured,
    )
    told = describe_reason(later)
    assert (told.code, told.status, told.detail) == ("not-yet-known", 500, REASON.detail)
    assert told.measured == REASON.measured


def test_an_openapi_account_names_every_code_of_a_status() -> None:
    account = responses(errors.Unauthenticated, errors.Untrusted, errors.NotAllowed)
    assert set(account) == {401, 403, 451}
    assert account[401]["description"] == (
        "credentials-wrong, key-missing, key-revoked, key-unknown, session-missing, session-unknown"
    )
    assert "url-untrusted" in account[403]["description"].split(", ")
    for entry in account.values():
        schema = entry["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
