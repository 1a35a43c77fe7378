"""Connections to PostgreSQL that do not wait for ever for a server that says nothing."""

from collections.abc import Mapping
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

LINE: Mapping[str, int] = {
    "connect_timeout": 3,
    # A machine that is gone says nothing, and who only listens would never know.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""How the line to a server is watched, as libpq has it; the last is in milliseconds."""

_Result = TypeVar("_Result")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server has said nothing for ``patience_s``.

    Whoever waited then gets psycopg's OperationalError. The bound is kept here and not by the
    server (``statement_timeout``): one that stands still keeps none, and its machine goes on
    acknowledging what it is sent.
    """

    patience_s = 60.0

    def wait(self, gen: PQGen[_Result], *args: Any, **named: Any) -> _Result:
        """See psycopg.Connection.wait. Raises psycopg's OperationalError."""
        # Who says how long to wait for notifications knows what to make of silence.
        if named.get("timeout") is not None:
            return super().wait(gen, *args, **named)
        return super().wait(self._watch(gen), *args, **named)

    def _watch(self, gen: PQGen[_Result]) -> PQGen[_Result]:
        ends = monotonic() + self.patience_s
        try:
            waits = next(gen)
            while True:
                ready = yield waits
                if ready:
                    ends = monotonic() + self.patience_s
                elif monotonic() > ends:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server says nothing")
                waits = gen.send(ready)
        except StopIteration as end:
            result: _Result = end.value
            return result
