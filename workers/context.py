"""What a worker is at, for every line that is logged meanwhile."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_CURRENT: ContextVar[Mapping[str, str]] = ContextVar("current")


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Let all lines that this thread logs in the context carry ``fields``."""
    token = _CURRENT.set({**current(), **fields})
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Mapping[str, str]:
    """Return the fields that lines logged here and now carry."""
    return _CURRENT.get({})
