"""Traces of requests, from the entrance to the catalogue and the store (OpenTelemetry).

They are sent to an endpoint over OTLP and HTTP. How many are taken is said in the specification's
own variables (``OTEL_TRACES_SAMPLER``, ``OTEL_TRACES_SAMPLER_ARG``), as is what the service is
called. Paths are told as patterns and statements without their values, for both hold secrets.
"""

from collections.abc import Collection, Mapping
from typing import Any, cast

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, use_span
from sqlalchemy import Connection, Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogue.nouns import RenditionId, TrackId
from catalogue.port import Card, Cards
from origin.visit import visit_of
from storage.keys import ObjectKey
from storage.port import ObjectStore

_PARENTS = (b"traceparent", b"tracestate")
_SPAN = "lathe_span"


class Tracing:
    """Traces that are sent to an OTLP endpoint such as ``http://collector:4318``."""

    def __init__(self, endpoint: str) -> None:
        own = Resource({SERVICE_NAME: "lathe-origin"})
        # What the environment says goes before.
        self._provider = TracerProvider(resource=own.merge(Resource.create()))
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lathe")

    def trace_app(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose every request is a span, a child of its caller's."""
        return _TracedApp(app, self._tracer)

    def trace_store(self, store: ObjectStore) -> ObjectStore:
        """Return a store whose reads are spans."""
        return cast(ObjectStore, _TracedStore(store, self._tracer))

    def trace_cards(self, cards: Cards) -> Cards:
        """Return cards whose reads are spans."""
        return _TracedCards(cards, self._tracer)

    def trace_engine(self, engine: Engine) -> None:
        """Let every statement of an engine be a span."""
        tracer = self._tracer

        @event.listens_for(engine, "before_cursor_execute")
        def _begin(connection: Connection, _: Any, statement: str, *__: Any) -> None:
            verb = statement.split(None, 1)[0].upper()
            kept = {"db.system.name": engine.dialect.name, "db.query.text": statement}
            span = tracer.start_span(verb, kind=SpanKind.CLIENT, attributes=kept)
            connection.info.setdefault(_SPAN, []).append(span)

        @event.listens_for(engine, "after_cursor_execute")
        def _end(connection: Connection, *_: Any) -> None:
            connection.info[_SPAN].pop().end()

        @event.listens_for(engine, "handle_error")
        def _fail(context: Any) -> None:
            spans: list[Span] = context.connection.info.get(_SPAN, []) if context.connection else []
            while spans:
                span = spans.pop()
                span.set_status(Status(StatusCode.ERROR))
                span.end()

    def close(self) -> None:
        """Send what has not been sent yet."""
        self._provider.shutdown()


class _TracedApp:
    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in _PARENTS
        }
        method = scope["method"]
        span = self._tracer.start_span(
            method,
            context=extract(said),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
        )

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        with use_span(span, end_on_exit=True):
            await self._app(scope, receive, send_on)
            _describe(span, scope)


def _describe(span: Span, scope: Scope) -> None:
    visit = visit_of(scope)
    told: Mapping[str, str] = visit.told
    route = visit.route or getattr(scope.get("route"), "path", "")
    span.update_name(f"{scope['method']} {route}".rstrip())
    span.set_attribute("http.route", route)
    for name in ("request_id", "code"):
        if name in told:
            span.set_attribute(f"lathe.{name}", told[name])


class _TracedCards:
    def __init__(self, cards: Cards, tracer: Tracer) -> None:
        self._cards, self._tracer = cards, tracer

    async def tracks(self, track_ids: Collection[TrackId]) -> dict[TrackId, Card]:
        with self._tracer.start_as_current_span("cards.tracks", kind=SpanKind.CLIENT):
            return await self._cards.tracks(track_ids)

    async def faces(
        self, rendition_ids: Collection[RenditionId], *, version: int
    ) -> dict[RenditionId, bytes]:
        with self._tracer.start_as_current_span("cards.faces", kind=SpanKind.CLIENT):
            return await self._cards.faces(rendition_ids, version=version)


class _TracedStore:
    def __init__(self, store: ObjectStore, tracer: Tracer) -> None:
        self._store, self._tracer = store, tracer

    def read(self, key: ObjectKey, *, start: int = 0, size_bytes: int | None = None) -> bytes:
        with self._tracer.start_as_current_span(
            "store.read", kind=SpanKind.CLIENT, attributes={"lathe.object": key}
        ) as span:
            found = self._store.read(key, start=start, size_bytes=size_bytes)
            span.set_attribute("lathe.size_bytes", len(found))
            return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
