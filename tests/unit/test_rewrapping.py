"""Content keys are wrapped anew: all of them, page by page, however often that breaks off."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from catalogue.errors import CatalogueUnavailable, ContentKeyLost
from catalogue.nouns import Quality, RenditionId, TrackId
from catalogue.offline import ContentKeyId, StoredContentKey
from lathe.rewrapping import rewrap_all
from protection.content_keys import ContentKey, KeyWrapper, WrappedKey
from protection.keyring import KeyRing

OLD = KeyRing(first_kid="old", keys={"old": b"\1" * 32})
BOTH = KeyRing(first_kid="new", keys={"new": b"\2" * 32, "old": b"\1" * 32})
NEW = KeyRing(first_kid="new", keys={"new": b"\2" * 32})
COUNT = 1700


class Keys:
    """Content keys that the old key wraps; ``fails`` is how many pages go well at first."""

    def __init__(self, fails: int | None = None) -> None:
        wrapper = KeyWrapper(OLD)
        self.rows = {key.id: key for key in map(_store, map(wrapper.wrap, SECRETS))}
        self.fails, self.largest = fails, 0

    def wrapped_otherwise(self, kek: str, *, after: str, limit: int) -> list[StoredContentKey]:
        left = (key for name, key in sorted(self.rows.items()) if key.kek != kek and name > after)
        return [key for key, _ in zip(left, range(limit), strict=False)]

    def rewrap(self, keys: Sequence[StoredContentKey]) -> None:
        if self.fails is not None:
            self.fails -= 1
            if self.fails < 0:
                raise CatalogueUnavailable("It is away.")
        self.largest = max(self.largest, len(keys))
        self.rows |= {key.id: key for key in keys}

    def secrets(self, ring: KeyRing) -> list[ContentKey]:
        wrapper = KeyWrapper(ring)
        return [wrapper.unwrap(key) for key in self.rows.values()]


SECRETS = [ContentKey(f"{number:032x}", number.to_bytes(32)) for number in range(COUNT)]


def _store(wrapped: WrappedKey) -> StoredContentKey:
    return StoredContentKey(
        id=ContentKeyId(wrapped.id),
        track_id=TrackId("trk"),
        rendition_id=RenditionId("aac-256-00"),
        tier="aac-256",
        quality=Quality.HIGH,
        device_id=None,
        kek=wrapped.kek,
        wrapped=wrapped.wrapped,
        chunk_count=1,
        size_bytes=1,
    )


def rewrap(keys: Keys, ring: KeyRing) -> int:
    return rewrap_all(cast(Any, keys), KeyWrapper(ring))


def test_all_keys_open_with_the_new_one_alone_and_are_the_same() -> None:
    keys = Keys()
    assert rewrap(keys, BOTH) == COUNT
    assert keys.secrets(NEW) == SECRETS
    assert keys.largest == 500
    assert rewrap(keys, BOTH) == 0


def test_what_breaks_off_is_gone_on_with() -> None:
    keys = Keys(fails=2)
    with pytest.raises(CatalogueUnavailable):
        rewrap(keys, BOTH)
    assert keys.secrets(BOTH) == SECRETS
    keys.fails = None
    assert rewrap(keys, BOTH) == COUNT - 1000
    assert keys.secrets(NEW) == SECRETS


def test_a_ring_that_lacks_a_key_changes_nothing() -> None:
    keys = Keys()
    before = dict(keys.rows)
    with pytest.raises(ContentKeyLost):
        rewrap(keys, NEW)
    assert keys.rows == before
