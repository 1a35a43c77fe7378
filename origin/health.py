"""Whether the origin lives, and whether it and what it needs can work."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import CatalogueUnavailable, ObjectNotFound, Unavailable
from catalogue.nouns import Sha256
from origin.problems import respond, responses
from origin.remembered import Collapsed
from origin.services import Services
from storage.keys import master_key

router = APIRouter(prefix="/health", tags=["health"])

_NOTHING = Sha256("0" * 64)
_LONGEST_S = 2.0
_REMEMBERED_S = 1.0


class Health(BaseModel):
    """An origin that answers."""

    status: str = "ok"


class Component(BaseModel):
    """Whether a part answers, how long that took, and what is wrong if it does not."""

    status: Literal["ok", "away"]
    latency_ms: float
    code: str | None = Field(description="of the fault")


class Readiness(BaseModel):
    """An origin that can work; ``degraded`` where not every part of it does."""

    status: Literal["ok", "degraded"]
    components: dict[str, Component] = Field(examples=[["catalogue", "sessions", "store"]])


class Lookout:
    """Looks whether every part answers, once in a while for all who ask.

    A part has a thread of its own. While that waits for an answer, nobody looks at the part again.
    """

    def __init__(
        self,
        parts: Services,
        *,
        longest_s: float = _LONGEST_S,
        remembered_s: float = _REMEMBERED_S,
    ) -> None:
        self._parts, self._longest_s, self._remembered_s = parts, longest_s, remembered_s
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"health-{name}") for name in _ASKED
        }
        self._looks: dict[str, asyncio.Future[Component]] = {}
        self._together: Collapsed[None, dict[str, Component]] = Collapsed()
        self._seen: dict[str, Component] = {}
        self._seen_at = 0.0

    async def look(self) -> dict[str, Component]:
        """Return what is known of every part, or what a look that others may share then gives."""
        if self._seen and time.monotonic() - self._seen_at < self._remembered_s:
            return self._seen
        return await self._together.run(None, self._look_at_all)

    async def _look_at_all(self) -> dict[str, Component]:
        """Look at all parts at once; one that does not answer for long is not waited for."""
        loop = asyncio.get_running_loop()
        for name, (ask, _) in _ASKED.items():
            if name not in self._looks or self._looks[name].done():
                thread = self._threads[name]
                self._looks[name] = loop.run_in_executor(thread, _look, ask, self._parts)
        await asyncio.wait(self._looks.values(), timeout=self._longest_s)
        self._seen = {name: self._read(name) for name in _ASKED}
        self._seen_at = time.monotonic()
        return self._seen

    def _read(self, name: str) -> Component:
        look = self._looks[name]
        if look.done():
            return look.result()
        code = _ASKED[name][1].code
        return Component(status="away", latency_ms=self._longest_s * 1000, code=code)


async def find_lookout(request: Request) -> Lookout:
    """Return the lookout that the application was made with."""
    lookout = request.app.state.lookout
    assert isinstance(lookout, Lookout)
    return lookout


@router.get("/live")
async def get_live() -> Health:
    """Answer as long as the process does."""
    return Health()


@router.get("/ready", response_model=Readiness, responses=responses(errors.CatalogueUnavailable))
async def get_ready(
    lookout: Annotated[Lookout, Depends(find_lookout)],
) -> Readiness | JSONResponse:
    """Answer when the catalogue does, and tell of every part whether it does, too.

    Where others are away, what is known goes on playing; so the origin stays in its place. What is
    told is up to a second old.
    """
    components = await lookout.look()
    if components["catalogue"].code is not None:
        away = CatalogueUnavailable("The catalogue does not answer.")
        told = {name: component.model_dump() for name, component in components.items()}
        return respond(away, components=told)
    degraded = any(component.code is not None for component in components.values())
    return Readiness(status="degraded" if degraded else "ok", components=components)


def _look(ask: Callable[[Services], None], parts: Services) -> Component:
    began = time.perf_counter()
    code = None
    try:
        ask(parts)
    except Unavailable as fault:
        code = fault.code
    latency_ms = round((time.perf_counter() - began) * 1000, 3)
    return Component(status="away" if code else "ok", latency_ms=latency_ms, code=code)


def _catalogue(parts: Services) -> None:
    parts.keys.is_empty()


def _sessions(parts: Services) -> None:
    parts.sessions.use(_NOTHING, now=parts.now(), until=parts.now())


def _store(parts: Services) -> None:
    with suppress(ObjectNotFound):
        parts.shelf.store.info(master_key(_NOTHING))


_ASKED: Mapping[str, tuple[Callable[[Services], None], type[Unavailable]]] = {
    "catalogue": (_catalogue, errors.CatalogueUnavailable),
    "sessions": (_sessions, errors.SessionsUnavailable),
    "store": (_store, errors.StoreUnavailable),
}
