"""Chunks from memory, or read once from the store for all who ask for them at once."""

from typing import NamedTuple

from anyio import to_thread
from starlette.types import Scope

from catalogue.nouns import RenditionId, StoredObject, TrackId
from origin.chunks import OBJECT_PATH, token_of_query
from origin.fast.held import Body, cut, hold
from origin.fast.http import Answer, names, read_headers, write_lines
from origin.objects import ObjectAnswer, plan_answer
from origin.remembered import Collapsed, Remembered
from origin.services import Services
from origin.visit import visit_of
from storage.keys import rendition_key

_WANTED = names(["Range", "If-Range", "If-None-Match"])
_RANGE_MAX_BYTES = 1 << 20
# One object is never more than so much of what is remembered.
_SHARE = 8
_PREFIXES = 1 << 16
# In /s/track/rendition.
_BARE_SLASHES = 3

_Place = tuple[str, str]
_Span = tuple[str, str, int, int]


class _Asked(NamedTuple):
    """A request for an object of a rendition that is known, and which of its headers matter."""

    rendition: RenditionId
    stored: StoredObject
    headers: dict[bytes, bytes]


class _Opened(NamedTuple):
    """What a signed prefix opens, for which session, and until which second of the epoch."""

    rendition: RenditionId
    session: str
    until: int


class FastChunks:
    """Answers requests for objects of renditions that this process knows.

    ``capacity_bytes`` bounds the objects that are remembered.
    """

    def __init__(self, parts: Services, capacity_bytes: int) -> None:
        self._parts = parts
        self._largest_bytes = capacity_bytes // _SHARE
        self._bodies: Remembered[_Place, Body] = Remembered(capacity_bytes, len)
        self._opened: Remembered[tuple[str, bytes], _Opened] = Remembered(_PREFIXES)
        self._plain: Remembered[_Place, bytes] = Remembered(1 << 16)
        self._reading: Collapsed[_Span, bytes] = Collapsed()
        self._loading: Collapsed[RenditionId, object] = Collapsed()

    def recall(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/s/`` if its object is remembered.

        Raises what is at fault with the URL or the range.
        """
        asked = self._read_request(scope)
        if asked is None:
            return None
        body = self._bodies.get((asked.rendition, asked.stored.name))
        if body is None:
            return None
        self._parts.measures.count_cache("chunks", hit=True)
        return self._answer(asked, body)

    async def find(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/s/``, or None where others have to.

        Of an object that is not remembered, a small part is read alone; for a large one all of it
        is read, once for all who ask, and remembered. Raises what is at fault with the URL, the
        range or the store.
        """
        answer = self.recall(scope)
        asked = None if answer is not None else await self._learn(scope)
        if asked is None:
            return answer
        self._parts.measures.count_cache("chunks", hit=False)
        plan = self._plan(asked)
        if plan.span is None or scope["method"] == "HEAD":
            return Answer(plan.status, _write(plan.headers), b"")
        (start, end), whole = plan.span, asked.stored.size_bytes
        is_much = end - start > _RANGE_MAX_BYTES or 2 * (end - start) >= whole
        if is_much and whole <= self._largest_bytes:
            body = hold(await self._read(asked, 0, whole))
            self._bodies.put((asked.rendition, asked.stored.name), body)
            return self._answer(asked, body)
        if end - start > _RANGE_MAX_BYTES:
            return None
        return Answer(plan.status, _write(plan.headers), await self._read(asked, start, end))

    async def _learn(self, scope: Scope) -> _Asked | None:
        """Return what a request is for; its rendition is asked for if it is not known."""
        asked = self._read_request(scope)
        opened = None if asked is not None else self._open(scope)
        if opened is None:
            return asked
        rendition = opened.rendition
        visit_of(scope).route = OBJECT_PATH

        async def load() -> object:
            return await to_thread.run_sync(self._parts.published.load, rendition)

        if self._parts.published.recall(rendition) is None:
            await self._loading.run(rendition, load)
        return self._read_request(scope)

    def _read_request(self, scope: Scope) -> _Asked | None:
        opened = self._open(scope)
        known = None if opened is None else self._parts.published.recall(opened.rendition)
        headers = read_headers(scope, _WANTED)
        if opened is None or known is None or headers is None:
            return None
        stored = known.objects.get(scope["path"].rpartition("/")[2])
        if stored is None:
            return None
        visit_of(scope).route = OBJECT_PATH
        if not known.sealed and known.rendition is not None:
            tier = known.rendition.tier.name
            self._parts.measures.see_stream(opened.session, opened.rendition, tier)
        return _Asked(opened.rendition, stored, headers)

    def _open(self, scope: Scope) -> _Opened | None:
        """Return what the prefix of a URL opens; None for a path of another kind.

        One that was verified once opens the same until it ends. Raises what verify raises.
        """
        prefix, now = _prefix_of(scope), self._parts.now()
        opened = self._opened.get(prefix)
        if opened is not None and now.timestamp() < opened.until:
            return opened
        path = _split(scope)
        if path is None:
            return None
        token, track_id, rendition_id, _ = path
        rendition = RenditionId(rendition_id)
        self._parts.signer.verify(token, TrackId(track_id), rendition, now)
        until, _, session, _ = token.split(".")
        opened = _Opened(rendition, session, int(until))
        self._opened.put(prefix, opened)
        return opened

    def _answer(self, asked: _Asked, body: Body) -> Answer:
        if asked.headers:
            plan = self._plan(asked)
            start, end = plan.span or (0, 0)
            return Answer(plan.status, _write(plan.headers), cut(body, start, end))
        place = asked.rendition, asked.stored.name
        lines = self._plain.get(place)
        if lines is None:
            lines = _write(plan_answer(asked.stored, {}).headers)
            self._plain.put(place, lines)
        return Answer(200, lines, body)

    def _plan(self, asked: _Asked) -> ObjectAnswer:
        said = {
            name.decode("ascii"): text.decode("latin-1") for name, text in asked.headers.items()
        }
        return plan_answer(asked.stored, said)

    async def _read(self, asked: _Asked, start: int, end: int) -> bytes:
        key = rendition_key(asked.rendition, asked.stored.name)

        async def work() -> bytes:
            return await self._parts.shelf.read(key, start, end)

        return await self._reading.run((asked.rendition, asked.stored.name, start, end), work)


def _split(scope: Scope) -> list[str] | None:
    """Return the token, the track, the rendition and the name that a path and a query hold."""
    parts: list[str] = scope["path"].split("/")[2:]
    if len(parts) == 3:
        parts.insert(0, token_of_query(scope["query_string"]))
    return parts if len(parts) == 4 else None


def _prefix_of(scope: Scope) -> tuple[str, bytes]:
    """Return all of a URL that its signature is of: the path up to the name, with its query.

    A query beside a token in the path means nothing.
    """
    prefix: str = scope["path"].rpartition("/")[0]
    return prefix, b"" if prefix.count("/") > _BARE_SLASHES else scope["query_string"]


def _write(headers: dict[str, str]) -> bytes:
    return write_lines(
        (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()
    )
