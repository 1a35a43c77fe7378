"""What may be kept on a device is judged for many tracks at once, and refused for each by name."""

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from catalogue.licensing import Listener
from catalogue.nouns import AccountId, Quality, RenditionId, Track, TrackId
from catalogue.offline import ContentKeyId, StoredContentKey
from catalogue.people import Role
from origin.licences import judge_keys
from tests.contract.examples import NOON, make_track

ADA = Listener(role=Role.PREMIUM, account_id=AccountId("acc_ada"), territory="US")


class Shelf:
    """Tracks of which the first stands for all that may be used alike."""

    def __init__(self, *tracks: Track) -> None:
        self.tracks = {track.id: track for track in tracks}
        self.named: list[TrackId] = []

    def alike(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """See Tracks.alike."""
        kinds: dict[Any, Track] = {}
        return {
            each: kinds.setdefault(self.tracks[each].metadata.rights, self.tracks[each])
            for each in track_ids
        }

    def listed(self, track_ids: Collection[TrackId]) -> dict[TrackId, Track]:
        """See Tracks.listed."""
        self.named += track_ids
        return {each: self.tracks[each] for each in track_ids}


def key(track: Track, quality: Quality = Quality.LOSSLESS) -> StoredContentKey:
    return StoredContentKey(
        id=ContentKeyId(f"key-{track.id}-{quality}"),
        track_id=track.id,
        rendition_id=RenditionId("flac-1"),
        tier="flac",
        quality=quality,
        device_id=None,
        kek="k",
        wrapped=b"",
        chunk_count=1,
        size_bytes=1,
    )


def named(name: str, *territories: str) -> Track:
    return replace(make_track(*territories), id=TrackId(name), renditions=())


def test_each_refusal_names_its_own_track() -> None:
    here = [named(f"trk_h{number}", "US") for number in range(3)]
    away = [named(f"trk_a{number}", "FR") for number in range(3)]
    shelf = Shelf(*here, *away)
    parts: Any = SimpleNamespace(tracks=shelf, now=lambda: NOON)
    keys = [key(track) for track in (*here, *away)]
    found = judge_keys(parts, keys, ADA)
    assert [found[each.id].fault is None for each in keys] == [True] * 3 + [False] * 3
    told = [found[each.id].fault for each in keys[3:]]
    assert [fault and fault.measured["track"] for fault in told] == [each.id for each in away]
    assert shelf.named == [each.id for each in away[1:]], "only what is refused is looked at again"


def test_one_track_in_two_qualities_is_judged_in_both() -> None:
    track = named("trk_1", "US")
    keys = [key(track, Quality.HIGH), key(track, Quality.HIRES)]
    parts: Any = SimpleNamespace(tracks=Shelf(track), now=lambda: NOON)
    low = replace(ADA, plan_quality=Quality.LOSSLESS)
    found = judge_keys(parts, keys, low)
    assert [found[each.id].fault is None for each in keys] == [True, False]
