"""What is being done here and now, for whoever tells of it: lines of the log, the audit trail."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_CURRENT: ContextVar[dict[str, str]] = ContextVar("current")


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Let all that is told in the context carry ``fields``, too."""
    token = _CURRENT.set({**current(), **fields})
    try:
        yield
    finally:
        _CURRENT.reset(token)


def begin(fields: dict[str, str]) -> None:
    """Let all that is told from now on by this task or thread carry ``fields`` and nothing else.

    What is put into them later is carried, too, wherever the work has been handed on to.
    """
    _CURRENT.set(fields)


def note(**fields: str) -> None:
    """Add to the fields of what has begun, in whichever thread works on it."""
    known = _CURRENT.get(None)
    if known is not None:
        known.update(fields)


def current() -> Mapping[str, str]:
    """Return the fields that what is told here and now carries."""
    return _CURRENT.get({})
