"""One request on its way through the origin, and what is learnt of it on the way."""

from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.types import Scope

from catalogue.errors import TooManyRequests

_KEY = "lathe.visit"


class Stream(NamedTuple):
    """A play that begins: the best quality that is granted, the listener's plan, and its length."""

    quality: str
    plan: str
    seconds: float


@dataclass(kw_only=True, slots=True)
class Visit:
    """What is known of a request beside its scope.

    ``told`` is what lines of the log about it carry, ``headers`` go with its answer, ``route`` is
    the pattern of the path that answers it, and ``streams`` are those that begin
    with it. ``admitted`` is whether it has been counted, ``refused`` why it was too many.
    ``asked`` is what it was read as, where that has been tried and it was written plainly.
    """

    told: dict[str, str]
    route: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    sought: bool = False
    asked: object = None
    admitted: bool = False
    refused: TooManyRequests | None = None
    streams: list[Stream] = field(default_factory=list)


def enter(scope: Scope, visit: Visit) -> None:
    """Let ``visit`` be what is known of a request."""
    scope[_KEY] = visit


def entered(scope: Scope) -> Visit | None:
    """Return what is known of a request, if it has come in before."""
    visit = scope.get(_KEY)
    assert visit is None or isinstance(visit, Visit)
    return visit


def visit_of(scope: Scope) -> Visit:
    """Return what is known of a request."""
    visit = scope[_KEY]
    assert isinstance(visit, Visit)
    return visit
