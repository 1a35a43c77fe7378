"""Openness to scripts of any site, which act by what they show and never by a browser's cookies.

What is allowed is the same for every site and said in every answer, so that caches between need not
tell sites apart. Source: the Fetch standard, CORS protocol.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"Content-Length, Content-Range, Date, ETag, Location, Retry-After",
    ),
]
"""What stands in every answer."""

_PREFLIGHT = [
    *HEADERS,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, If-None-Match, If-Range, Range, X-Network-Type, "
        b"X-Preferred-Quality",
    ),
    (b"access-control-max-age", b"86400"),
    (b"content-length", b"0"),
]


class OpenToScripts:
    """An application whose answers scripts of any site may read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or the question whether it may be made."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and _asks_for_leave(scope):
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body"})
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        await self._app(scope, receive, send_open)


def _asks_for_leave(scope: Scope) -> bool:
    asked = {name for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= asked
