"""The application: every route, its errors and its headers, around the parts it is given."""

from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp

from catalogue.people_port import Changes
from origin import (
    accounts,
    albums,
    chunks,
    clear_keys,
    deliveries,
    devices,
    downloads,
    explaining,
    health,
    jobs,
    kept,
    licences,
    matches,
    messages,
    partners,
    playback,
    problems,
    sessions,
    similar,
    sleeves,
    takedowns,
    tracks,
    uploads,
    webhooks,
)
from origin.bodies import Bounded, describe_bounds
from origin.delivery_document import DeliveryDocument, DeliveryMetadata
from origin.entrance import Entrance
from origin.fast.app import FastPath
from origin.once import Once, describe_once
from origin.services import Services
from origin.tus import describe_tus

_DESCRIPTION = """A chunked streaming origin for music. Labels deliver masters and watch their jobs;
players get manifests with signed URLs. Every error is a problem document (RFC 9457)."""


def build_api(services: Services) -> FastAPI:
    """Return the FastAPI application."""
    api = _Api(
        title="lathe",
        version="0.1.0",
        description=_DESCRIPTION,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    api.state.services = services
    api.state.lookout = health.Lookout(services)
    problems.install(api)
    api.add_middleware(Once, services=services)
    api.add_middleware(Bounded)
    for module in (
        deliveries,
        messages,
        jobs,
        uploads,
        takedowns,
        webhooks,
        tracks,
        sleeves,
        similar,
        albums,
        matches,
        chunks,
        sessions,
        accounts,
        playback,
        devices,
        licences,
        clear_keys,
        downloads,
        kept,
        explaining,
        partners,
        health,
    ):
        api.include_router(module.router)
    page = (files("origin") / "page.html").read_text("utf-8")

    @api.get("/", include_in_schema=False)
    async def get_page() -> HTMLResponse:
        return HTMLResponse(page)

    fresh = (files("origin") / "fresh.js").read_text("utf-8")

    @api.get("/fresh.js", include_in_schema=False)
    async def get_fresh_urls() -> Response:
        return Response(fresh, media_type="text/javascript")

    return api


class _Api(FastAPI):
    """FastAPI whose OpenAPI document tells of problems, too."""

    def openapi(self) -> dict[str, Any]:
        """Return the document, which is built once."""
        document = self.openapi_schema
        if document is None:
            document = super().openapi()
            describe_tus(document)
            problems.complete_openapi(
                document, DeliveryMetadata, DeliveryDocument, matches.FileSaid
            )
            describe_once(document)
            describe_bounds(document)
        return document


def build_app(
    services: Services, changes: Changes, *, cache_bytes: int, tells_all: bool = False
) -> Entrance:
    """Return what a server runs: the entrance, behind it the fast path, and then the API.

    It remembers up to ``cache_bytes`` of chunks, and forgets what it hears of in ``changes``. With
    ``tells_all`` every answer is told of in the log.
    """
    fast = FastPath(build_api(services), services, changes, cache_bytes=cache_bytes)
    return Entrance(fast, services.measures, tells_all=tells_all)


def build_plain(services: Services) -> ASGIApp:
    """Return the API alone, as it answers without the fast path."""
    return Entrance(build_api(services), services.measures)
