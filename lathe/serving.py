"""Running an origin: uvicorn around the application, with the port known before it starts."""

import gc
import math
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache

import uvicorn
from prometheus_client import CollectorRegistry

from catalogue.errors import AddressUnavailable
from catalogue.port import Atlas
from lathe.protocol import build_protocol
from lathe.wiring import (
    House,
    build_intake,
    build_receiver,
    new_id,
    now,
    open_changes,
    open_content_keys,
    open_licence_keys,
    open_partners,
    open_shelf,
    open_url_keys,
)
from origin.app import build_app
from origin.measures import OriginMeasures
from origin.renditions import PublishedRenditions
from origin.services import Services
from origin.shelf import Shelf
from origin.throttle import Throttle, parse_limits
from protection.content_keys import KeyWrapper
from protection.licences import LicenceSigner
from protection.signing import UrlSigner


def build_services(house: House, registry: CollectorRegistry) -> Services:
    """Return the parts of an origin, whose metrics are in ``registry``.

    Raises SettingsInvalid.
    """
    settings = house.settings
    return Services(
        keys=house.keys,
        accounts=house.accounts,
        sessions=house.sessions,
        limits=house.limits,
        audits=house.audits,
        throttle=Throttle(house.limits, parse_limits(settings.limits), now=now),
        measures=OriginMeasures(registry, house.breakers),
        playbacks=house.playbacks,
        tracks=house.tracks,
        cards=house.cards,
        shipments=house.shipments,
        jobs=house.jobs,
        desk=house.desk,
        intake=build_intake(house, beside_workers=True),
        receiver=build_receiver(house),
        replies=house.replies,
        reports=house.reports,
        messages=house.messages,
        webhooks=house.webhooks,
        sleeves=house.sleeves,
        published=PublishedRenditions(house.tracks, house.content_keys, house.sleeves),
        devices=house.devices,
        content_keys=house.content_keys,
        downloads=house.downloads,
        policies=house.policies,
        wrapper=KeyWrapper(open_content_keys(settings)),
        licences=LicenceSigner(open_licence_keys(settings)),
        partners=open_partners(settings),
        store=house.store,
        shelf=Shelf(open_shelf(house)),
        signer=UrlSigner(open_url_keys(settings)),
        now=now,
        new_id=new_id,
        session_life=timedelta(days=settings.session_days),
        guests=settings.guests,
        territory=settings.territory or None,
        trusted_edges=settings.trusted_edges,
        max_master_bytes=settings.max_master_bytes,
        open_atlas=_atlases(house),
    )


def _atlases(house: House) -> Callable[[str], Atlas]:
    @cache
    def open_atlas(recipe: str) -> Atlas:
        # An origin loads numpy when somebody first asks for similar tracks, and not before.
        from origin.atlas import FileAtlas

        return FileAtlas(house.settings.state / "atlas", recipe, house.tracks)

    return open_atlas


class Origin:
    """An HTTP server that is bound on construction, so that its URL is known."""

    def __init__(self, house: House, registry: CollectorRegistry) -> None:
        services, tracing = build_services(house, registry), None
        if house.settings.traces:
            # Who sends no traces loads none of what sends them.
            from lathe.tracing import Tracing

            tracing = Tracing(house.settings.traces)
            tracing.trace_engine(house.engine)
            services = replace(
                services,
                shelf=Shelf(tracing.trace_store(services.shelf.store)),
                cards=tracing.trace_cards(services.cards),
            )
        self._tracing = tracing
        self._socket = _bind(house.settings.host, house.settings.port)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        app = build_app(
            services,
            open_changes(house),
            cache_bytes=house.settings.chunk_cache_bytes,
            tells_all=house.settings.log_requests == "all",
        )
        config = uvicorn.Config(
            app if tracing is None else tracing.trace_app(app),
            log_config=None,
            access_log=False,
            # Edges are trusted by their own network address, never by what a header claims.
            proxy_headers=False,
            loop="uvloop",
            http=build_protocol(patience_s=house.settings.patience_s),
            server_header=False,
            timeout_keep_alive=math.ceil(house.settings.patience_s),
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; must be called in the main thread."""
        try:
            _rest_collector()
            self._server.run(sockets=[self._socket])
        finally:
            if self._tracing is not None:
                self._tracing.close()

    def stop(self) -> None:
        """Stop serving, now or as soon as it has begun; may be called from a signal handler."""
        self._server.should_exit = True

    def wait_until_started(self, stop: threading.Event) -> bool:
        """Return True when requests are answered, False when ``stop`` came first."""
        while not self._server.started:
            if stop.wait(0.02):
                return False
        return True


def _rest_collector() -> None:
    """Let the collector of cycles look at what lives long only once in a while.

    An origin remembers hundreds of thousands of objects that are in no cycle. To look at all of
    them whenever there are a quarter more took a third of a second, and half of all the CPU.
    """
    gc.freeze()
    gc.set_threshold(2_000, 20, 100)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as fault:
        raise AddressUnavailable(
            f"{host} port {port}: {fault.strerror}.", host=host, port=port
        ) from fault
    return bound
