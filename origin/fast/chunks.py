"""Chunks from memory, or read once from the store for all who ask for them at once."""

from anyio import to_thread
from starlette.types import Scope, Send

from catalogue.nouns import RenditionId, StoredObject, TrackId
from origin.chunks import OBJECT_PATH
from origin.fast.http import Headers, names, read_headers, send_answer
from origin.objects import plan_answer
from origin.remembered import Collapsed, Remembered
from origin.services import Services
from origin.visit import visit_of
from storage.keys import rendition_key

_WANTED = names(["Range", "If-Range", "If-None-Match"])
_RANGE_MAX_BYTES = 1 << 20
# One object is never more than so much of what is remembered.
_SHARE = 8

_Place = tuple[str, str]
_Span = tuple[str, str, int, int]


class FastChunks:
    """Answers requests for objects of renditions that this process knows.

    ``capacity_bytes`` bounds the objects that are remembered.
    """

    def __init__(self, parts: Services, capacity_bytes: int) -> None:
        self._parts = parts
        self._largest_bytes = capacity_bytes // _SHARE
        self._bodies: Remembered[_Place, bytes] = Remembered(capacity_bytes, len)
        self._plain: Remembered[_Place, Headers] = Remembered(1 << 16)
        self._reading: Collapsed[_Span, bytes] = Collapsed()

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Answer a request below ``/s/`` and return True, or False where others have to.

        Raises what is at fault with the URL, the range or the store; nothing is sent then.
        """
        path = scope["path"].split("/")
        if len(path) != 6:
            return False
        _, _, token, track_id, rendition_id, name = path
        rendition = RenditionId(rendition_id)
        parts = self._parts
        parts.signer.verify(token, TrackId(track_id), rendition, parts.now())
        known = parts.published.recall(rendition)
        stored = None if known is None else known[1].get(name)
        asked = read_headers(scope, _WANTED)
        if known is None or stored is None or asked is None:
            return False
        visit_of(scope).route = OBJECT_PATH
        session = token.split(".", 3)[2]
        parts.measures.see_stream(session, rendition_id, known[0].tier.name)
        if asked:
            return await self._answer_part(scope, send, rendition, stored, asked)
        body = await self._whole(rendition, stored)
        if body is None:
            return False
        headers = self._plain.get((rendition, name))
        if headers is None:
            headers = _encode(plan_answer(stored, {}).headers)
            self._plain.put((rendition, name), headers)
        await send_answer(send, 200, headers, body)
        return True

    async def _answer_part(
        self,
        scope: Scope,
        send: Send,
        rendition: RenditionId,
        stored: StoredObject,
        asked: dict[bytes, bytes],
    ) -> bool:
        plain = {name.decode("ascii"): value.decode("latin-1") for name, value in asked.items()}
        answer = plan_answer(stored, plain)
        body: bytes | memoryview = b""
        if answer.span is not None and scope["method"] != "HEAD":
            start, end = answer.span
            whole = self._bodies.get((rendition, stored.name))
            self._parts.measures.count_cache("chunks", whole is not None)
            if whole is not None:
                body = memoryview(whole)[start:end]
            elif end - start <= _RANGE_MAX_BYTES:
                body = await self._read(rendition, stored, start, end)
            else:
                return False
        headers = _encode(answer.headers)
        await send_answer(send, answer.status, headers, body)
        return True

    async def _whole(self, rendition: RenditionId, stored: StoredObject) -> bytes | None:
        place = rendition, stored.name
        body = self._bodies.get(place)
        self._parts.measures.count_cache("chunks", body is not None)
        if body is None and stored.size_bytes <= self._largest_bytes:
            body = await self._read(rendition, stored, 0, stored.size_bytes)
            self._bodies.put(place, body)
        return body

    async def _read(
        self, rendition: RenditionId, stored: StoredObject, start: int, end: int
    ) -> bytes:
        key = rendition_key(rendition, stored.name)

        def read() -> bytes:
            return self._parts.store.read(key, start=start, size_bytes=end - start)

        async def work() -> bytes:
            return await to_thread.run_sync(read)

        return await self._reading.run((rendition, stored.name, start, end), work)


def _encode(headers: dict[str, str]) -> Headers:
    return [
        (name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()
    ]
