"""HTTP/1.1 as uvicorn speaks it, with the shortest way for what is answered from memory.

Who is slow is waited for within bounds: for a request's head, for more of its body, and for an
answer to be taken. A master may come over a bad line, which is waited for longer.
"""

import logging
import re
from asyncio import BaseTransport, Task, TimerHandle, Transport
from functools import partial
from socket import MSG_DONTWAIT, MSG_MORE, socket
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from origin.bodies import is_streamed
from origin.entrance import Entrance
from origin.fast.held import HeldPart
from origin.fast.http import Answer, Headers, send_answer, write_lines
from origin.remembered import Remembered
from origin.visit import Visit, enter, entered

log = logging.getLogger(__name__)

HEAD_MAX_BYTES = 64 << 10
"""Longest head of a request: RFC 6585 has 431 for what is longer."""

UPLOADS_WAIT = 15
"""How many times as long more of a master is waited for as more of any other body."""

_KNOWN_BYTES, _LONGEST_KNOWN = 16 << 20, 4 << 10
# What this matches means the same to every reader: nothing in it is escaped or may be left out.
_LINE = re.compile(rb"GET (/[A-Za-z0-9][A-Za-z0-9._~/-]*)(?:\?([A-Za-z0-9._~=&,-]*))? HTTP/1\.1")

# To copy less than this costs less than a second piece.
_LARGE_BYTES = 32 << 10
# Headers that tell of more than a head.
_OF_MORE = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


def build_protocol(*, patience_s: float) -> type["QuickProtocol"]:
    """Return the protocol that waits so long for a head, more of a body, and an answer's taker."""
    known: Remembered[bytes, Headers] = Remembered(
        _KNOWN_BYTES, lambda headers: 2 * sum(len(name) + len(value) for name, value in headers)
    )
    own = {"patience_s": patience_s, "known": known, "default": _Default()}
    return type("Protocol", (QuickProtocol,), own)


class _Default:
    """The headers that every answer has, which change once a second."""

    def __init__(self) -> None:
        self._headers: Headers = []
        self._lines = b""

    def write(self, headers: Headers) -> bytes:
        if headers is not self._headers:
            self._headers, self._lines = headers, write_lines(headers)
        return self._lines


class QuickProtocol(HttpToolsProtocol):
    """Answers without a task what the entrance recalls; all else has one, as uvicorn has it.

    That is a GET request on a connection that is kept and that nothing else waits on. Head and
    body leave in one write. A player sends the same lines after the first with every request: what
    the parser made of them when they came in one piece, as all of a request, is ``known`` and is
    not parsed again, but where neither the entrance nor the fast path has the answer. What comes
    while that is being found out is held back.
    """

    patience_s: float
    known: Remembered[bytes, Headers]
    default: "_Default"

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        app: object = self.app
        self._entrance = app if isinstance(app, Entrance) else None
        # Since when a head is waited for; None while there is none to wait for.
        self._head_since: float | None = self.loop.time()
        self._head_bytes = self._untaken_bytes = 0
        # How many pieces of bodies have come, and had by the last look; how many looks saw no more.
        self._pieces = self._so_far = self._still = 0
        self._looks: TimerHandle
        self._running: RequestResponseCycle | None = None
        # How many requests have begun, and how many of them were read to their end.
        self._begun = self._read = 0
        # What is known of a request that was taken for one to answer at once.
        self._visit: Visit | None = None
        # A known request whose answer is being found, and what came since.
        self._finding: Task[None] | None = None
        self._waiting: list[bytes] = []
        # The transport's own socket, to send files by.
        self._wire: socket | None = None
        self._ends_then = False

    def connection_made(self, transport: BaseTransport) -> None:
        """Take a connection."""
        # uvloop's is one in all but its ancestry.
        super().connection_made(cast(Transport, transport))
        own = transport.get_extra_info("socket")
        if own is not None:
            self._wire = socket(own.family, own.type, own.proto, fileno=own.fileno())
        self._looks = self.loop.call_later(self.patience_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of a connection."""
        self._looks.cancel()
        self._tell_running()
        if self._wire is not None:
            # It is the transport's to close.
            self._wire.detach()
            self._wire = None
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        self._head_since, self._head_bytes = self.loop.time(), 0
        self._begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        self._head_since = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a piece of a body."""
        self._pieces += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End to read a request."""
        self._read += 1
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._finding is not None:
            self._waiting.append(data)
            self.flow.pause_reading()
            return
        if not (self._begun == self._read and self._answer_known(data)):
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        since, begun = self._head_since, self._begun
        between = begun == self._read and self._entrance is not None
        super().data_received(data)
        if between and self._begun == self._read == begun + 1:
            self._learn(data)
        if since is not None and since is self._head_since:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self.send_400_response("The head of the request is too long.")

    def _look(self) -> None:
        """Close a connection whose other end has done nothing for too long."""
        untaken_bytes = self.transport.get_write_buffer_size()
        waits = self._head_since is not None
        waits = waits and self.loop.time() - (self._head_since or 0) >= self.patience_s
        untaken = untaken_bytes and untaken_bytes == self._untaken_bytes
        if waits or untaken or self._stands_still():
            self._tell_running()
            self.transport.abort()
            return
        self._untaken_bytes = untaken_bytes
        self._looks = self.loop.call_later(self.patience_s, self._look)

    def _stands_still(self) -> bool:
        """Return whether more of a body is waited for, and has been for too long by this look.

        Nothing comes of what is not read while what came before is being worked on.
        """
        so_far = -1 if self.flow.read_paused else self._begun + self._pieces
        waits = self._begun != self._read and self._head_since is None
        if not waits or so_far < 0 or so_far != self._so_far:
            self._still, self._so_far = 0, so_far
            return False
        self._still += 1
        return self._still >= (UPLOADS_WAIT if is_streamed(self.scope["path"]) else 1)

    def _tell_running(self) -> None:
        """Let the request that is being answered know that nobody takes any more of it."""
        if self._running is not None:
            self._running.disconnected = True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._answer_at_once(cycle):
            return
        length = sum(len(name) + len(value) for name, value in cycle.scope["headers"])
        self._running = cycle
        if length > HEAD_MAX_BYTES:
            app = _refuse_head
        elif self._may_be_quick(cycle) and not self._was_sought(cycle):
            app = partial(self._answer_soon, cycle, app)
        super()._start_asgi_task(cycle, app)

    # ----------------------------------------------------------------------- at once

    def _answer_at_once(self, cycle: RequestResponseCycle) -> bool:
        visit, self._visit = self._visit, None
        if visit is not None:
            # It has been asked for, and was not recalled.
            enter(cast(Scope, cycle.scope), visit)
            return False
        if self._entrance is None or not self._may_be_quick(cycle) or not self._may_write():
            return False
        answer = self._entrance.recall(cast(Scope, cycle.scope))
        if answer is None:
            return False
        self._end_at_once(answer)
        cycle.response_started = cycle.response_complete = True
        return True

    def _was_sought(self, cycle: RequestResponseCycle) -> bool:
        visit = entered(cast(Scope, cycle.scope))
        return visit is not None and visit.sought

    def _may_be_quick(self, cycle: RequestResponseCycle) -> bool:
        # Requests that wait behind one another take their turns in tasks of their own.
        # A request with a body ends where that ends, and not with its head.
        may = cycle.scope["method"] == "GET" and cycle.keep_alive and cycle is self.cycle
        may = may and _OF_MORE.isdisjoint(name for name, _ in cycle.scope["headers"])
        return may and self._entrance is not None

    async def _answer_soon(
        self, cycle: RequestResponseCycle, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request as the entrance does, if it does without the application."""
        assert self._entrance is not None
        answer = await self._entrance.find(scope)
        if answer is None:
            await app(scope, receive, send)
        elif cycle.keep_alive and not (self.flow.write_paused or self.transport.is_closing()):
            self._write(answer)
            cycle.response_started = cycle.response_complete = True
            cycle.on_response()
        else:
            await send_answer(answer, send)

    def _answer_known(self, data: bytes) -> bool:
        """Answer a request that is known but for its first line, if nothing has to be asked for."""
        end = data.find(b"\r\n")
        headers = self.known.get(data[end + 2 :]) if 0 <= end < len(data) - 2 else None
        line = None if headers is None else _LINE.fullmatch(data, 0, end)
        if (
            line is None
            or self._entrance is None
            or not (self.cycle is None or self.cycle.response_complete)
            or self.parser.should_upgrade()
            or not self._may_write()
        ):
            return False
        scope: Scope = {
            "type": "http",
            "method": "GET",
            "path": line[1].decode("ascii"),
            "query_string": line[2] or b"",
            "headers": headers,
            "client": self.client,
        }
        answer = self._entrance.recall(scope)
        self._unset_keepalive_if_required()
        if answer is not None:
            self._end_at_once(answer)
        else:
            self._head_since = None
            self._finding = self.loop.create_task(self._find(self._entrance, scope, data))
            self.tasks.add(self._finding)
            self._finding.add_done_callback(self.tasks.discard)
        return True

    async def _find(self, entrance: Entrance, scope: Scope, data: bytes) -> None:
        """Answer a request that was known and not recalled; else let it be parsed after all."""
        answer = None
        try:
            answer = await entrance.find(scope)
        except Exception:
            # The application has another way to the answer.
            log.exception("what is known of a request did not help to answer it")
        self._finding = None
        if self.transport.is_closing():
            return
        if answer is None:
            self._visit = entered(scope)
            self._head_since = self.loop.time()
            self._parse(data)
        else:
            self._end_at_once(answer)
        if self._ends_then:
            self.shutdown()
        elif self._waiting:
            held, self._waiting = b"".join(self._waiting), []
            self.flow.resume_reading()
            self.data_received(held)

    def shutdown(self) -> None:
        """Close the connection as soon as what is being answered is."""
        self._ends_then = self._finding is not None
        if not self._ends_then:
            super().shutdown()

    def _learn(self, data: bytes) -> None:
        """Remember what was made of all lines but the first, where nothing else has come."""
        line, _, rest = data.partition(b"\r\n")
        if (
            len(rest) <= _LONGEST_KNOWN
            and data.endswith(b"\r\n\r\n")
            and _LINE.fullmatch(line)
            and self.cycle is not None
            and self.cycle.keep_alive
            and not self.parser.should_upgrade()
            and _OF_MORE.isdisjoint(name for name, _ in self.headers)
        ):
            self.known.put(rest, self.headers)

    def _may_write(self) -> bool:
        return not (self.pipeline or self.flow.write_paused or self.transport.is_closing())

    def _write(self, answer: Answer) -> None:
        body, default = answer.body, self.default.write(self.server_state.default_headers)
        head = b"%s%s%s\r\n" % (STATUS_LINE[answer.status], default, answer.lines)
        if isinstance(body, HeldPart):
            self._send(head, body)
        elif len(body) < _LARGE_BYTES:
            self.transport.write(head + body)
        else:
            # They leave together all the same, and nothing large is copied for it.
            self.transport.writelines((head, body))

    def _send(self, head: bytes, body: HeldPart) -> None:
        """Let the kernel send a body by itself; what is not taken at once, as all others are."""
        rest, wire = body, self._wire
        # What was written before goes first.
        if wire is not None and not self.transport.get_write_buffer_size():
            try:
                head = head[wire.send(head, MSG_MORE | MSG_DONTWAIT) :]
                rest = body if head else body.send(wire.fileno())
            except BlockingIOError:
                pass
            except OSError:
                # Nobody is there any more.
                self.transport.abort()
                return
        left = [piece for piece in (head, rest.read()) if piece]
        if left:
            self.transport.writelines(left)

    def _end_at_once(self, answer: Answer) -> None:
        self._write(answer)
        self.server_state.total_requests += 1
        # The next head is waited for as the first one is, without a timer for each.
        self._head_since = self.loop.time()


async def _refuse_head(_: Scope, __: Receive, send: Send) -> None:
    body = b"The head of the request is too long.\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 431, "headers": headers})
    await send({"type": "http.response.body", "body": body})
