"""Sealing renditions for devices, and encrypting them for standard players.

Bytes come first, and then the catalogue is told that they are there. A rendition to be sealed is a
row that waits; messages are hints, as they are for jobs. Whoever takes one keeps it by telling how
far it is, and one that falls silent is taken over. Sealing again what was sealed before gives the
same bytes.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import dramatiq

from catalogue.context import bound
from catalogue.errors import LatheError, ObjectNotFound, Stopped
from catalogue.nouns import WorkQueue
from catalogue.offline import (
    ContentKeyId,
    ContentKeys,
    Form,
    StoredContentKey,
    sealed_rendition,
)
from catalogue.port import Tracks
from pipeline.cutting.cenc import protect_fragments, protect_init
from protection.cenc import SampleCipher, build_pssh, build_sinf, derive_cenc_key
from protection.content_keys import ContentKey, KeyWrapper
from protection.sealing import Sealer, place_of, sealed_name
from storage.keys import rendition_key
from storage.port import ObjectStore
from workers.broker import SEAL_ACTOR
from workers.queue import Queue

log = logging.getLogger(__name__)

_SILENCE, _REST = timedelta(seconds=30), timedelta(minutes=1)
_TOLD_EVERY_BYTES = 32 << 20
_ROUND = 64


Make = Callable[[str, bytes], tuple[str, bytes | bytearray]]
"""Gives the name and the bytes of what becomes of an object of that name."""


def _sealing(key: StoredContentKey, content_key: ContentKey) -> Make:
    sealer = Sealer(content_key)

    def make(name: str, data: bytes) -> tuple[str, bytes | bytearray]:
        own = sealed_name(name)
        place = place_of(
            own,
            track=key.track_id,
            rendition=key.rendition_id,
            tier=key.tier,
            count=key.chunk_count,
        )
        return own, sealer.seal(place, data)

    return make


def _encrypting(_: StoredContentKey, content_key: ContentKey) -> Make:
    cenc = derive_cenc_key(content_key)
    cipher, sinf, pssh = SampleCipher(cenc), partial(build_sinf, key=cenc), build_pssh(cenc.id)

    def make(name: str, data: bytes) -> tuple[str, bytes | bytearray]:
        if name.startswith("init."):
            return name, protect_init(data, sinf, pssh)
        return name, protect_fragments(data, cipher.encrypt)

    return make


_MAKERS: Mapping[Form, Callable[[StoredContentKey, ContentKey], Make]] = {
    Form.SEALED: _sealing,
    Form.CENC: _encrypting,
}


def declare_seal(broker: dramatiq.Broker, sealing: "SealingWork") -> None:
    """Declare the actor that seals the rendition of a content key."""
    dramatiq.Actor(
        sealing.seal,
        broker=broker,
        actor_name=SEAL_ACTOR,
        queue_name=WorkQueue.LIGHT,
        priority=0,
        options={},
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class SealingWork:
    """Seals renditions with the content keys that wait for it."""

    keys: ContentKeys
    tracks: Tracks
    store: ObjectStore
    wrapper: KeyWrapper
    now: Callable[[], datetime]
    shutting_down: threading.Event

    def seal(self, key_id: str) -> None:
        """Seal a rendition, unless it is sealed or another does it. Never raises."""
        own = ContentKeyId(key_id)
        with bound(content_key=key_id):
            try:
                key = self.keys.claim(own, now=self.now(), until=self.now() + _SILENCE)
                if key is not None:
                    self._seal(key)
            except Stopped:
                self._put_off(own, timedelta())
            except LatheError as fault:
                log.warning("sealing put off: %s", fault.detail, extra={"code": fault.code})
                self._put_off(own, _REST)
            except Exception:
                log.exception("sealing failed")
                self._put_off(own, _REST)

    def _seal(self, key: StoredContentKey) -> None:
        rendition = self.tracks.rendition(key.rendition_id)
        if rendition is None:
            raise ObjectNotFound("The rendition is not published.", rendition=key.rendition_id)
        content_key = self.wrapper.unwrap(key)
        make = _MAKERS[key.form](key, content_key)
        sealed_bytes = told_bytes = 0
        for name in rendition.objects():
            if self.shutting_down.is_set():
                raise Stopped("The worker stops.")
            own, sealed = make(name, self.store.read(rendition_key(rendition.id, name)))
            self.store.put(rendition_key(sealed_rendition(key), own), sealed)
            sealed_bytes += len(sealed)
            if sealed_bytes - told_bytes >= _TOLD_EVERY_BYTES:
                told_bytes = sealed_bytes
                self.keys.progress(key.id, sealed_bytes, until=self.now() + _SILENCE)
        self.keys.finish(key.id, now=self.now())
        log.info("sealed", extra={"size_bytes": sealed_bytes})

    def _put_off(self, key_id: ContentKeyId, rest: timedelta) -> None:
        try:
            self.keys.put_off(key_id, until=self.now() + rest)
        except LatheError as fault:
            # It is due by itself when this worker has been silent for long enough.
            log.warning("sealing not put off: %s", fault.detail, extra={"code": fault.code})


@dataclass(kw_only=True, slots=True)
class SealingSweeper:
    """Sends hints of what waits to be sealed, each again when it has waited for long."""

    keys: ContentKeys
    queue: Queue
    now: Callable[[], datetime]
    _sent: dict[ContentKeyId, datetime] = field(default_factory=dict)

    def sweep(self) -> None:
        """Send what is due."""
        now = self.now()
        self._sent = {key: at for key, at in self._sent.items() if now - at < _REST}
        room = min(_ROUND, self.queue.room(WorkQueue.LIGHT))
        for key_id in self.keys.due(now=now, limit=room):
            if key_id not in self._sent and self.queue.send_sealing(key_id):
                self._sent[key_id] = now
