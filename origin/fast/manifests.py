"""Manifests of listeners who are known, of tracks that are known: nothing is left but to sign.

What is remembered is forgotten as soon as it is heard that it changed, and after a minute anyway.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from anyio import to_thread
from starlette.types import Scope

from catalogue.errors import TrackNotFound
from catalogue.licensing import Grant, Listener, Wish, grant_stream, next_turn
from catalogue.nouns import Codec, RenditionId, Track, TrackId
from catalogue.people_port import Changes
from catalogue.port import Brief
from manifests.json import build_json_template, render_face
from manifests.manifest import VERSION, AlbumPlace, build_manifest
from manifests.template import Template, build_template, write_times
from origin.fast.asking import PREFIX, Asked, Reader
from origin.fast.callers import KNOWN_FOR, KnownCallers
from origin.fast.http import Answer, Headers
from origin.remembered import Batched, Collapsed, Remembered
from origin.services import Services
from origin.throttle import Category
from origin.tracks import FACES, TO_ROOT, WORTH_ZIPPING_BYTES, describe_stream, find_place
from origin.visit import visit_of

_ROUTES = {face: f"{PREFIX}{{track_id}}/{face}" for face in FACES}
_TRACKS, _GRANTS_OF_A_TRACK = 20_000, 256
_TEMPLATES_BYTES = 128 << 20

_Wanted = tuple[TrackId, tuple[Codec, ...] | None]
"""A track, and the codecs whose faces are wanted with it: all if empty, and none if None."""
_Faces = Mapping[RenditionId, str]


class _KnownGrant(NamedTuple):
    """A grant to all whom the rules do not tell apart, between two moments; what is signed for it.

    A clock may be set back.
    """

    grant: Grant
    expires: str
    times: tuple[bytes, bytes]
    prefixes: tuple[str, ...]
    since: datetime
    until: datetime


class _KnownTrack(NamedTuple):
    """A track, to be judged by; no two have the same edition."""

    brief: Brief
    edition: int
    until: datetime
    grants: dict[tuple[object, ...], _KnownGrant]


class FastManifests:
    """Answers requests for manifests from what this process knows."""

    def __init__(self, parts: Services, changes: Changes) -> None:
        self._parts, self._changes = parts, changes
        self._reader, self._callers = Reader(), KnownCallers(parts)
        self._tracks: Remembered[str, _KnownTrack] = Remembered(_TRACKS)
        self._templates: Remembered[tuple[object, ...], Template] = Remembered(
            _TEMPLATES_BYTES, attrgetter("size_bytes")
        )
        self._loading: Collapsed[tuple[str, int], tuple[Track, AlbumPlace | None]] = Collapsed()
        self._briefs = Batched(self._load_briefs)
        self._faces = Batched(self._load_faces)
        self._turn = self._editions = 0

    def recall(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/v1/tracks/`` if all it needs is remembered.

        Raises why the listener may not hear the track.
        """
        self._hear()
        visit = visit_of(scope)
        asked = visit.asked = self._reader.read(scope)
        if asked is None:
            return None
        parts, now = self._parts, self._parts.now()
        listener = self._callers.recall(asked, now)
        known = self._recall_track(asked.track_id, now)
        if listener is None or known is None:
            return None
        who = self._callers.name(listener, asked)
        visit.route = _ROUTES[asked.face]
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who):
            return None
        granted = self._grant(known, listener, asked.wish, now)
        template = self._templates.get(_template_key(known, asked, granted))
        begins = None if template is None else parts.throttle.play_at_once(who, asked.track_id)
        if template is None or begins is None:
            return None
        parts.measures.count_cache("manifests", hit=True)
        if begins:
            visit.streams.append(describe_stream(granted.grant, listener))
        return self._answer(asked, listener, granted, template)

    async def find(self, scope: Scope) -> Answer | None:
        """Return the answer to a request below ``/v1/tracks/``, or None where others have to.

        Whatever of it is not remembered is asked for. Raises why the listener may not hear the
        track.
        """
        self._hear()
        visit, parts = visit_of(scope), self._parts
        # As a rule it has been read to be recalled.
        asked = visit.asked or self._reader.read(scope)
        if not isinstance(asked, Asked):
            return None
        parts.measures.count_cache("manifests", hit=False)
        listener = self._callers.recall(asked, parts.now()) or await self._callers.learn(asked)
        if listener is None:
            return None
        who = self._callers.name(listener, asked)
        visit.route = _ROUTES[asked.face]
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who):
            await to_thread.run_sync(parts.throttle.admit, visit, Category.STREAM, who)
        faces: _Faces = {}
        known = self._recall_track(asked.track_id, parts.now())
        if known is None:
            known, faces = await self._learn_track(asked)
        granted = self._grant(known, listener, asked.wish, parts.now())
        key = _template_key(known, asked, granted)
        template = self._templates.get(key)
        if template is None:
            template = await self._learn_template(known, granted.grant, asked.face, faces)
            if template is None:
                return None
            self._templates.put(key, template)
        begins = parts.throttle.play_at_once(who, asked.track_id)
        if begins is None:
            begins = await to_thread.run_sync(parts.throttle.play, who, asked.track_id)
        if begins:
            visit.streams.append(describe_stream(granted.grant, listener))
        return self._answer(asked, listener, granted, template)

    def _answer(
        self, asked: Asked, listener: Listener, granted: _KnownGrant, template: Template
    ) -> Answer:
        signed = self._parts.signer.sign_all(
            expires=granted.expires, session=listener.session, prefixes=granted.prefixes
        )
        values = [f"{TO_ROOT}{each}".encode() for each in signed]
        values += granted.times
        body = template.fill(values)
        zipped = asked.takes_gzip and len(body) >= WORTH_ZIPPING_BYTES
        if zipped:
            body = template.pack(values, body)
        return Answer(200, _headers(FACES[asked.face][1], len(body), zipped=zipped), body)

    # ----------------------------------------------------------------------- what is forgotten

    def _hear(self) -> None:
        """Forget what is known to have changed."""
        topics = self._changes.take()
        if topics is None:
            self._turn += 1
            self._callers.forget_all()
            self._tracks.clear()
            return
        for topic in topics:
            kind, _, name = topic.partition(":")
            if kind == "account":
                self._callers.forget(name)
            else:
                self._turn += 1
                self._tracks.forget(name)

    # ----------------------------------------------------------------------- what they get

    def _recall_track(self, track_id: str, now: datetime) -> _KnownTrack | None:
        known = self._tracks.get(track_id)
        return None if known is None or known.until <= now else known

    async def _learn_track(self, asked: Asked) -> tuple[_KnownTrack, _Faces]:
        """Ask for a track, and for the faces that its JSON needs. Raises TrackNotFound."""
        turn, track_id = self._turn, asked.track_id
        codecs = asked.wish.codecs if asked.face == "manifest" else None
        found = await self._briefs.get((TrackId(track_id), codecs))
        if found is None:
            raise TrackNotFound("No track has this id.", track=track_id[:60])
        brief, faces = found
        self._editions += 1
        until = self._parts.now() + KNOWN_FOR
        known = _KnownTrack(brief=brief, edition=self._editions, until=until, grants={})
        if turn == self._turn:
            self._tracks.put(track_id, known)
        return known, faces

    def _load_briefs(self, wanted: Collection[_Wanted]) -> Mapping[_Wanted, tuple[Brief, _Faces]]:
        """Return those of some tracks that exist, each with the faces that are wanted with it."""
        tracks = self._parts.tracks
        briefs = tracks.briefs(
            {track_id for track_id, _ in wanted}, version=VERSION, render=render_face
        )
        shown = {
            (track_id, codecs): [
                each.id
                for each in briefs[track_id].track.renditions
                if codecs is not None and (not codecs or each.tier.codec in codecs)
            ]
            for track_id, codecs in wanted
            if track_id in briefs
        }
        ids = {each for those in shown.values() for each in those}
        faces = tracks.faces(ids, version=VERSION, render=render_face) if ids else {}
        return {
            key: (briefs[key[0]], {each: faces[each] for each in those if each in faces})
            for key, those in shown.items()
        }

    async def _load(self, track_id: str) -> tuple[Track, AlbumPlace | None]:
        """Return a track as the catalogue has it now. Raises TrackNotFound."""
        parts = self._parts

        def find() -> tuple[Track, AlbumPlace | None]:
            track = parts.tracks.get(TrackId(track_id))
            return track, find_place(parts, track)

        async def load() -> tuple[Track, AlbumPlace | None]:
            return await to_thread.run_sync(find)

        # Who asks after a change waits for nothing that was begun before it.
        return await self._loading.run((track_id, self._turn), load)

    def _grant(
        self, known: _KnownTrack, listener: Listener, wish: Wish, now: datetime
    ) -> _KnownGrant:
        """Return the grant to a listener. Raises what grant_stream raises."""
        track = known.brief.track
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
                until=next_turn(track, listener.territory, now=now),
            )
            if len(known.grants) >= _GRANTS_OF_A_TRACK:
                known.grants.clear()
            known.grants[key] = found
        return found

    async def _learn_template(
        self, known: _KnownTrack, grant: Grant, face: str, faces: _Faces
    ) -> Template | None:
        """Return what is the same for all who have such a grant; None if it is outdated by now.

        ``faces`` are those of its renditions that are there already.
        """
        if face == "manifest":
            return await self._learn_json(known, grant, faces)
        whole, place = await self._load(known.brief.track.id)
        by_id = {each.id: each for each in whole.renditions}
        if any(each.id not in by_id for each in grant.renditions):
            return None
        full = replace(grant, renditions=tuple(by_id[each.id] for each in grant.renditions))
        manifest = build_manifest(whole, full, str, refresh_url="manifest", place=place)
        return build_template(FACES[face][0], manifest)

    async def _learn_json(self, known: _KnownTrack, grant: Grant, there: _Faces) -> Template | None:
        brief, ids = known.brief, tuple(each.id for each in grant.renditions)
        faces: Sequence[str] | None = [there[each] for each in ids if each in there]
        if len(faces or ()) < len(ids):
            faces = await self._faces.get(ids)
        if faces is None:
            return None
        place = None
        if brief.track.album_id is not None:
            place = AlbumPlace(
                album_id=brief.track.album_id, previous=brief.before, following=brief.after
            )
        manifest = build_manifest(brief.track, grant, str, refresh_url="manifest", place=place)
        return build_json_template(manifest, faces)

    def _load_faces(
        self, asked: Collection[tuple[RenditionId, ...]]
    ) -> Mapping[tuple[RenditionId, ...], Sequence[str]]:
        """Return the faces of several manifests' renditions, of those that have all of them."""
        ids = {each for wanted in asked for each in wanted}
        found = self._parts.tracks.faces(ids, version=VERSION, render=render_face)
        return {
            wanted: [found[each] for each in wanted]
            for wanted in asked
            if found.keys() >= set(wanted)
        }


def _template_key(known: _KnownTrack, asked: Asked, granted: _KnownGrant) -> tuple[object, ...]:
    return known.edition, asked.face, granted.grant.quality, granted.prefixes


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
