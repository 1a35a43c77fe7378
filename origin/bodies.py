"""How much of a request is read: little at once, and masters and messages by the piece."""

from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogue import errors
from catalogue.errors import BodyTooLarge
from origin.problems import complete_answers, respond

BODY_MAX_BYTES = 1 << 20
"""Most of a body that is read whole."""

_STREAMED = ("/v1/deliveries", "/v1/deliveries/ern", "/v1/matches", "/v1/uploads")
_BELOW = "/v1/uploads/"
# Who sends while it is being refused gets to read why, unless it goes on and on.
_LINGER_BYTES = 1 << 20


def is_streamed(path: str) -> bool:
    """Return whether what is sent there is taken by the piece, within bounds of its own."""
    return path in _STREAMED or path.startswith(_BELOW)


class Bounded:
    """An application around another one, which never reads more of a body than is read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or is_streamed(scope["path"]):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send)
        said = Headers(scope=scope).get("content-length", "")
        if said.isdecimal() and int(said) > BODY_MAX_BYTES:
            await respond(body.refuse())(scope, receive, body.send)
            return
        await self._app(scope, body.receive, body.send)


class _Body:
    """What comes of a request, up to the bound."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._size_bytes = 0
        self._refused = False

    def refuse(self) -> BodyTooLarge:
        """Return why no more is read; the connection ends with the answer."""
        self._refused = True
        return BodyTooLarge("No more is read at once.", max_bytes=BODY_MAX_BYTES)

    async def receive(self) -> Message:
        """Return what comes next. Raises BodyTooLarge."""
        message = await self._receive()
        self._size_bytes += len(message.get("body", b""))
        if self._size_bytes > BODY_MAX_BYTES:
            raise self.refuse()
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if self._refused and message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif self._refused and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        """Take some more, for what is cut off while it sends may never look at its answer."""
        size_bytes, more = 0, True
        while more and size_bytes < _LINGER_BYTES:
            message = await self._receive()
            size_bytes += len(message.get("body", b""))
            more = message.get("more_body", False)


def describe_bounds(document: dict[str, Any]) -> None:
    """Tell in an OpenAPI document where a body may be too large."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if "requestBody" in operation and not is_streamed(path):
                complete_answers(operation["responses"], errors.BodyTooLarge)
