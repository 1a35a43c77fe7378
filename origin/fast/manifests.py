"""Manifests of listeners who are known, of tracks that are known: nothing is left but to sign.

What is remembered is forgotten as soon as it is heard that it changed, and after a minute anyway.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl

from anyio import to_thread
from fastapi.security import HTTPAuthorizationCredentials
from starlette.types import Scope

from catalogue.errors import TrackNotFound
from catalogue.identifiers import parse_territory
from catalogue.licensing import (
    Grant,
    Listener,
    Wish,
    grant_stream,
    guest_of,
    listener_of,
    next_turn,
)
from catalogue.nouns import Track, TrackId
from catalogue.people import Network
from catalogue.people_port import Changes
from catalogue.port import Brief
from manifests.json import render_face, render_json
from manifests.manifest import VERSION, AlbumPlace, build_manifest
from manifests.template import Template, build_template, write_times
from origin.access import SignedIn, address_of, identify, is_trusted_edge, network_of
from origin.fast.http import Answer, Headers, names, read_headers
from origin.remembered import Batched, Collapsed, Remembered
from origin.services import TERRITORY_HEADER, Services
from origin.throttle import Category
from origin.tracks import (
    CODECS_MAX,
    FACES,
    TO_ROOT,
    WORTH_ZIPPING_BYTES,
    QualityName,
    describe_stream,
    find_place,
    parse_wish,
)
from origin.visit import visit_of

KNOWN_FOR = timedelta(seconds=30)
"""How long a listener or a track is gone by without being asked for again."""

PREFIX = "/v1/tracks/"

_BEARER = b"Bearer lathe_session_"
_WANTED = names(
    [
        "Authorization",
        "X-Preferred-Quality",
        "X-Network-Type",
        "Accept-Encoding",
        TERRITORY_HEADER,
        "X-Forwarded-For",
    ]
)
_PREFERRED, _NETWORK = b"x-preferred-quality", b"x-network-type"
_FORWARDED = b"x-forwarded-for"
_ROUTES = {face: f"{PREFIX}{{track_id}}/{face}" for face in FACES}
_TERRITORY = TERRITORY_HEADER.encode("ascii")
_CALLERS, _TRACKS, _WISHES, _GRANTS_OF_A_TRACK = 50_000, 20_000, 1024, 256
_TEMPLATES_BYTES, _BRIEFS_BYTES, _BRIEF_BYTES = 128 << 20, 32 << 20, 8 << 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _KnownCaller:
    """An account by its session, as it was when ``turn`` changes had been heard."""

    signed_in: SignedIn
    turn: int
    until: datetime
    listeners: dict[str | None, Listener] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _KnownGrant:
    """A grant to all whom the rules do not tell apart, between two moments; what is signed for it.

    A clock may be set back.
    """

    grant: Grant
    expires: str
    times: tuple[bytes, bytes]
    prefixes: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class _KnownTrack:
    """A track whose renditions have no chunks, to be judged by; no two have the same edition."""

    track: Track
    edition: int
    until: datetime
    grants: dict[tuple[object, ...], _KnownGrant] = field(default_factory=dict)


class _Asked(NamedTuple):
    """A request for a face of a manifest that is written plainly."""

    track_id: str
    face: str
    wish: Wish
    peer: str
    headers: dict[bytes, bytes]

    @property
    def takes_gzip(self) -> bool:
        return b"gzip" in self.headers.get(b"accept-encoding", b"")


class FastManifests:
    """Answers requests for manifests from what this process knows."""

    def __init__(self, parts: Services, changes: Changes) -> None:
        self._parts, self._changes = parts, changes
        self._callers: Remembered[bytes, _KnownCaller] = Remembered(_CALLERS)
        self._changed: Remembered[str, int] = Remembered(_CALLERS)
        self._tracks: Remembered[str, _KnownTrack] = Remembered(_TRACKS)
        self._wishes: Remembered[tuple[bytes, ...], Wish] = Remembered(_WISHES)
        self._templates: Remembered[tuple[object, ...], Template] = Remembered(
            _TEMPLATES_BYTES, lambda template: template.size_bytes
        )
        self._networks: Remembered[tuple[str, bytes], str] = Remembered(_CALLERS)
        self._loading: Collapsed[tuple[object, ...], object] = Collapsed()
        self._briefs: Remembered[int, Brief] = Remembered(
            _BRIEFS_BYTES, lambda brief: sum(map(len, brief.faces)) + _BRIEF_BYTES
        )
        self._briefly = Batched(partial(parts.tracks.briefs, version=VERSION, render=render_face))
        self._turn = self._editions = 0

    def recall(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/v1/tracks/`` if all it needs is remembered.

        Raises why the listener may not hear the track.
        """
        self._hear()
        asked = self._read_request(scope)
        if asked is None:
            return None
        parts, now = self._parts, self._parts.now()
        listener = self._recall_listener(asked, now)
        known = self._recall_track(asked.track_id, now)
        if listener is None or known is None:
            return None
        visit, who = visit_of(scope), listener.account_id or self._network(asked)
        visit.route = _ROUTES[asked.face]
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who):
            return None
        granted = self._grant(known, listener, asked.wish, now)
        template = self._templates.get(_template_key(known, asked, granted))
        begins = None if template is None else parts.throttle.play_at_once(who, asked.track_id)
        if template is None or begins is None:
            return None
        if begins:
            visit.streams.append(describe_stream(granted.grant, listener))
        parts.measures.count_cache("manifests", hit=True)
        signed = parts.signer.sign_all(
            expires=granted.expires, session=listener.session, prefixes=granted.prefixes
        )
        values = [f"{TO_ROOT}{each}".encode() for each in signed]
        values += granted.times
        body = template.fill(values)
        zipped = asked.takes_gzip and len(body) >= WORTH_ZIPPING_BYTES
        if zipped:
            body = template.pack(values, body)
        return Answer(200, _headers(FACES[asked.face][1], len(body), zipped=zipped), body)

    async def find(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/v1/tracks/``, or None where others have to.

        Raises why the listener may not hear the track.
        """
        answer = self.recall(scope)
        if answer is None and await self._learn(scope):
            answer = self.recall(scope)
        return answer

    async def _learn(self, scope: Scope) -> bool:
        """Ask for all that a request needs and is not remembered; False where others have to.

        Raises why the listener may not hear the track.
        """
        asked, parts = self._read_request(scope), self._parts
        if asked is None:
            return False
        self._parts.measures.count_cache("manifests", hit=False)
        listener = self._recall_listener(asked, parts.now()) or await self._learn_listener(asked)
        if listener is None:
            return False
        visit, who = visit_of(scope), listener.account_id or self._network(asked)
        visit.route = _ROUTES[asked.face]
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who):
            await to_thread.run_sync(parts.throttle.admit, visit, Category.STREAM, who)
        known = self._recall_track(asked.track_id, parts.now())
        if known is None:
            known = await self._learn_track(asked.track_id)
        granted = self._grant(known, listener, asked.wish, parts.now())
        key = _template_key(known, asked, granted)
        if self._templates.get(key) is None:
            template = await self._learn_template(known, granted.grant, asked.face)
            if template is None:
                return False
            self._templates.put(key, template)
        begins = parts.throttle.play_at_once(who, asked.track_id)
        if begins is None:
            begins = await to_thread.run_sync(parts.throttle.play, who, asked.track_id)
        if begins:
            visit.streams.append(describe_stream(granted.grant, listener))
        return True

    # ----------------------------------------------------------------------- what is forgotten

    def _hear(self) -> None:
        """Forget what is known to have changed."""
        topics = self._changes.take()
        if topics is None:
            self._turn += 1
            self._callers.clear()
            self._tracks.clear()
            return
        for topic in topics:
            self._turn += 1
            kind, _, name = topic.partition(":")
            if kind == "account":
                self._changed.put(name, self._turn)
            else:
                self._tracks.forget(name)

    # ----------------------------------------------------------------------- who asks for what

    def _read_request(self, scope: Scope) -> _Asked | None:
        """Return what is asked for if it is written plainly; others make sense of the rest."""
        track_id, _, face = scope["path"][len(PREFIX) :].partition("/")
        headers = read_headers(scope, _WANTED)
        if not track_id or face not in FACES or headers is None:
            return None
        key = (
            scope["query_string"],
            headers.get(_PREFERRED, b""),
            headers.get(_NETWORK, b""),
        )
        wish = self._wishes.get(key)
        if wish is None:
            wish = _parse_wish(key[0], headers)
            if wish is None:
                return None
            self._wishes.put(key, wish)
        peer = scope["client"][0] if scope["client"] else ""
        return _Asked(track_id, face, wish, peer, headers)

    def _territory(self, asked: _Asked) -> str | None:
        said = asked.headers.get(_TERRITORY)
        if said is not None and is_trusted_edge(self._parts, asked.peer):
            return parse_territory(said.decode("latin-1"))
        return self._parts.territory

    def _recall_listener(self, asked: _Asked, now: datetime) -> Listener | None:
        token = asked.headers.get(b"authorization")
        if token is None:
            guests = self._parts.guests
            return None if guests is None else guest_of(guests, territory=self._territory(asked))
        known = self._recall_caller(token, now)
        return None if known is None else self._listener(known, asked)

    async def _learn_listener(self, asked: _Asked) -> Listener | None:
        token = asked.headers.get(b"authorization")
        if token is None or not token.startswith(_BEARER):
            return None
        known = await self._learn_caller(token)
        return None if known is None else self._listener(known, asked)

    def _listener(self, known: _KnownCaller, asked: _Asked) -> Listener:
        territory = self._territory(asked)
        listener = known.listeners.get(territory)
        if listener is None:
            own = known.signed_in
            listener = listener_of(own.account, session=own.session.id, territory=territory)
            known.listeners[territory] = listener
        return listener

    def _network(self, asked: _Asked) -> str:
        """Return by what a guest is counted."""
        key = asked.peer, asked.headers.get(_FORWARDED, b"")
        network = self._networks.get(key)
        if network is None:
            address = address_of(self._parts, asked.peer, key[1].decode("latin-1"))
            network = network_of(address)
            self._networks.put(key, network)
        return network

    def _recall_caller(self, token: bytes, now: datetime) -> _KnownCaller | None:
        known = self._callers.get(token)
        if known is None or known.until <= now:
            return None
        changed = self._changed.get(known.signed_in.account.id)
        return known if changed is None or changed <= known.turn else None

    async def _learn_caller(self, token: bytes) -> _KnownCaller | None:
        """Ask whose session a token is. Raises what identify raises."""
        parts, turn = self._parts, self._turn
        said = token.decode("latin-1").partition(" ")[2]

        def find() -> SignedIn | None:
            credentials = HTTPAuthorizationCredentials(scheme="Bearer", credentials=said)
            return identify(parts, credentials).signed_in

        async def load() -> SignedIn | None:
            return await to_thread.run_sync(find)

        # Who asks after a change waits for nothing that was begun before it.
        own = await self._loading.run(("caller", token, turn), load)
        if own is None:
            return None
        assert isinstance(own, SignedIn)
        known = _KnownCaller(signed_in=own, turn=turn, until=parts.now() + KNOWN_FOR)
        self._callers.put(token, known)
        return known

    # ----------------------------------------------------------------------- what they get

    def _recall_track(self, track_id: str, now: datetime) -> _KnownTrack | None:
        known = self._tracks.get(track_id)
        return None if known is None or known.until <= now else known

    async def _learn_track(self, track_id: str) -> _KnownTrack:
        """Ask for a track. Raises TrackNotFound."""
        turn = self._turn
        brief = await self._ask_brief(track_id)
        self._editions += 1
        known = _KnownTrack(
            track=brief.track,
            edition=self._editions,
            until=self._parts.now() + KNOWN_FOR,
        )
        if turn == self._turn:
            self._tracks.put(track_id, known)
        self._briefs.put(known.edition, brief)
        return known

    async def _ask_brief(self, track_id: str) -> Brief:
        """Return a track as the catalogue has it now, without chunks. Raises TrackNotFound."""
        brief = await self._briefly.get(TrackId(track_id))
        if brief is None:
            raise TrackNotFound("No track has this id.", track=track_id[:60])
        return brief

    async def _load(self, track_id: str) -> tuple[Track, AlbumPlace | None]:
        """Return a track as the catalogue has it now. Raises TrackNotFound."""
        parts = self._parts

        def find() -> tuple[Track, AlbumPlace | None]:
            track = parts.tracks.get(TrackId(track_id))
            return track, find_place(parts, track)

        async def load() -> tuple[Track, AlbumPlace | None]:
            return await to_thread.run_sync(find)

        found = await self._loading.run(("track", track_id, self._turn), load)
        assert isinstance(found, tuple)
        return found

    def _grant(
        self, known: _KnownTrack, listener: Listener, wish: Wish, now: datetime
    ) -> _KnownGrant:
        """Return the grant to a listener. Raises what grant_stream raises."""
        track = known.track
        owner = None if track.owner is None else listener.account_id
        place = listener.role, listener.label, listener.territory, listener.plan_quality
        key = wish, owner, *place
        found = known.grants.get(key)
        if found is None or not found.since <= now < found.until:
            grant = grant_stream(track, listener, wish=wish, now=now)
            found = _KnownGrant(
                grant=grant,
                expires=str(int(grant.expires_at.timestamp())),
                times=write_times(grant.expires_at, grant.refresh_after),
                prefixes=tuple(f"/{track.id}/{each.id}/" for each in grant.renditions),
                since=now,
                until=next_turn(track, now=now),
            )
            if len(known.grants) >= _GRANTS_OF_A_TRACK:
                known.grants.clear()
            known.grants[key] = found
        return found

    async def _learn_template(self, known: _KnownTrack, grant: Grant, face: str) -> Template | None:
        """Return what is the same for all who have such a grant; None if it is outdated by now."""
        if face == "manifest":
            return await self._learn_json(known, grant)
        whole, place = await self._load(known.track.id)
        by_id = {each.id: each for each in whole.renditions}
        if any(each.id not in by_id for each in grant.renditions):
            return None
        full = replace(grant, renditions=tuple(by_id[each.id] for each in grant.renditions))
        manifest = build_manifest(whole, full, str, refresh_url="manifest", place=place)
        return build_template(FACES[face][0], manifest)

    async def _learn_json(self, known: _KnownTrack, grant: Grant) -> Template | None:
        brief = self._briefs.get(known.edition) or await self._ask_brief(known.track.id)
        shown = {
            rendition.id: face
            for rendition, face in zip(brief.track.renditions, brief.faces, strict=True)
        }
        if any(each.id not in shown for each in grant.renditions):
            return None
        place = None
        if brief.track.album_id is not None:
            place = AlbumPlace(
                album_id=brief.track.album_id, previous=brief.before, following=brief.after
            )
        manifest = build_manifest(brief.track, grant, str, refresh_url="manifest", place=place)
        faces = [shown[each.id] for each in grant.renditions]
        return build_template(partial(render_json, faces=faces), manifest)


def _template_key(known: _KnownTrack, asked: _Asked, granted: _KnownGrant) -> tuple[object, ...]:
    return known.edition, asked.face, granted.grant.quality, granted.prefixes


def _parse_wish(query: bytes, asked: dict[bytes, bytes]) -> Wish | None:
    """Return a wish that is written plainly; None for what others have to make sense of."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    said = dict(pairs)
    if len(said) < len(pairs) or len(said.get("codecs", "")) > CODECS_MAX:
        return None
    quality, network = said.get("quality"), said.get("network")
    preferred, connected = asked.get(_PREFERRED), asked.get(_NETWORK)
    try:
        return parse_wish(
            codecs=said.get("codecs", ""),
            quality=None if quality is None else QualityName(quality),
            network=None if network is None else Network(network),
            x_preferred_quality=None
            if preferred is None
            else QualityName(preferred.decode("latin-1")),
            x_network_type=None if connected is None else Network(connected.decode("latin-1")),
        )
    except ValueError:
        return None


def _headers(media_type: str, size_bytes: int, *, zipped: bool) -> Headers:
    headers: Headers = [
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept-Encoding"),
        (b"content-length", str(size_bytes).encode("ascii")),
        (b"content-type", media_type.encode("ascii")),
    ]
    if zipped:
        headers.append((b"content-encoding", b"gzip"))
    return headers
