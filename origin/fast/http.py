"""Reading requests and sending answers, as ASGI has them."""

from collections.abc import Iterable

from starlette.types import Scope, Send

Headers = list[tuple[bytes, bytes]]


def read_headers(scope: Scope, wanted: frozenset[bytes]) -> dict[bytes, bytes] | None:
    """Return the headers of a request among those ``wanted``; None where one stands there twice."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in wanted:
            if name in found:
                return None
            found[name] = value
    return found


async def send_answer(send: Send, status: int, headers: Headers, body: bytes | memoryview) -> None:
    """Send an answer whole."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def names(texts: Iterable[str]) -> frozenset[bytes]:
    """Return names of headers as ASGI has them."""
    return frozenset(text.lower().encode("ascii") for text in texts)
