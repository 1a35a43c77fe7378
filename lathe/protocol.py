"""HTTP/1.1 as uvicorn speaks it, with the shortest way for what is answered from memory.

Who is slow is waited for within bounds: for a request's head, and for an answer to be taken. The
body of a request may take its time, for a master may come over a bad line.
"""

from asyncio import BaseTransport, TimerHandle, Transport
from typing import Any, cast

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from origin.entrance import Entrance

HEAD_MAX_BYTES = 64 << 10
"""Longest head of a request: RFC 6585 has 431 for what is longer."""


def build_protocol(*, patience_s: float) -> type["QuickProtocol"]:
    """Return the protocol that waits so long for a head, and for any of an answer to be taken."""
    return type("Protocol", (QuickProtocol,), {"patience_s": patience_s})


class QuickProtocol(HttpToolsProtocol):
    """Answers without a task what the entrance recalls; all else goes uvicorn's own way.

    That is a GET request on a connection that is kept and that nothing else waits on. Head and
    body leave in one write.
    """

    patience_s: float

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        app: object = self.app
        self._entrance = app if isinstance(app, Entrance) else None
        # Since when a head is waited for; None while there is none to wait for.
        self._head_since: float | None = self.loop.time()
        self._head_bytes = self._untaken_bytes = 0
        self._looks: TimerHandle
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Take a connection."""
        # uvloop's is one in all but its ancestry.
        super().connection_made(cast(Transport, transport))
        self._looks = self.loop.call_later(self.patience_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection."""
        self._looks.cancel()
        self._tell_running()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._head_since, self._head_bytes = self.loop.time(), 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._head_since = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        since = self._head_since
        super().data_received(data)
        if since is not None and since is self._head_since:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self.send_400_response("The head of the request is too long.")

    def _look(self) -> None:
        """Close a connection whose other end has done nothing for too long."""
        untaken_bytes = self.transport.get_write_buffer_size()
        waits = self._head_since is not None
        waits = waits and self.loop.time() - (self._head_since or 0) >= self.patience_s
        if waits or (untaken_bytes and untaken_bytes == self._untaken_bytes):
            self._tell_running()
            self.transport.abort()
            return
        self._untaken_bytes = untaken_bytes
        self._looks = self.loop.call_later(self.patience_s, self._look)

    def _tell_running(self) -> None:
        """Let the request that is being answered know that nobody takes any more of it."""
        if self._running is not None:
            self._running.disconnected = True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._answer_at_once(cycle):
            return
        length = sum(len(name) + len(value) for name, value in cycle.scope["headers"])
        self._running, refused = cycle, cast(Any, _refuse_head)
        super()._start_asgi_task(cycle, refused if length > HEAD_MAX_BYTES else app)

    def _answer_at_once(self, cycle: RequestResponseCycle) -> bool:
        if (
            self._entrance is None
            or cycle.scope["method"] != "GET"
            or not cycle.keep_alive
            # Requests that wait behind one another take their turns in tasks of their own.
            or cycle is not self.cycle
            or self.pipeline
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        answer = self._entrance.recall(cast(Scope, cycle.scope))
        if answer is None:
            return False
        head = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        self.transport.writelines((b"".join(head), answer.body))
        cycle.response_started = cycle.response_complete = True
        self.server_state.total_requests += 1
        # The next head is waited for as the first one is, without a timer for each.
        self._head_since = self.loop.time()
        return True


async def _refuse_head(_: Scope, __: Receive, send: Send) -> None:
    body = b"The head of the request is too long.\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body})
