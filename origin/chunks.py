"""Signed URLs are answered here: the objects of a rendition, and its HLS media playlist."""

from collections.abc import AsyncIterator
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Scope

from catalogue import errors
from catalogue.errors import ObjectNotFound, RangeUnsatisfiable, UrlUntrusted
from catalogue.nouns import Rendition, RenditionId, StoredObject, TrackId
from manifests import hls
from manifests.manifest import is_fragmented
from origin.access import Parts
from origin.objects import CONTENT_TYPES, plan_answer
from origin.packing import answer_packed
from origin.problems import respond, responses
from origin.routes import get_and_head
from origin.services import Services
from origin.shelf import Shelf
from storage.keys import ObjectKey, rendition_key

BELOW = "/s/"
"""What signed URLs are below."""


def is_plain(scope: Scope) -> bool:
    """Return whether the path of a request is written as it was signed: nothing is escaped."""
    return b"%" not in (scope.get("raw_path") or b"")


async def require_plain(request: Request) -> None:
    """Refuse all that only decodes to a path. Raises UrlUntrusted."""
    if not is_plain(request.scope):
        raise UrlUntrusted("The signature does not hold.")


router = APIRouter(tags=["chunks"], dependencies=[Depends(require_plain)])

OBJECT_PATH = "/s/{token}/{track_id}/{rendition_id}/{name}"
"""Where the objects of renditions are."""

BARE_PATH = "/s/{track_id}/{rendition_id}/{name}"
"""Where they are when the token is the query, and all of it: ``?t=…``."""

_BEFORE = "t="

_PIECE_BYTES = 256 << 10


_ANSWERS = responses(
    errors.Untrusted,
    errors.UrlExpired,
    errors.ObjectNotFound,
    errors.RangeUnsatisfiable,
    errors.Unavailable,
) | {
    200: {"description": "the object", "content": {kind: {} for kind in CONTENT_TYPES}},
    206: {"description": "the range asked for"},
    304: {"description": "the object is the one that If-None-Match names"},
}


@get_and_head(router, OBJECT_PATH, responses=_ANSWERS)
async def get_object(
    token: Annotated[str, Path()],
    track_id: Annotated[str, Path()],
    rendition_id: Annotated[str, Path()],
    name: Annotated[str, Path()],
    request: Request,
    parts: Parts,
) -> Response:
    """Return an object of a rendition, whole or one range of it, or its HLS media playlist.

    The URL's signature is checked before anything else; objects are immutable and may be cached
    for ever under the path without the token.
    """
    return await _open(request, parts, token, TrackId(track_id), RenditionId(rendition_id), name)


@get_and_head(router, BARE_PATH, responses=_ANSWERS)
async def get_object_by_query(
    track_id: Annotated[str, Path()],
    rendition_id: Annotated[str, Path()],
    name: Annotated[str, Path()],
    request: Request,
    parts: Parts,
    t: Annotated[str, Query(description="the token, and nothing else beside it")] = "",
) -> Response:
    """Return what ``get_object`` does, for caches and players that keep paths as they are."""
    token = token_of_query(request.scope["query_string"])
    rendition = RenditionId(rendition_id)
    return await _open(request, parts, token, TrackId(track_id), rendition, name, f"?t={t}")


def token_of_query(query: bytes) -> str:
    """Return the token that a query is; empty, which opens nothing, where it is anything else."""
    text = query.decode("latin-1")
    return text.removeprefix(_BEFORE) if text.startswith(_BEFORE) else ""


async def _open(
    request: Request,
    parts: Services,
    token: str,
    track: TrackId,
    rendition: RenditionId,
    name: str,
    query: str = "",
) -> Response:
    parts.signer.verify(token, track, rendition, parts.now())
    found = parts.published.recall(rendition)
    if found is None:
        found = await to_thread.run_sync(parts.published.load, rendition)
    if name == hls.MEDIA_PLAYLIST and not found.sealed and found.rendition is not None:
        return _playlist(request, found.rendition, query)
    stored = found.objects.get(name)
    if stored is None:
        raise ObjectNotFound("The rendition has no object of this name.")
    return await _answer(request, parts, rendition_key(rendition, name), stored)


def _playlist(request: Request, rendition: Rendition, query: str) -> Response:
    if not is_fragmented(rendition):
        raise ObjectNotFound("Ogg renditions have no HLS playlist.")
    body = hls.render_media(rendition, query).encode()
    return answer_packed(request, body, hls.MEDIA_TYPE)


async def _answer(
    request: Request, parts: Services, key: ObjectKey, stored: StoredObject
) -> Response:
    try:
        answer = plan_answer(stored, request.headers)
    except RangeUnsatisfiable as fault:
        return respond(fault, {"Content-Range": f"bytes */{stored.size_bytes}"})
    if answer.span is None or request.method == "HEAD":
        return Response(status_code=answer.status, headers=answer.headers)
    start, end = answer.span
    size_bytes = min(_PIECE_BYTES, end - start)
    # Before anything is sent: a store that is away is told of as such.
    first = await parts.shelf.read(key, start, start + size_bytes)
    body = _read_pieces(parts.shelf, key, first, start, end)
    return StreamingResponse(body, status_code=answer.status, headers=answer.headers)


async def _read_pieces(
    shelf: Shelf, key: ObjectKey, first: bytes, start: int, end: int
) -> AsyncIterator[bytes]:
    yield first
    start += len(first)
    while start < end:
        size_bytes = min(_PIECE_BYTES, end - start)
        yield await shelf.read(key, start, start + size_bytes)
        start += size_bytes
