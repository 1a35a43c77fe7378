"""Whether the origin lives, and whether it and what it needs can work."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from catalogue import errors
from catalogue.errors import CatalogueUnavailable, ObjectNotFound, Unavailable
from catalogue.nouns import Sha256
from origin.access import Parts
from origin.problems import respond, responses
from origin.services import Services
from storage.keys import master_key

router = APIRouter(prefix="/health", tags=["health"])

_NOTHING = Sha256("0" * 64)
_LONGEST_S = 2.0


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


@router.get("/live")
async def get_live() -> Health:
    """Answer as long as the process does."""
    return Health()


@router.get("/ready", response_model=Readiness, responses=responses(errors.CatalogueUnavailable))
def get_ready(parts: Parts) -> Readiness | JSONResponse:
    """Answer when the catalogue does, and tell of every part whether it does, too.

    Where others are away, what is known goes on playing; so the origin stays in its place.
    """
    components = _look_at_all(parts)
    if components["catalogue"].code is not None:
        away = CatalogueUnavailable("The catalogue does not answer.")
        told = {name: component.model_dump() for name, component in components.items()}
        return respond(away, components=told)
    degraded = any(component.code is not None for component in components.values())
    return Readiness(status="degraded" if degraded else "ok", components=components)


def _look_at_all(parts: Services) -> dict[str, Component]:
    """Look at all parts at once; one that does not answer for long is not waited for."""
    pool = ThreadPoolExecutor(len(_ASKED), thread_name_prefix="health")
    looks = {name: pool.submit(_look, ask, parts) for name, (ask, _) in _ASKED.items()}
    pool.shutdown(wait=False)
    wait(looks.values(), timeout=_LONGEST_S)
    return {
        name: look.result()
        if look.done()
        else Component(status="away", latency_ms=_LONGEST_S * 1000, code=_ASKED[name][1].code)
        for name, look in looks.items()
    }


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
        parts.store.info(master_key(_NOTHING))


_ASKED: Mapping[str, tuple[Callable[[Services], None], type[Unavailable]]] = {
    "catalogue": (_catalogue, errors.CatalogueUnavailable),
    "sessions": (_sessions, errors.SessionsUnavailable),
    "store": (_store, errors.StoreUnavailable),
}
