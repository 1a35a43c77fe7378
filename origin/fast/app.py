"""Before the framework: what can be answered from memory is, and all else goes on to it."""

from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from catalogue.errors import LatheError
from catalogue.people_port import Changes
from origin.fast.chunks import FastChunks
from origin.fast.manifests import PREFIX, FastManifests
from origin.services import Services

_METHODS = ("GET", "HEAD")


class FastPath:
    """An application that answers most requests itself, and gives the others to ``plain``.

    To whoever asks, both answer alike.
    """

    def __init__(
        self, plain: ASGIApp, parts: Services, changes: Changes, *, cache_bytes: int
    ) -> None:
        self._plain = plain
        self._chunks = FastChunks(parts, cache_bytes)
        self._manifests = FastManifests(parts, changes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] in _METHODS:
            # What is at fault is asked again of the one that has words for it.
            with suppress(LatheError):
                if await self._answer(scope, send):
                    return
        await self._plain(scope, receive, send)

    async def _answer(self, scope: Scope, send: Send) -> bool:
        path = scope["path"]
        if path.startswith("/s/"):
            return await self._chunks.answer(scope, send)
        return path.startswith(PREFIX) and await self._manifests.answer(scope, send)
