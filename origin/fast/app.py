"""Before the framework: what can be answered from memory is, and all else goes on to it."""

from starlette.types import ASGIApp, Receive, Scope, Send

from catalogue.errors import LatheError, Unavailable
from catalogue.people_port import Changes
from origin.chunks import BELOW, is_plain
from origin.fast.asking import PREFIX
from origin.fast.chunks import FastChunks
from origin.fast.http import Answer, send_answer, write_lines
from origin.fast.manifests import FastManifests
from origin.problems import respond
from origin.services import Services
from origin.visit import visit_of

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

    def recall(self, scope: Scope) -> Answer | None:
        """Return the answer to a GET request if that needs nothing but what is in memory."""
        found = self._room(scope)
        try:
            return None if found is None else found.recall(scope)
        except LatheError:
            # What is at fault is asked again of the one that has words for it.
            return None

    async def find(self, scope: Scope) -> Answer | None:
        """Return the answer to a GET or HEAD request, or None where ``plain`` has to give it.

        For what ``recall`` does not know.
        """
        found, answer = self._room(scope), None
        visit_of(scope).sought = True
        try:
            answer = None if found is None else await found.find(scope)
        except Unavailable as fault:
            # Whoever is away would keep the caller waiting a second time.
            told = respond(fault)
            answer = Answer(told.status_code, write_lines(told.raw_headers), bytes(told.body))
        except LatheError:
            # What is at fault is asked again of the one that has words for it.
            return None
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] in _METHODS and not visit_of(scope).sought:
            answer = self.recall(scope) or await self.find(scope)
            if answer is not None:
                await send_answer(answer, send)
                return
        await self._plain(scope, receive, send)

    def _room(self, scope: Scope) -> FastChunks | FastManifests | None:
        path = scope["path"]
        if path.startswith(BELOW):
            return self._chunks if is_plain(scope) else None
        return self._manifests if path.startswith(PREFIX) else None
