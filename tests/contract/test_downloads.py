"""What downloads and content keys promise: see catalogue.offline."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from catalogue.errors import DeviceRevoked, DownloadNotFound, DownloadsFull
from catalogue.nouns import RenditionId, TrackId
from catalogue.offline import (
    ContentKeyId,
    DeviceId,
    Download,
    DownloadedTrack,
    DownloadId,
    DownloadKind,
    Form,
    Standing,
    StoredContentKey,
    key_of_sealed,
    sealed_rendition,
)
from catalogue.people_port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import ADA, BOB, NOON, make_account
from tests.contract.test_devices import PLENTY, make_device
from tests.contract.test_tracks import publish

LATER = NOON + timedelta(minutes=5)
DEVICE, OTHER = DeviceId("dev_1"), DeviceId("dev_2")
MOST = 10


class Shelf:
    """A catalogue with devices, and published tracks to download."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue, self.downloads = catalogue, catalogue.downloads
        self.keys = catalogue.content_keys
        for account_id in (ADA, BOB):
            account = make_account(account_id)
            catalogue.accounts.add(StoredAccount(account=account, password="$argon2id$secret"))
        for number in (1, 2):
            catalogue.devices.register(make_device(number), PLENTY)
        catalogue.devices.register(make_device(3, BOB), PLENTY)
        self.tracks = [publish(catalogue, number, master=str(number)) for number in (1, 2, 3)]

    def want(self, number: int, *, key: int, device: DeviceId | None = None) -> StoredContentKey:
        """Return a new key for a track's rendition."""
        track = self.catalogue.tracks.get(self.tracks[number])
        (rendition,) = track.renditions
        return StoredContentKey(
            id=ContentKeyId(f"{key:032x}"),
            track_id=track.id,
            rendition_id=rendition.id,
            tier=rendition.tier.name,
            quality=rendition.tier.quality,
            device_id=device,
            kek="k1",
            wrapped=bytes([key]) * 61,
            chunk_count=len(rendition.chunks),
            size_bytes=5000,
        )

    def keep(self, *numbers: int) -> list[StoredContentKey]:
        """Return the keys of some tracks, made if need be."""
        wanted = [self.want(number, key=number + 1) for number in numbers]
        found = self.keys.keys(wanted, now=NOON)
        return [found[each.track_id, each.rendition_id] for each in wanted]

    def download(
        self, number: int, *tracks: int, device: DeviceId = DEVICE, most: int = MOST
    ) -> Download:
        """Return a download that was added."""
        wanted = Download(
            id=DownloadId(f"dwn_{number}"),
            account_id=ADA,
            device_id=device,
            kind=DownloadKind.PLAYLIST,
            subject="",
            title="Songs",
            created_at=NOON,
            tracks=tuple(
                DownloadedTrack(
                    download_id=DownloadId(f"dwn_{number}"),
                    track_id=key.track_id,
                    key=key,
                    sealed_bytes=0,
                    sealed=False,
                )
                for key in self.keep(*tracks)
            ),
        )
        return self.downloads.add(wanted, most=most, now=NOON)

    def generation(self, device: DeviceId = DEVICE) -> int:
        return self.catalogue.devices.get(ADA, device).generation


@pytest.fixture
def shelf(catalogue: Catalogue) -> Shelf:
    return Shelf(catalogue)


def test_one_key_seals_a_rendition_for_every_device(shelf: Shelf) -> None:
    first, second = shelf.want(0, key=1), shelf.want(0, key=2)
    place = first.track_id, first.rendition_id
    assert shelf.keys.keys([first], now=NOON) == {place: first}
    assert shelf.keys.keys([second], now=NOON) == {place: first}
    own = shelf.want(0, key=3, device=DEVICE)
    assert shelf.keys.keys([own], now=NOON) == {place: own}
    assert shelf.keys.due(now=NOON, limit=9) == [first.id, own.id]


def test_of_many_who_make_a_key_at_once_one_does(shelf: Shelf) -> None:
    def ask(number: int) -> StoredContentKey:
        (key,) = shelf.keys.keys([shelf.want(0, key=number)], now=NOON).values()
        return key

    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(ask, range(1, 7)))
    assert len({key.id for key in found}) == 1


def test_a_download_is_its_account_s(shelf: Shelf) -> None:
    one, two = shelf.download(1, 0, 1), shelf.download(2, 2, device=OTHER)
    assert [each.track_id for each in one.tracks] == shelf.tracks[:2]
    assert {each.generation for each in one.tracks} == {1}
    assert shelf.downloads.of(ADA) == [one, two]
    assert shelf.downloads.of(ADA, OTHER) == [two]
    assert shelf.downloads.of(BOB) == []
    assert shelf.downloads.kept(DEVICE) == sorted(shelf.keep(0, 1), key=lambda key: key.id)
    assert shelf.downloads.get(ADA, one.id) == one
    for refused in (
        lambda: shelf.downloads.get(BOB, one.id),
        lambda: shelf.downloads.remove(BOB, one.id, now=NOON),
    ):
        with pytest.raises(DownloadNotFound):
            refused()


def test_a_device_holds_so_many_tracks(shelf: Shelf) -> None:
    shelf.download(1, 0, 1, most=3)
    with pytest.raises(DownloadsFull) as caught:
        shelf.download(2, 1, 2, most=3)
    assert caught.value.measured == {"held": 2, "more": 2, "most": 3}
    shelf.download(3, 1, 2, most=3, device=OTHER)
    shelf.downloads.remove(ADA, DownloadId("dwn_1"), now=LATER)
    shelf.download(2, 1, 2, most=3)
    assert len(shelf.downloads.of(ADA, DEVICE)) == 1


def test_what_changed_since_is_told_and_nothing_else(shelf: Shelf) -> None:
    shelf.download(1, 0, 1)
    seen = shelf.generation()
    assert shelf.downloads.changes(DEVICE, since=seen) == []
    shelf.download(2, 2)
    assert [each.download_id for each in shelf.downloads.changes(DEVICE, since=seen)] == ["dwn_2"]
    seen = shelf.generation()
    shelf.downloads.remove(ADA, DownloadId("dwn_1"), now=LATER)
    gone = shelf.downloads.changes(DEVICE, since=seen)
    assert [(each.track_id, each.standing) for each in gone] == [
        (track_id, Standing.REMOVED) for track_id in shelf.tracks[:2]
    ]
    assert len(shelf.downloads.changes(DEVICE, since=1)) == 3
    assert len(shelf.downloads.changes(DEVICE, since=0)) == 1, "what was removed is told no more"
    assert shelf.downloads.kept(DEVICE) == shelf.keep(2)
    assert shelf.downloads.changes(OTHER, since=0) == []


def test_what_is_taken_away_is_told_once_and_can_come_back(shelf: Shelf) -> None:
    first, second = (each.key.id for each in shelf.download(1, 0, 1).tracks)
    seen = shelf.generation()
    judged = {first: "track-taken-down", second: None}
    grown = shelf.downloads.judge(DEVICE, judged)
    assert grown == shelf.generation() == seen + 1
    assert shelf.downloads.judge(DEVICE, judged) == grown
    (gone,) = shelf.downloads.changes(DEVICE, since=seen)
    assert (gone.key.id, gone.standing, gone.code) == (
        first,
        Standing.REVOKED,
        "track-taken-down",
    )
    assert shelf.downloads.count(DEVICE) == 2, "it may come back"
    shelf.downloads.judge(DEVICE, {first: None, second: None})
    (back,) = shelf.downloads.changes(DEVICE, since=grown)
    assert (back.key.id, back.standing, back.code) == (first, Standing.ACTIVE, None)
    shelf.downloads.remove(ADA, DownloadId("dwn_1"), now=LATER)
    seen = shelf.generation()
    shelf.downloads.judge(DEVICE, {first: "track-taken-down"})
    assert shelf.generation() == seen, "what was removed is no matter any more"


def test_it_is_known_until_when_a_device_was_licensed(shelf: Shelf) -> None:
    download = shelf.download(1, 0, 1)
    first, second = (each.key.id for each in download.tracks)
    assert {each.licensed_until for each in download.tracks} == {None}
    shelf.downloads.judge(DEVICE, {}, ends={first: LATER, second: LATER})
    shelf.downloads.judge(DEVICE, {}, ends={second: NOON})
    shelf.downloads.judge(OTHER, {}, ends={first: NOON})
    found = shelf.downloads.get(ADA, download.id).tracks
    assert [each.licensed_until for each in found] == [LATER, NOON]


def test_a_removed_device_holds_nothing(shelf: Shelf) -> None:
    shelf.download(1, 0)
    shelf.catalogue.devices.revoke(ADA, DEVICE, now=LATER)
    assert shelf.downloads.of(ADA) == []
    with pytest.raises(DeviceRevoked):
        shelf.download(2, 0)
    with pytest.raises(DeviceRevoked):
        shelf.downloads.judge(DEVICE, {})


def test_a_removed_device_s_own_keys_go_with_it(shelf: Shelf) -> None:
    own = shelf.want(0, key=9, device=DEVICE)
    shelf.keys.keys([own], now=NOON)
    (shared,) = shelf.keep(0)
    for key in (own, shared):
        shelf.keys.finish(key.id, now=LATER)
    shelf.catalogue.devices.revoke(ADA, DEVICE, now=LATER)
    assert shelf.keys.sealed(own.id) is None
    assert shelf.keys.sealed(shared.id) == shared


# --------------------------------------------------------------------------- sealing


def test_what_is_to_be_sealed_is_one_s_at_a_time(shelf: Shelf) -> None:
    (key,) = shelf.keep(0)
    until = NOON + timedelta(minutes=1)
    assert shelf.keys.claim(key.id, now=NOON, until=until) == key
    assert shelf.keys.claim(key.id, now=NOON, until=until) is None
    assert shelf.keys.due(now=NOON, limit=9) == []
    assert shelf.keys.due(now=until, limit=9) == [key.id]
    shelf.keys.progress(key.id, 1200, until=LATER)
    assert shelf.keys.claim(key.id, now=until, until=LATER) is None
    download = shelf.download(1, 0)
    assert [(each.sealed_bytes, each.sealed) for each in download.tracks] == [(1200, False)]
    assert shelf.keys.claim(key.id, now=LATER, until=LATER) is not None
    shelf.keys.put_off(key.id, until=LATER + timedelta(hours=1))
    assert shelf.keys.due(now=LATER, limit=9) == []


def test_what_is_sealed_waits_no_more(shelf: Shelf) -> None:
    (key,) = shelf.keep(0)
    download = shelf.download(1, 0)
    assert shelf.keys.sealed(key.id) is None
    for _ in range(2):
        shelf.keys.finish(key.id, now=LATER)
    assert shelf.keys.sealed(key.id) == key
    (track,) = shelf.downloads.get(ADA, download.id).tracks
    assert (track.sealed, track.sealed_bytes) == (True, key.size_bytes)
    assert shelf.keys.due(now=LATER + timedelta(days=9), limit=9) == []
    # One that thought it was still at it.
    shelf.keys.progress(key.id, 12, until=LATER)
    shelf.keys.put_off(key.id, until=LATER)
    assert shelf.keys.due(now=LATER + timedelta(days=9), limit=9) == []


def test_keys_are_wrapped_anew_in_pages(shelf: Shelf) -> None:
    keys = shelf.keep(0, 1, 2)
    first = shelf.keys.wrapped_otherwise("k2", after="", limit=2)
    assert first == keys[:2]
    shelf.keys.rewrap([key._replace(kek="k2", wrapped=b"anew") for key in first])
    assert shelf.keys.wrapped_otherwise("k2", after="", limit=9) == keys[2:]
    assert shelf.keys.wrapped_otherwise("k2", after=keys[2].id, limit=9) == []
    shelf.keys.finish(keys[0].id, now=LATER)
    found = shelf.keys.sealed(keys[0].id)
    assert found is not None
    assert (found.kek, found.wrapped) == ("k2", b"anew")


def test_a_key_that_is_not_there_is_none(shelf: Shelf) -> None:
    nothing = ContentKeyId("0" * 32)
    assert shelf.keys.sealed(nothing) is None
    assert shelf.keys.claim(nothing, now=NOON, until=LATER) is None


def test_sealed_objects_are_no_orphans(shelf: Shelf) -> None:
    (key,) = shelf.keep(0)
    holds = shelf.catalogue.holds
    assert not holds.is_orphan(f"renditions/{sealed_rendition(key)}", now=NOON)
    assert holds.is_orphan(f"renditions/sealed-{'0' * 32}", now=NOON)


@pytest.mark.parametrize("device", [None, DEVICE])
def test_each_form_has_a_key_of_its_own(shelf: Shelf, device: DeviceId | None) -> None:
    wanted = [
        shelf.want(0, key=n, device=device)._replace(form=form) for n, form in enumerate(Form, 1)
    ]
    found = [shelf.keys.keys([each], now=NOON)[each.track_id, each.rendition_id] for each in wanted]
    assert found == wanted
    assert [shelf.keys.claim(each.id, now=NOON, until=LATER) for each in wanted] == wanted
    again = [each._replace(id=ContentKeyId("f" * 32)) for each in wanted]
    for known, each in zip(found, again, strict=True):
        assert shelf.keys.keys([each], now=NOON) == {(known.track_id, known.rendition_id): known}
    # What is a device's own goes with it, in every form.
    shelf.catalogue.devices.revoke(ADA, DEVICE, now=NOON)
    left = [shelf.keys.claim(each.id, now=LATER, until=LATER) for each in wanted]
    assert left == (wanted if device is None else [None, None])


def test_keys_that_are_shared_are_found_by_track(shelf: Shelf) -> None:
    keys = [
        shelf.want(0, key=1)._replace(form=Form.CENC),
        shelf.want(1, key=2)._replace(form=Form.CENC),
        shelf.want(0, key=3, device=DEVICE)._replace(form=Form.CENC),
        shelf.want(0, key=4),
    ]
    for key in keys:
        shelf.keys.keys([key], now=NOON)
    wanted = sorted([shelf.tracks[0], shelf.tracks[1]])
    found = shelf.keys.shared([*wanted, TrackId("trk_none")], Form.CENC)
    assert sorted(found, key=lambda key: key.id) == keys[:2]
    assert [key.track_id for key in found] == wanted
    assert shelf.keys.shared([shelf.tracks[0]], Form.SEALED) == [keys[3]]
    assert shelf.keys.shared([], Form.CENC) == []


def test_some_of_what_is_kept_is_read_alone(shelf: Shelf) -> None:
    one, two = shelf.keep(0, 1)
    shelf.download(1, 0, 1)
    assert shelf.downloads.kept(DEVICE) == [one, two]
    assert shelf.downloads.kept(DEVICE, only=[two.id, ContentKeyId("0" * 32)]) == [two]
    assert shelf.downloads.kept(DEVICE, only=[]) == []


@pytest.mark.parametrize("form", Form)
def test_sealed_objects_have_names_of_their_own(shelf: Shelf, form: Form) -> None:
    key = shelf.want(0, key=7)._replace(form=form)
    assert key_of_sealed(sealed_rendition(key)) == key.id
    assert sealed_rendition(key).startswith(f"{form}-")
    assert key_of_sealed(RenditionId("aac-256-00")) is None
