"""Manifests of listeners who are known, of tracks that are known: nothing is left but to sign.

What is remembered is forgotten as soon as it is heard that it changed, and asked for again after
half a minute. Where nobody can be asked, what was true lately is gone by.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from anyio import to_thread
from starlette.types import Scope

from catalogue.errors import TrackNotFound
from catalogue.licensing import Decision, Listener, Wish, decide, next_turn
from catalogue.nouns import TrackId
from catalogue.people_port import ANYTHING, Changes
from catalogue.port import Card, Kind
from manifests.json import build_json_template
from manifests.manifest import AlbumPlace, Heading, build_manifest
from manifests.template import Template, build_template, write_times
from origin.fast.asking import PREFIX, Asked, Reader
from origin.fast.callers import KNOWN_FOR, STALE_FOR, KnownCallers
from origin.fast.http import Answer, write_lines
from origin.fast.lately import Lately
from origin.fast.loading import Faces, Loader
from origin.packing import WORTH_ZIPPING_BYTES
from origin.remembered import Remembered
from origin.services import Services
from origin.throttle import Category
from origin.tracks import FACES, TO_ROOT, describe_stream
from origin.visit import Stream, visit_of

_ROUTES = {face: f"{PREFIX}{{track_id}}/{face}" for face in FACES}
_HEADS = {
    (media_type, zipped): write_lines(
        [
            (b"cache-control", b"no-store"),
            (b"vary", b"Accept-Encoding"),
            (b"content-type", media_type.encode("ascii")),
            *[(b"content-encoding", b"gzip")] * zipped,
        ]
    )
    for _, media_type in FACES.values()
    for zipped in (False, True)
}
_TRACKS = 20_000
_KINDS, _GRANTS_OF_A_KIND = 4096, 1024
_TEMPLATES_BYTES = 128 << 20


class _KnownGrant(NamedTuple):
    """What is granted to all whom the rules do not tell apart, between two moments.

    A clock may be set back.
    """

    decision: Decision
    expires: str
    times: tuple[bytes, bytes]
    since: datetime
    until: datetime


_Grants = dict[tuple[object, ...], _KnownGrant]


class _KnownTrack(NamedTuple):
    """A track as it was when ``turn`` changes had been heard, and what is granted of its kind.

    Two have the same edition only if nothing that is shown of them differs.
    """

    card: Card
    edition: int
    turn: int
    since: datetime
    until: datetime
    grants: _Grants


class _Shown(NamedTuple):
    """What all are shown who are granted the same of a track, and the prefixes signed for it."""

    template: Template
    prefixes: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        """What it takes at most."""
        return self.template.size_bytes + sum(map(len, self.prefixes))


class FastManifests:
    """Answers requests for manifests from what this process knows."""

    def __init__(self, parts: Services, changes: Changes) -> None:
        self._parts, self._changes = parts, changes
        self._reader, self._callers = Reader(), KnownCallers(parts)
        self._tracks: Remembered[str, _KnownTrack] = Remembered(_TRACKS)
        self._grants: Remembered[Kind, _Grants] = Remembered(_KINDS)
        self._shown: Remembered[tuple[object, ...], _Shown] = Remembered(
            _TEMPLATES_BYTES, lambda shown: shown.size_bytes
        )
        self._loader = Loader(parts)
        self._of_callers, self._of_tracks = Lately(), Lately()
        # What was asked for before a turn is to be asked for again.
        self._turn = self._doubted = self._editions = 0

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
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who, now):
            return None
        granted = self._grant(known, listener, asked.wish, now)
        shown = self._shown.get(_key(known, asked, granted))
        begins = None if shown is None else parts.throttle.play_at_once(who, asked.track_id, now)
        if shown is None or begins is None:
            return None
        parts.measures.count_cache("manifests", hit=True)
        if begins:
            visit.streams.append(_stream(known, granted, listener))
        return self._answer(asked, listener, granted, shown)

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
        visit.route = _ROUTES[asked.face]
        listener = self._callers.recall(asked, parts.now()) or await self._learn_caller(asked)
        if listener is None:
            return None
        who, now = self._callers.name(listener, asked), parts.now()
        if not parts.throttle.admit_at_once(visit, Category.STREAM, who, now):
            await to_thread.run_sync(parts.throttle.admit, visit, Category.STREAM, who)
        faces: Faces = {}
        known = self._recall_track(asked.track_id, now)
        if known is None:
            known, faces = await self._learn_track_or_last(asked)
            now = parts.now()
        granted = self._grant(known, listener, asked.wish, now)
        key = _key(known, asked, granted)
        shown = self._shown.get(key)
        if shown is None:
            shown = await self._show(known.card, granted.decision, asked.face, listener, faces)
            if shown is None:
                return None
            self._shown.put(key, shown)
        begins = parts.throttle.play_at_once(who, asked.track_id, now)
        if begins is None:
            begins = await to_thread.run_sync(parts.throttle.play, who, asked.track_id)
        if begins:
            visit.streams.append(_stream(known, granted, listener))
        return self._answer(asked, listener, granted, shown)

    def _answer(
        self, asked: Asked, listener: Listener, granted: _KnownGrant, shown: _Shown
    ) -> Answer:
        template = shown.template
        values = self._parts.signer.sign_all(
            expires=granted.expires,
            session=listener.session,
            prefixes=shown.prefixes,
            root=TO_ROOT,
        )
        values += granted.times
        body = template.fill(values)
        zipped = asked.takes_gzip and len(body) >= WORTH_ZIPPING_BYTES
        if zipped:
            body = template.pack(values, body)
        return Answer(200, _write_head(FACES[asked.face][1], len(body), zipped=zipped), body)

    # ----------------------------------------------------------------------- what is forgotten

    def _hear(self) -> None:
        """Forget what is known to have changed."""
        for topic in self._changes.take():
            kind, _, name = topic.partition(":")
            if kind == "account":
                self._callers.forget(name)
                continue
            self._turn += 1
            if topic == ANYTHING:
                # What cannot be asked for again is gone by.
                self._doubted = self._turn
                self._callers.doubt()
            else:
                self._tracks.forget(name)

    # ----------------------------------------------------------------------- what they get

    def _recall_track(self, track_id: str, now: datetime) -> _KnownTrack | None:
        known = self._tracks.get(track_id)
        if known is None or known.until <= now or known.turn < self._doubted:
            return None
        return known

    async def _learn_caller(self, asked: Asked) -> Listener | None:
        """Return who asks, as was last known if nobody can be asked; None if that is no account.

        Raises what identify raises.
        """
        if not self._callers.has_session(asked):
            return None

        def recall() -> Listener | None:
            self._hear()
            return self._callers.recall_last(asked, self._parts.now())

        return await self._of_callers.ask(partial(self._callers.learn, asked), recall)

    async def _learn_track_or_last(self, asked: Asked) -> tuple[_KnownTrack, Faces]:
        """Return a track as ``_learn_track`` does, or as was last known if nobody can be asked."""

        def recall() -> tuple[_KnownTrack, Faces] | None:
            self._hear()
            last, now = self._tracks.get(asked.track_id), self._parts.now()
            if last is None or not last.since <= now < last.since + STALE_FOR:
                return None
            return last, {}

        return await self._of_tracks.ask(partial(self._learn_track, asked), recall)

    async def _learn_track(self, asked: Asked) -> tuple[_KnownTrack, Faces]:
        """Ask for a track, and for the faces that its JSON needs. Raises TrackNotFound."""
        turn, track_id = self._turn, asked.track_id
        codecs = asked.wish.codecs if asked.face == "manifest" else None
        found = await self._loader.card(TrackId(track_id), codecs)
        if found is None:
            self._tracks.forget(track_id)
            raise TrackNotFound("No track has this id.", track=track_id[:60])
        card, faces = found
        grants = self._grants.get(card.kind)
        if grants is None:
            grants = {}
            self._grants.put(card.kind, grants)
        now, last = self._parts.now(), self._tracks.get(track_id)
        # Of its kind nothing is shown.
        if last is not None and last.card._replace(kind=card.kind) == card:
            edition = last.edition
        else:
            self._editions += 1
            edition = self._editions
        known = _KnownTrack(
            card=card, edition=edition, turn=turn, since=now, until=now + KNOWN_FOR, grants=grants
        )
        if turn == self._turn:
            self._tracks.put(track_id, known)
        return known, faces

    def _grant(
        self, known: _KnownTrack, listener: Listener, wish: Wish, now: datetime
    ) -> _KnownGrant:
        """Return the grant to a listener. Raises what grant_stream raises."""
        track = known.card.kind.track
        owner = None if track.owner is None else listener.account_id
        place = listener.role, listener.label, listener.territory, listener.plan_quality
        key = wish, owner, *place
        found = known.grants.get(key)
        if found is None or not found.since <= now < found.until:
            decision = decide(track, known.card.kind.rungs, listener, wish=wish, now=now)
            found = _KnownGrant(
                decision=decision,
                expires=str(int(decision.expires_at.timestamp())),
                times=write_times(decision.expires_at, decision.refresh_after),
                since=now,
                until=next_turn(track, listener.territory, now=now),
            )
            if len(known.grants) >= _GRANTS_OF_A_KIND:
                known.grants.clear()
            known.grants[key] = found
        return found

    async def _show(
        self, card: Card, decision: Decision, face: str, listener: Listener, faces: Faces
    ) -> _Shown | None:
        """Return what is the same for all who have such a grant; None if it is outdated by now.

        ``faces`` are those of its renditions that are there already.
        """
        chosen = [card.renditions[place] for place in decision.places]
        ids = tuple(rendition_id for rendition_id, _ in chosen)
        prefixes = tuple(f"/{card.id}/{each}/".encode("ascii") for each in ids)
        if face == "manifest":
            found: Sequence[bytes] | None = [faces[each] for each in ids if each in faces]
            if len(found or ()) < len(ids):
                found = await self._loader.faces(ids)
            if found is None:
                return None
            heading = _head(card, decision, chosen[0][1])
            return _Shown(build_json_template(heading, found, refresh_url="manifest"), prefixes)
        whole, place = await self._loader.whole(card.id, self._turn)
        by_id = {each.id: each for each in whole.renditions}
        said = whole.metadata
        told = said.title, said.artist, said.isrc, place
        if told != (card.title, card.artist, card.isrc, _place(card)) or not by_id.keys() >= {*ids}:
            return None
        grant = decision.grant(card.id, listener, tuple(by_id[each] for each in ids))
        manifest = build_manifest(whole, grant, str, refresh_url="manifest", place=place)
        return _Shown(build_template(FACES[face][0], manifest), prefixes)


def _stream(known: _KnownTrack, granted: _KnownGrant, listener: Listener) -> Stream:
    decision = granted.decision
    _, seconds = known.card.renditions[decision.places[0]]
    return describe_stream(decision.quality, listener, seconds)


def _head(card: Card, decision: Decision, seconds: float) -> Heading:
    return Heading(
        track_id=card.id,
        title=card.title,
        artist=card.artist,
        isrc=card.isrc,
        seconds=seconds,
        quality=decision.quality.label,
        place=_place(card),
    )


def _place(card: Card) -> AlbumPlace | None:
    if card.album_id is None:
        return None
    return AlbumPlace(album_id=card.album_id, previous=card.before, following=card.after)


def _key(known: _KnownTrack, asked: Asked, granted: _KnownGrant) -> tuple[object, ...]:
    decision = granted.decision
    return known.edition, asked.face, decision.quality, decision.places


def _write_head(media_type: str, size_bytes: int, *, zipped: bool) -> bytes:
    return _HEADS[media_type, zipped] + b"content-length: %d\r\n" % size_bytes
