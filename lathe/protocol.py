"""HTTP/1.1 as uvicorn speaks it, with the shortest way for what is answered from memory."""

from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from origin.entrance import Entrance


class QuickProtocol(HttpToolsProtocol):
    """Answers without a task what the entrance recalls; all else goes uvicorn's own way.

    That is a GET request on a connection that is kept and that nothing else waits on. Head and
    body leave in one write.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        app: object = self.app
        self._entrance = app if isinstance(app, Entrance) else None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not self._answer_at_once(cycle):
            super()._start_asgi_task(cycle, app)

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
        self.on_response_complete()
        return True
