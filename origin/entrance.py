"""Where every request comes in: it gets an id and is timed, counted and told of on its way out."""

import logging
import os
import re
from itertools import count
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogue.context import begin
from origin.fast.app import FastPath
from origin.fast.http import Answer, write_lines
from origin.measures import OriginMeasures
from origin.scripts import HEADERS, PREFLIGHT, asks_for_leave
from origin.visit import Visit, enter, entered

log = logging.getLogger(__name__)

_REQUEST_ID = b"x-request-id"
_OWN_LINES = write_lines(HEADERS)
_FIT = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class Entrance:
    """An application around another one, whose answers scripts of any site may read.

    Every answer has an ``X-Request-Id``: the request's own if it is fit, else a new one. Answers
    that refuse are told of in the log, and with ``tells_all`` all others, too.
    """

    def __init__(self, app: ASGIApp, measures: OriginMeasures, *, tells_all: bool = False) -> None:
        self._app, self._measures, self._tells_all = app, measures, tells_all
        self._fast = app if isinstance(app, FastPath) and not tells_all else None
        self._prefix, self._numbers = os.urandom(8).hex(), count()

    def recall(self, scope: Scope) -> Answer | None:
        """Return the answer to a GET request if that needs nothing but what is in memory.

        Without one the application is to be called, which goes on with the same visit.
        """
        if self._fast is None:
            return None
        began, visit = perf_counter(), self._enter(scope)
        found = self._fast.recall(scope)
        return None if found is None else self._finish(scope, visit, found, began)

    async def find(self, scope: Scope) -> Answer | None:
        """Return the answer to a GET request that was not recalled, if the fast path has one.

        Without one the application is to be called, which goes on with the same visit.
        """
        if self._fast is None:
            return None
        began, visit = perf_counter(), entered(scope) or self._enter(scope)
        begin(visit.told)
        found = await self._fast.find(scope)
        return None if found is None else self._finish(scope, visit, found, began)

    def _finish(self, scope: Scope, visit: Visit, found: Answer, began: float) -> Answer:
        request_id = visit.told["request_id"].encode("ascii")
        own = write_lines([(_REQUEST_ID, request_id), *visit.headers])
        self._tell(scope, visit, found.status, perf_counter() - began)
        return Answer(found.status, found.lines + _OWN_LINES + own, found.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        visit = entered(scope) or self._enter(scope)
        begin(visit.told)
        request_id = visit.told["request_id"].encode("ascii")
        status, first_byte_s = 500, 0.0

        async def send_on(message: Message) -> None:
            nonlocal status, first_byte_s
            if message["type"] == "http.response.start":
                status, first_byte_s = message["status"], perf_counter() - began
                own = *HEADERS, (_REQUEST_ID, request_id), *visit.headers
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        try:
            if asks_for_leave(scope):
                visit.route = "leave"
                await send_on({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
                await send_on({"type": "http.response.body"})
            else:
                await self._app(scope, receive, send_on)
        finally:
            self._tell(scope, visit, status, first_byte_s)

    def _enter(self, scope: Scope) -> Visit:
        visit = Visit(told={"request_id": self._take_id(scope)})
        enter(scope, visit)
        return visit

    def _take_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == _REQUEST_ID and _FIT.fullmatch(value):
                said: str = value.decode("ascii")
                return said
        return f"{self._prefix}-{next(self._numbers):x}"

    def _tell(self, scope: Scope, visit: Visit, status: int, first_byte_s: float) -> None:
        route = visit.route or getattr(scope.get("route"), "path", "")
        code = visit.told.get("code") if status >= 400 else None
        self._measures.count_answer(scope["method"], route, status, first_byte_s)
        if code is not None:
            self._measures.count_refusal(code)
        if visit.streams and status < 400:
            self._measures.count_streams(visit.streams)
            # What is fetched ahead is nobody's wait.
            if scope["method"] == "GET":
                self._measures.observe_start(first_byte_s)
        if status >= 400 or self._tells_all:
            fields = {
                "method": scope["method"],
                "route": route,
                "status": status,
                "first_byte_ms": round(first_byte_s * 1000, 3),
            }
            log.log(logging.ERROR if status == 500 else logging.INFO, "answered", extra=fields)
