"""How long a connection is held for a body of which no more comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from lathe.protocol import UPLOADS_WAIT, QuickProtocol, build_protocol
from tests.property.test_protocol import Wire

BODY = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
CHUNKED = b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


class Reader:
    """An application that reads all of a request, and answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.heard: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            self.heard.append(message["type"])
            more = message.get("more_body", False)
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


class Line:
    """A connection whose looks are taken by hand: its own first one is an hour away."""

    def __init__(self) -> None:
        self.reader, self.wire = Reader(), Wire()
        kind = build_protocol(patience_s=3600)
        config = uvicorn.Config(
            cast(Any, self.reader), http=kind, log_config=None, lifespan="off", proxy_headers=False
        )
        config.load()
        self.protocol: QuickProtocol = kind(config=config, server_state=ServerState(), app_state={})
        self.protocol.connection_made(cast(Any, self.wire))

    async def say(self, data: bytes) -> None:
        """Let bytes come, and the application have them."""
        self.protocol.data_received(data)
        for _ in range(9):
            await asyncio.sleep(0)

    def looks(self, number: int) -> int:
        """Look so often, or until the connection is closed; return how often that was."""
        for place in range(number):
            if self.wire.closed:
                return place
            self.protocol._looks.cancel()
            self.protocol._look()
        return number


@asynccontextmanager
async def connected() -> AsyncIterator[Line]:
    line = Line()
    yield line
    line.protocol.connection_lost(None)
    line.reader.may_answer.set()
    for _ in range(9):
        await asyncio.sleep(0)


@pytest.mark.parametrize("rest", [BODY, CHUNKED])
@pytest.mark.parametrize(
    ("path", "looks"),
    [
        (b"/v1/sessions", 1),
        (b"/v1/deliveries/dlv_1/cancel", 1),
        (b"/v1/deliveries", UPLOADS_WAIT),
        (b"/v1/matches", UPLOADS_WAIT),
        (b"/v1/uploads/upl_1?x=y", UPLOADS_WAIT),
    ],
)
def test_a_body_that_stands_still_is_given_up(path: bytes, rest: bytes, looks: int) -> None:
    async def run() -> None:
        async with connected() as line:
            await line.say(b"POST " + path + rest)
            # The first look sees what has come.
            assert line.looks(99) == 1 + looks
            assert line.wire.closed
            assert line.wire.taken == b""

    asyncio.run(run())


@pytest.mark.parametrize("path", [b"/v1/sessions", b"/v1/uploads"])
def test_a_body_that_comes_slowly_is_waited_for(path: bytes) -> None:
    async def run() -> None:
        async with connected() as line:
            await line.say(b"POST " + path + BODY)
            for letter in b"defghi":
                assert line.looks(1) == 1
                await line.say(bytes([letter]))
            # All of it is there: what is waited for is the answer.
            assert line.looks(40) == 40
            assert not line.wire.closed
            line.reader.may_answer.set()
            await line.say(b"")
            assert line.wire.taken.startswith(b"HTTP/1.1 204")

    asyncio.run(run())


def test_a_piece_lets_a_master_pause_anew() -> None:
    async def run() -> None:
        async with connected() as line:
            await line.say(b"POST /v1/matches" + BODY)
            assert line.looks(UPLOADS_WAIT) == UPLOADS_WAIT
            await line.say(b"d")
            assert line.looks(99) == 1 + UPLOADS_WAIT

    asyncio.run(run())


def test_what_is_not_read_is_not_missed() -> None:
    async def run() -> None:
        async with connected() as line:
            await line.say(b"POST /v1/sessions" + BODY)
            line.protocol.flow.pause_reading()
            assert line.looks(40) == 40
            line.protocol.flow.resume_reading()
            assert line.looks(99) == 2

    asyncio.run(run())


def test_the_rest_of_what_is_answered_is_not_waited_for() -> None:
    async def run() -> None:
        async with connected() as line:
            line.reader.may_answer.set()
            line.protocol.app = cast(Any, _answer)
            await line.say(b"POST /v1/sessions" + BODY)
            assert line.wire.taken.startswith(b"HTTP/1.1 204")
            assert line.looks(99) == 2

    asyncio.run(run())


def test_who_reads_a_body_learns_that_no_more_comes() -> None:
    async def run() -> None:
        async with connected() as line:
            await line.say(b"POST /v1/sessions" + BODY)
            line.looks(99)
            line.protocol.connection_lost(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert line.reader.heard == ["http.request", "http.disconnect"]

    asyncio.run(run())


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})
