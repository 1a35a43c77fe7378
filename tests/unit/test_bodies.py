"""Bodies that are read whole have a bound, and nothing is read beyond it."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.types import Message

from origin import problems
from origin.bodies import BODY_MAX_BYTES, Bounded, is_streamed

PIECE = b"x" * (64 << 10)


class Said(BaseModel):
    """What is sent as JSON."""

    text: str


def build() -> FastAPI:
    api = FastAPI()
    problems.install(api)
    api.add_middleware(Bounded)

    @api.post("/v1/sessions")
    async def read_whole(said: Said) -> int:
        return len(said.text)

    @api.post("/v1/playback")
    async def read_pieces(request: Request) -> Response:
        async for _ in request.stream():
            pass
        return Response()

    @api.post("/v1/uploads/{upload_id}")
    async def take(request: Request) -> int:
        return sum([len(piece) async for piece in request.stream()])

    return api


async def ask(
    path: str, pieces: Iterator[bytes], headers: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[int, dict[bytes, bytes], bytes, int]:
    """Return status, headers and body of the answer, and how much was read."""
    sent: list[Message] = []
    taken = 0
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8600),
    }

    async def receive() -> Message:
        nonlocal taken
        piece = next(pieces, None)
        taken += len(piece or b"")
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: Message) -> None:
        sent.append(message)

    await build()(scope, receive, send)
    start, *rest = sent
    assert [part.get("more_body", False) for part in rest] == [True] * (len(rest) - 1) + [False]
    body = b"".join(part.get("body", b"") for part in rest)
    return start["status"], dict(start["headers"]), body, taken


def endless() -> Iterator[bytes]:
    while True:
        yield PIECE


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/playback"])
@pytest.mark.parametrize("said", [None, 149 << 20, BODY_MAX_BYTES + 1])
def test_no_more_is_read_than_is_read_whole(path: str, said: int | None) -> None:
    headers = [] if said is None else [(b"content-length", str(said).encode())]
    status, told, body, taken = asyncio.run(ask(path, endless(), headers))
    assert (status, told[b"content-type"]) == (413, b"application/problem+json")
    assert b'"code":"body-too-large"' in body
    assert told[b"connection"] == b"close"
    # As much again is taken while the answer is on its way, and dropped.
    read = BODY_MAX_BYTES + len(PIECE) if said is None else 0
    assert taken <= read + BODY_MAX_BYTES


@pytest.mark.parametrize("said", [True, False])
def test_what_is_within_the_bound_is_read(said: bool) -> None:
    text = b'{"text": "%s"}'
    text %= b"a" * (BODY_MAX_BYTES - len(text) + 2)
    assert len(text) == BODY_MAX_BYTES
    headers = [(b"content-length", str(len(text)).encode())] if said else []
    pieces = iter([text[:1000], text[1000:]])
    status, told, body, _ = asyncio.run(ask("/v1/sessions", pieces, headers))
    assert (status, int(body)) == (200, len(text) - 12)
    assert b"connection" not in told


def test_what_is_taken_by_the_piece_has_bounds_of_its_own() -> None:
    length = 5 * BODY_MAX_BYTES
    pieces = iter([PIECE] * (length // len(PIECE)))
    headers = [(b"content-length", str(length).encode())]
    status, _, body, _ = asyncio.run(ask("/v1/uploads/upl_1", pieces, headers))
    assert (status, int(body)) == (200, length)


@pytest.mark.parametrize(
    ("path", "streamed"),
    [
        ("/v1/uploads", True),
        ("/v1/uploads/upl_1", True),
        ("/v1/deliveries", True),
        ("/v1/deliveries/ern", True),
        ("/v1/matches", True),
        ("/v1/deliveries/dlv_1/cancel", False),
        ("/v1/uploadsx", False),
        ("/v1/sessions", False),
        ("/v1/prefetch", False),
    ],
)
def test_masters_and_messages_alone_are_streamed(path: str, streamed: bool) -> None:
    assert is_streamed(path) is streamed
