"""Requests that create something, sent twice and answered once: ``Idempotency-Key``.

The answer is kept before it is given, so that who never received it gets the same one. What was
refused is not kept: the same request may be made again. Of a form, the boundary between its parts
is not compared, which clients choose anew each time.
Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
from datetime import timedelta
from typing import Any

from anyio import to_thread
from fastapi.security import HTTPAuthorizationCredentials
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogue import errors
from catalogue.errors import IdempotencyKeyReused, LatheError, RequestInvalid
from catalogue.replies import Reply
from origin.access import identify
from origin.problems import complete_answers, respond
from origin.services import Services
from origin.visit import visit_of

CREATING = (
    "/v1/accounts",
    "/v1/deliveries",
    "/v1/devices",
    "/v1/downloads",
    "/v1/matches",
    "/v1/uploads",
)
"""Where an ``Idempotency-Key`` is heeded, in POST requests. None of it answers with a secret."""

_HEADER = "idempotency-key"
_LONGEST = 200
_CLAIMED = timedelta(minutes=2)
_KEPT = timedelta(days=1)


class Once:
    """An application around another one, which creates once what is asked for twice."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._parts = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        key = headers.get(_HEADER)
        if key is None or scope["method"] != "POST" or scope["path"] not in CREATING:
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answer(scope, receive, key, headers)
        except LatheError as fault:
            await respond(fault)(scope, receive, send)
            return
        for message in answer:
            await send(message)

    async def _answer(
        self, scope: Scope, receive: Receive, key: str, headers: Headers
    ) -> list[Message]:
        """Return the answer to a request. Raises what identify, Replies and this module raise."""
        parts = self._parts
        if not 0 < len(key) <= _LONGEST:
            raise RequestInvalid("Idempotency-Key has 1 to 200 characters.", header=_HEADER)
        who = headers.get("authorization", "")
        name = hashlib.sha256(f"{who}\n{key}".encode()).hexdigest()
        claim, now = parts.new_id("clm"), parts.now()
        heard = _Heard(receive, scope, headers)
        kept = await to_thread.run_sync(
            lambda: parts.replies.claim(name, claim, now=now, until=now + _CLAIMED)
        )
        if kept is not None:
            # Who asked may not be who they were any more.
            await to_thread.run_sync(identify, parts, _credentials(who))
            if await heard.hash_all() != kept.request_sha256:
                raise IdempotencyKeyReused("It was given to another request before.")
            return _messages(kept)
        answer: list[Message] = []

        async def collect(message: Message) -> None:
            answer.append(message)

        status = 500
        try:
            await self._app(scope, heard.receive, collect)
            status = answer[0]["status"]
        finally:
            if status >= 400:
                await to_thread.run_sync(parts.replies.release, name, claim)
        if status < 400:
            # How tus is spoken stands beside every answer; what is left of a limit changes.
            spoken = [each for each in visit_of(scope).headers if each[0].startswith(b"tus-")]
            reply = Reply(
                request_sha256=await heard.hash_all(),
                status=status,
                headers=tuple(
                    (name.decode("latin-1"), value.decode("latin-1"))
                    for name, value in (*answer[0]["headers"], *spoken)
                ),
                body=b"".join(each.get("body", b"") for each in answer[1:]),
            )
            until = parts.now() + _KEPT
            await to_thread.run_sync(lambda: parts.replies.keep(name, claim, reply, until=until))
        return answer


class _Heard:
    """Hashes a request as it is read: its method, its path, and its content."""

    def __init__(self, receive: Receive, scope: Scope, headers: Headers) -> None:
        self._receive, self._ended = receive, False
        self._pending = b""
        kind, options = parse_options_header(headers.get("content-type"))
        self._boundary = options.get(b"boundary", b"")[:200]
        start = [scope["method"], scope["path"], scope["query_string"].decode("latin-1")]
        said = [f"{name}:{value}" for name, value in headers.items() if name.startswith("upload-")]
        opened = "\n".join([*start, kind.decode("latin-1"), *sorted(said), ""])
        self._hash = hashlib.sha256(opened.encode())

    async def receive(self) -> Message:
        """Return what comes next."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._add(message.get("body", b""))
            self._ended = not message.get("more_body", False)
        else:
            self._ended = True
        return message

    async def hash_all(self) -> str:
        """Read what has not been read, and return what all of it hashes to."""
        while not self._ended:
            await self.receive()
        self._hash.update(self._pending)
        return self._hash.hexdigest()

    def _add(self, data: bytes) -> None:
        if not self._boundary:
            self._hash.update(data)
            return
        *before, rest = (self._pending + data).split(self._boundary)
        for each in before:
            self._hash.update(each + b"\0")
        # A boundary may have begun here that ends in what comes next.
        cut = max(0, len(rest) - len(self._boundary) + 1)
        self._hash.update(rest[:cut])
        self._pending = rest[cut:]


def describe_once(document: dict[str, Any]) -> None:
    """Tell in an OpenAPI document where an ``Idempotency-Key`` is heeded."""
    parameter = {
        "in": "header",
        "name": "Idempotency-Key",
        "required": False,
        "description": "the same request with the same key is answered once, for a day",
        "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST},
    }
    for path in CREATING:
        operation = document["paths"][path]["post"]
        operation.setdefault("parameters", []).append(parameter)
        complete_answers(
            operation["responses"], errors.IdempotencyKeyBusy, errors.IdempotencyKeyReused
        )


def _credentials(said: str) -> HTTPAuthorizationCredentials | None:
    scheme, _, token = said.partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=token)


def _messages(reply: Reply) -> list[Message]:
    headers = [
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers),
        (b"idempotency-replayed", b"true"),
    ]
    return [
        {"type": "http.response.start", "status": reply.status, "headers": headers},
        {"type": "http.response.body", "body": reply.body},
    ]
