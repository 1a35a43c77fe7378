"""Reading requests and making answers, as ASGI has them."""

from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import Scope, Send

from origin.fast.held import Body, HeldPart

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """An answer whole. ``lines`` are its headers as HTTP/1.1 writes them, which tell its length."""

    status: int
    lines: bytes
    body: Body | memoryview


def write_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as HTTP/1.1 writes them, each with its end of line (RFC 9112, 5)."""
    return b"".join([b"%s: %s\r\n" % header for header in headers])


def read_lines(lines: bytes) -> Headers:
    """Return what ``write_lines`` has written."""
    parts = [line.partition(b": ") for line in lines.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in parts]


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer."""
    start = {"status": answer.status, "headers": read_lines(answer.lines)}
    await send({"type": "http.response.start", **start})
    body = answer.body.read() if isinstance(answer.body, HeldPart) else answer.body
    await send({"type": "http.response.body", "body": body})


def read_headers(scope: Scope, wanted: frozenset[bytes]) -> dict[bytes, bytes] | None:
    """Return the headers of a request among those ``wanted``; None where one stands there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in wanted:
            if name in found:
                return None
            found[name] = value
    return found


def names(texts: Iterable[str]) -> frozenset[bytes]:
    """Return names of headers as ASGI has them."""
    return frozenset(text.lower().encode("ascii") for text in texts)
