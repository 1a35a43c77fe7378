"""Reading requests and making answers, as ASGI has them."""

from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import Scope, Send

from origin.fast.held import Body, HeldPart

Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """An answer whole; its headers tell how long it is."""

    status: int
    headers: Headers
    body: Body | memoryview


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer."""
    start = {"status": answer.status, "headers": answer.headers}
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
