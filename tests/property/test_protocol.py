"""Requests that are known but for their first line are answered as all others are."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from lathe.protocol import QuickProtocol, build_protocol
from origin.entrance import Entrance
from origin.fast.http import Answer
from origin.measures import OriginMeasures
from origin.visit import Visit, enter, entered


class Echo(Entrance):
    """Tells what it was asked.

    What begins with /s is answered from memory, and what begins with /f is found after a while; of
    what begins with /n nothing is noted.
    """

    def __init__(self) -> None:
        super().__init__(cast(Any, None), OriginMeasures(CollectorRegistry(), ()))
        self.recalled = 0
        self.sought: list[str] = []

    def recall(self, scope: Scope) -> Answer | None:
        assert entered(scope) is None
        if scope["path"].startswith("/n"):
            return None
        enter(scope, Visit(told={}))
        if not scope["path"].startswith("/s"):
            return None
        self.recalled += 1
        return self._answer(scope)

    async def find(self, scope: Scope) -> Answer | None:
        self.sought.append(scope["path"])
        for _ in range(3):
            await asyncio.sleep(0)
        if scope["path"] == "/fault":
            raise ValueError("nobody knows")
        if scope["path"].startswith("/n"):
            return None
        visit = entered(scope) or Visit(told={})
        enter(scope, visit)
        visit.sought = True
        return self._answer(scope) if scope["path"].startswith("/f") else None

    def _answer(self, scope: Scope) -> Answer:
        # Some are large.
        body = tell(scope) * (1000 if scope["path"].endswith("b") else 1)
        return Answer(200, b"content-length: %d\r\n" % len(body), body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = tell(scope)
        while (await receive()).get("more_body"):
            pass
        head = {"status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": body})


def tell(scope: Scope) -> bytes:
    """Return all of a request that applications look at."""
    names = ("method", "path", "query_string", "headers", "client")
    return repr([scope[name] for name in names]).encode()


class Wire:
    """The end of a connection that keeps what is written to it."""

    def __init__(self) -> None:
        self.taken = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.taken += data

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.write(b"".join(pieces))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)}.get(name)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Go on reading: what is sent has been read."""

    def resume_reading(self) -> None:
        """Go on reading."""


async def talk(
    pieces: Sequence[bytes], *, remembers: bool, turns: int = 12, ends: bool = False
) -> tuple[bytes, bool, Echo]:
    """Return what is answered to pieces that come one by one, so many turns after one another.

    The first has time enough to be answered. And whether the connection is closed then. With
    ``ends`` the server ends at the last one.
    """
    echo, wire = Echo(), Wire()
    kind = build_protocol(patience_s=60)
    config = uvicorn.Config(
        cast(Any, echo), http=kind, log_config=None, lifespan="off", proxy_headers=False
    )
    config.load()
    protocol: QuickProtocol = kind(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(cast(Any, wire))
    for place, piece in enumerate(pieces):
        if wire.closed:
            break
        if not remembers:
            kind.known.clear()
        protocol.data_received(piece)
        last = place + 1 == len(pieces)
        for _ in range(0 if ends and last else turns if place else 12):
            await asyncio.sleep(0)
    if ends:
        protocol.shutdown()
    for _ in range(12 * len(pieces)):
        await asyncio.sleep(0)
    closed = wire.closed
    protocol.connection_lost(None)
    return wire.taken, closed, echo


LINES = st.builds(
    lambda method, path, query, version: f"{method} {path}{query} {version}".encode(),
    st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "get"]),
    st.sampled_from(
        ["/s/a", "/s/b~c", "/f/a", "/f/b", "/n", "/v1/x", "//s", "/s/%41", "/", "*", "http://h/s"]
    ),
    st.sampled_from(["", "?", "?t=1.k.s.x", "?a=%20&b", "?a#b"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"]),
)
HEADERS = st.lists(
    st.sampled_from(
        [
            b"Host: a",
            b"Authorization: Bearer x",
            b"authorization: other",
            b"Connection: close",
            b"Connection: keep-alive",
            b"Content-Length: 4",
            b"Content-Length: 0",
            b"Transfer-Encoding: chunked",
            b"Expect: 100-continue",
            b"Upgrade: h2c\r\nConnection: Upgrade",
            b"Folded: a\r\n b",
            b"Bad name: x",
        ]
    ),
    max_size=3,
)
TAILS = st.sampled_from([b"", b"", b"", b"\r\n", b"\r\n\r\n", b"abcd", b"0\r\n\r\n", b"GET /s/"])


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """Return pieces of requests; most have lines that others have, too."""
    heads = draw(st.lists(HEADERS, min_size=1, max_size=2))
    pieces: list[bytes] = []
    for line in draw(st.lists(LINES, min_size=2, max_size=6)):
        rest = draw(st.sampled_from(heads))
        whole = b"\r\n".join([line, *rest, b"", b""]) + draw(TAILS)
        cut = draw(st.sampled_from([0, 0, 0, 1, len(line) + 1, len(line) + 2, len(whole) - 2]))
        pieces += [piece for piece in (whole[:cut], whole[cut:]) if piece]
    if draw(st.booleans()):
        pieces = [b"".join(pieces[:2]), *pieces[2:]]
    return pieces


SAME = b"\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n"


@given(pieces=conversations(), turns=st.sampled_from([0, 1, 3, 12]))
@example(pieces=[b"GET /s/a HTTP/1.1" + SAME, b"GET /s/b HTTP/1.1" + SAME], turns=12)
@example(pieces=[b"GET /s/a HTTP/1.1" + SAME, b"GET /v1/x HTTP/1.1" + SAME], turns=12)
@example(pieces=[b"GET /s/a HTTP/1.1\r\n\r\n", b"GET /s/b HTTP/1.1\r\n", b"\r\n"], turns=12)
@example(pieces=[b"GET /f/%d HTTP/1.1" % number + SAME for number in range(5)], turns=1)
@example(pieces=[b"GET /v1/%d HTTP/1.1" % number + SAME for number in range(5)], turns=1)
@example(pieces=[b"GET /n/%d HTTP/1.1" % number + SAME for number in range(5)], turns=12)
@example(pieces=[b"GET /fault HTTP/1.1" + SAME for _ in range(3)], turns=0)
def test_what_is_known_is_answered_alike(pieces: list[bytes], turns: int) -> None:
    taken, closed, echo = asyncio.run(talk(pieces, remembers=True, turns=turns))
    other_taken, other_closed, other = asyncio.run(talk(pieces, remembers=False, turns=turns))
    assert (taken, closed) == (other_taken, other_closed)
    if turns == 12:
        assert echo.recalled == other.recalled


@pytest.mark.parametrize("path", ["s", "f"])
def test_what_is_known_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    parsed = []
    usual = QuickProtocol.on_message_begin

    def begin(protocol: QuickProtocol) -> None:
        parsed.append(protocol)
        usual(protocol)

    monkeypatch.setattr(QuickProtocol, "on_message_begin", begin)
    pieces = [f"GET /{path}/{number} HTTP/1.1".encode() + SAME for number in range(10)]
    answered, _, echo = asyncio.run(talk(pieces, remembers=True))
    assert (echo.recalled, len(echo.sought), len(parsed)) == (
        (10, 0, 1) if path == "s" else (0, 10, 1)
    )
    assert answered.count(b"HTTP/1.1 200") == 10
    assert f"'/{path}/9'".encode() in answered


def test_what_was_not_found_is_not_sought_again() -> None:
    pieces = [f"GET /v1/{number} HTTP/1.1".encode() + SAME for number in range(5)]
    answered, _, echo = asyncio.run(talk(pieces, remembers=True))
    assert answered.count(b"HTTP/1.1 200") == 5
    assert echo.sought == [f"/v1/{number}" for number in range(5)]


@pytest.mark.parametrize("path", ["s", "f", "v1"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_is_not_taken_for_a_head_though_the_answer_was_known(
    path: str, framing: str
) -> None:
    """Whatever is said of what is left of it would be the answer to another's request."""
    piece = b"x" * (40 << 10)
    if framing == "length":
        head, pieces = f"Content-Length: {3 * len(piece)}", [piece] * 3
    else:
        head = "Transfer-Encoding: chunked"
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece)] * 3 + [b"0\r\n\r\n"]
    first = f"GET /{path}/0 HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode()
    following = f"GET /{path}/1 HTTP/1.1".encode() + SAME
    answered, closed, _ = asyncio.run(talk([first, *pieces, following], remembers=True))
    assert (answered.count(b"HTTP/1.1 200"), answered.count(b"HTTP/1.1 4"), closed) == (2, 0, False)
    assert f"'/{path}/1'".encode() in answered


@pytest.mark.parametrize("path", ["f", "v1"])
def test_a_server_that_ends_answers_what_it_is_finding(path: str) -> None:
    pieces = [f"GET /{path}/{number} HTTP/1.1".encode() + SAME for number in range(3)]
    answered, closed, _ = asyncio.run(talk(pieces, remembers=True))
    assert (answered.count(b"HTTP/1.1 200"), closed) == (3, False)
    answered, closed, echo = asyncio.run(talk(pieces, remembers=True, ends=True))
    assert (answered.count(b"HTTP/1.1 200"), closed) == (3, True)
    assert echo.sought == [f"/{path}/{number}" for number in range(3)]
