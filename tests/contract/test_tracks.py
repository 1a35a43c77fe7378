"""What a catalogue of tracks promises: see catalogue.port.Tracks."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from catalogue.errors import JobNotFound, TrackNotFound, Unavailable
from catalogue.nouns import (
    AlbumSaid,
    DeliveryId,
    JobId,
    JobState,
    Rendition,
    RenditionId,
    Right,
    Track,
    TrackId,
)
from catalogue.port import Brief, Card, card_of
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    ALAC,
    FEATURES,
    NOON,
    OGG,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

LATER = NOON + timedelta(hours=1)
EPOCH = NOON - timedelta(days=9999)


def publish(
    catalogue: Catalogue, number: int, *, title: str = "Ode", master: str = "master"
) -> TrackId:
    """Deliver and publish a track of its own, and return its id."""
    job_id = JobId(f"job_{number}")
    metadata = make_metadata(isrc=f"ZZTST26{number:05d}", title=title)
    pressing = make_pressing(AAC, master=master)
    delivery = make_delivery(number, master_sha256=pressing.master.sha256)
    job = catalogue.tracks.accept(delivery, metadata, job_id)
    catalogue.jobs.claim(job_id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    ids = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job_id, "c", current=ids, pressing=pressing, now=NOON)
    return job.track_id


def test_what_is_heard_is_that_of_the_current_master(catalogue: Catalogue) -> None:
    track_id = publish(catalogue, 1)
    assert catalogue.tracks.features(track_id) == FEATURES
    catalogue.tracks.accept(make_delivery(2), make_metadata(isrc="ZZTST2600002"), JobId("job_2"))
    assert catalogue.tracks.features(catalogue.jobs.get(JobId("job_2")).track_id) is None
    with pytest.raises(TrackNotFound):
        catalogue.tracks.features(TrackId("trk_none"))


def test_what_is_heard_anew_takes_the_place_of_what_was(catalogue: Catalogue) -> None:
    track_id = publish(catalogue, 1)
    job_id, pressing = JobId("job_2"), make_pressing(ALAC)
    newer = replace(pressing.features, recipe="features-2", tempo_bpm=None, key=None, mode=None)
    catalogue.tracks.accept(make_delivery(2), make_metadata(isrc="ZZTST2600001"), job_id)
    catalogue.jobs.claim(job_id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    ids = [rendition.id for rendition in pressing.renditions]
    anew = replace(pressing, features=newer)
    catalogue.jobs.publish(job_id, "c", current=ids, pressing=anew, now=LATER)
    assert catalogue.tracks.features(track_id) == newer


def test_an_accepted_delivery_is_a_queued_job(catalogue: Catalogue) -> None:
    delivery = make_delivery()
    job = catalogue.tracks.accept(delivery, make_metadata(), JobId("job_1"))
    assert (job.id, job.delivery_id, job.track_id) == ("job_1", delivery.id, delivery.track_id)
    assert (job.state, job.attempts, job.percent) == (JobState.QUEUED, 0, 0)
    assert (job.claim, job.heartbeat_at, job.reason, job.finished_at) == (None,) * 4
    assert job.due_at == job.created_at == job.updated_at == NOON
    assert catalogue.jobs.get(job.id) == job
    assert catalogue.jobs.delivery(job.id) == delivery


def test_an_accepted_track_has_its_metadata_and_no_renditions(catalogue: Catalogue) -> None:
    delivery = make_delivery()
    catalogue.tracks.accept(delivery, make_metadata("CA", "US"), JobId("job_1"))
    track = catalogue.tracks.get(delivery.track_id)
    assert track.metadata == make_metadata("CA", "US")
    assert (track.label, track.renditions, track.updated_at) == ("the-label", (), NOON)


def test_an_isrc_delivered_again_keeps_its_track(catalogue: Catalogue) -> None:
    first = catalogue.tracks.accept(make_delivery(1), make_metadata("US"), JobId("job_1"))
    again = make_delivery(2, created_at=LATER)
    new = make_metadata("CA", "GB", title="Ode to Joy")
    second = catalogue.tracks.accept(again, new, JobId("job_2"))
    assert second.track_id == first.track_id
    assert second.id != first.id
    assert catalogue.jobs.delivery(second.id).track_id == first.track_id
    track = catalogue.tracks.get(first.track_id)
    assert track.metadata.title == "Ode to Joy"
    assert track.metadata.rights == (Right(territory="CA"), Right(territory="GB"))
    assert track.updated_at == LATER
    with pytest.raises(TrackNotFound):
        catalogue.tracks.get(again.track_id)


def test_a_track_delivered_again_stays_published(catalogue: Catalogue) -> None:
    track_id = publish(catalogue, 1)
    before = catalogue.tracks.get(track_id).renditions
    metadata = make_metadata(isrc="ZZTST2600001", title="Again")
    catalogue.tracks.accept(make_delivery(2), metadata, JobId("job_2"))
    assert catalogue.tracks.get(track_id).renditions == before


def test_an_isrc_names_a_track_of_its_label_only(catalogue: Catalogue) -> None:
    catalogue.tracks.accept(make_delivery(1), make_metadata(), JobId("job_1"))
    other = make_delivery(2, label="another")
    job = catalogue.tracks.accept(other, make_metadata(title="Other"), JobId("job_2"))
    assert job.track_id == other.track_id
    assert catalogue.tracks.get(make_delivery(1).track_id).metadata.title == "Ode"


def test_threads_that_deliver_one_isrc_share_a_track(catalogue: Catalogue) -> None:
    barrier = threading.Barrier(6)

    def accept(number: int) -> TrackId:
        barrier.wait()
        job_id = JobId(f"job_{number}")
        return catalogue.tracks.accept(make_delivery(number), make_metadata(), job_id).track_id

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(accept, range(6)))) == 1


def test_a_refused_delivery_leaves_nothing(catalogue: Catalogue) -> None:
    catalogue.tracks.accept(make_delivery(1), make_metadata(), JobId("job_1"))
    clash = make_delivery(2, id=DeliveryId(make_delivery(1).id))
    metadata = make_metadata(isrc="ZZTST2600002")
    with pytest.raises(Exception, match=r"(?i)unique"):
        catalogue.tracks.accept(clash, metadata, JobId("job_2"))
    with pytest.raises(TrackNotFound):
        catalogue.tracks.get(clash.track_id)
    with pytest.raises(JobNotFound):
        catalogue.jobs.get(JobId("job_2"))


def test_pages_hold_every_published_track_once_in_order(catalogue: Catalogue) -> None:
    published = [publish(catalogue, number) for number in (5, 1, 4, 2, 3)]
    unpublished = make_metadata(isrc="ZZTST2699999")
    catalogue.tracks.accept(make_delivery(9), unpublished, JobId("job_9"))
    seen: list[TrackId] = []
    while page := catalogue.tracks.page(after=seen[-1] if seen else "", limit=2):
        assert len(page) <= 2
        assert all(track.renditions == () for track in page)
        seen += [track.id for track in page]
    assert seen == sorted(published)


def test_renditions_keep_the_order_of_publishing(catalogue: Catalogue) -> None:
    job = catalogue.tracks.accept(make_delivery(), make_metadata(), JobId("job_1"))
    catalogue.jobs.claim(job.id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    pressing = make_pressing(OGG, AAC, ALAC)
    current = [pressing.renditions[place].id for place in (2, 0, 1)]
    catalogue.jobs.publish(job.id, "c", current=current, pressing=pressing, now=NOON)
    assert [each.id for each in catalogue.tracks.get(job.track_id).renditions] == current


def test_a_published_rendition_is_found_as_it_was_declared(catalogue: Catalogue) -> None:
    publish(catalogue, 1)
    declared = make_pressing(AAC).renditions[0]
    assert catalogue.tracks.rendition(declared.id) == declared
    assert catalogue.tracks.rendition(RenditionId("aac-256-none")) is None


@pytest.mark.parametrize("track_id", ["", "trk_none", "x" * 5000, "' OR 1=1 --"])
def test_an_unknown_track_is_not_found(catalogue: Catalogue, track_id: str) -> None:
    publish(catalogue, 1)
    with pytest.raises(TrackNotFound):
        catalogue.tracks.get(TrackId(track_id))


@pytest.mark.parametrize("method", ["accept", "get", "page", "rendition"])
def test_tracks_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    tracks = away_catalogue.tracks
    calls: dict[str, Callable[[], object]] = {
        "accept": lambda: tracks.accept(make_delivery(), make_metadata(), JobId("job_1")),
        "get": lambda: tracks.get(TrackId("trk_1")),
        "page": lambda: tracks.page(after="", limit=1),
        "rendition": lambda: tracks.rendition(RenditionId("aac-256-none")),
    }
    with pytest.raises(Unavailable):
        calls[method]()


def test_what_was_heard_is_told_in_order(catalogue: Catalogue) -> None:
    for number in (1, 2, 3):
        publish(catalogue, number, master=f"m{number}")
    whole = catalogue.tracks.heard_since("features-1", since=EPOCH, after="", limit=9)
    assert [each.master_sha256 for each in whole] == sorted(sha256_of(f"m{n}") for n in (1, 2, 3))
    first = whole[0]
    assert (first.tempo_bpm, first.energy) == (FEATURES.tempo_bpm, FEATURES.energy)
    assert (first.valence, first.danceability) == (FEATURES.valence, FEATURES.danceability)
    assert (first.vector, first.heard_at) == (FEATURES.vector, NOON)
    rest = catalogue.tracks.heard_since(
        "features-1", since=NOON, after=first.master_sha256, limit=1
    )
    assert rest == whole[1:2]
    assert catalogue.tracks.heard_since("features-1", since=LATER, after="", limit=9) == []
    assert catalogue.tracks.heard_since("features-9", since=EPOCH, after="", limit=9) == []
    assert catalogue.tracks.compared([whole[2].master_sha256]) == [whole[2]]
    assert catalogue.tracks.compared([]) == []


def test_tracks_are_found_by_the_master_they_are_heard_from(catalogue: Catalogue) -> None:
    one, two = publish(catalogue, 1, master="m1"), publish(catalogue, 2, master="m2")
    assert catalogue.tracks.master_of(one) == sha256_of("m1")
    assert catalogue.tracks.master_of(TrackId("trk_none")) is None
    found = catalogue.tracks.heard_from([sha256_of("m1"), sha256_of("m2"), sha256_of("m3")])
    assert {master: track.id for master, track in found} == {
        sha256_of("m1"): one,
        sha256_of("m2"): two,
    }
    assert all(track.metadata.rights and not track.renditions for _, track in found)
    assert catalogue.tracks.heard_from([]) == []


# --------------------------------------------------------------------------- briefly


def render(rendition: Rendition) -> str:
    return f"{rendition.id}: {len(rendition.chunks)} chunks, {rendition.size_bytes} bytes ♪"


def unreachable(_: Rendition) -> str:
    raise AssertionError("it was rendered before")


def test_briefs_are_tracks_without_chunks(catalogue: Catalogue) -> None:
    ids = []
    for number in range(1, 5):
        said = AlbumSaid(upc="0123456789012", title="Songs", disc=1, number=5 - number)
        album = None if number == 4 else said
        ids.append(publish_on(catalogue, number, album))
    catalogue.tracks.accept(make_delivery(9), make_metadata(isrc="ZZTST2600099"), JobId("job_9"))
    unpublished, nobody = make_delivery(9).track_id, TrackId("trk_none")
    asked = [*ids, unpublished, nobody]
    first = catalogue.tracks.briefs(asked, version=1, render=render)
    assert set(first) == {*ids, unpublished}
    assert catalogue.tracks.briefs(asked, version=1, render=unreachable) == first
    for track_id in [*ids, unpublished]:
        assert first[track_id] == brief_of(catalogue, track_id)
    assert catalogue.tracks.briefs([], version=1, render=render) == {}


def brief_of(catalogue: Catalogue, track_id: TrackId) -> Brief:
    """Return a track briefly, as the rows tell it."""
    track = catalogue.tracks.get(track_id)
    shorn = tuple(replace(each, chunks=()) for each in track.renditions)
    before, after = catalogue.tracks.neighbours(track)
    return Brief(track=replace(track, renditions=shorn), before=before, after=after)


def test_faces_are_kept_by_version(catalogue: Catalogue) -> None:
    published = catalogue.tracks.get(publish_on(catalogue, 1, None)).renditions
    ids = [each.id for each in published]
    asked = [*ids, RenditionId("aac-none")]
    first = catalogue.tracks.faces(asked, version=1, render=render)
    assert first == {each.id: render(each) for each in published}
    assert catalogue.tracks.faces(ids, version=1, render=unreachable) == first
    other = catalogue.tracks.faces(ids, version=2, render=lambda each: each.tier.name)
    assert other == {each.id: each.tier.name for each in published}
    assert catalogue.tracks.faces(ids, version=1, render=unreachable) == first
    assert catalogue.tracks.faces([], version=1, render=unreachable) == {}


def test_whatever_changes_is_seen_briefly_too(catalogue: Catalogue) -> None:
    on = {
        number: AlbumSaid(upc="0123456789012", title="Songs", disc=1, number=number)
        for number in range(9)
    }
    one, two = publish_on(catalogue, 1, on[1]), publish_on(catalogue, 2, on[2])
    alone = publish_on(catalogue, 4, None)
    ids = [one, two, alone]

    def check() -> None:
        found = catalogue.tracks.briefs(ids, version=1, render=render)
        listed = catalogue.tracks.listed(ids)
        for track_id in ids:
            assert found[track_id] == brief_of(catalogue, track_id)
            assert listed[track_id] == replace(found[track_id].track, renditions=())
        assert catalogue.tracks.briefs(ids, version=1, render=unreachable) == found
        cards = asyncio.run(catalogue.cards.tracks(ids))
        assert cards.keys() == set(ids)
        for track_id, card in cards.items():
            require_card_of(card, found[track_id])

    check()
    catalogue.tracks.take_down(one, since=LATER, now=NOON)
    check()
    assert catalogue.tracks.listed([one])[one].taken_down_at == LATER
    catalogue.tracks.take_down(one, since=None, now=NOON)
    check()
    ids.append(publish_on(catalogue, 3, on[3]))
    check()
    # Moved to another album, before all others, and out of every album.
    for number, album in ((5, replace(on[1], upc="0123456789029")), (6, on[0]), (7, None)):
        metadata = replace(make_metadata("JP", isrc="ZZTST2600002"), album=album)
        catalogue.tracks.accept(make_delivery(number), metadata, JobId(f"job_{number}"))
        check()
        assert catalogue.tracks.listed([two])[two].metadata.rights == metadata.rights
    pressing = make_pressing(AAC, ALAC, master="other")
    delivery = make_delivery(8, master_sha256=pressing.master.sha256)
    metadata = replace(make_metadata(isrc="ZZTST2600004"), album=on[8])
    catalogue.tracks.accept(delivery, metadata, JobId("job_8"))
    check()
    catalogue.jobs.claim(
        JobId("job_8"), "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3
    )
    current = [each.id for each in pressing.renditions]
    catalogue.jobs.publish(JobId("job_8"), "c", current=current, pressing=pressing, now=LATER)
    check()


def require_card_of(card: Card, brief: Brief) -> None:
    """Make sure that a card tells what there is of a track; its kind may be that of another."""
    own = card_of(brief)
    assert card == own._replace(kind=card.kind)
    kind, track = card.kind, brief.track
    assert kind.rungs == own.kind.rungs == tuple(each.rung for each in track.renditions)
    assert (kind.track.label, kind.track.owner) == (track.label, track.owner)
    assert kind.track.taken_down_at == track.taken_down_at
    assert kind.track.metadata.rights == track.metadata.rights


def test_cards_are_told_where_they_are(catalogue: Catalogue) -> None:
    ids = [publish_on(catalogue, number, None) for number in range(1, 4)]
    odd = [TrackId(each) for each in ("trk_none", "", "a b", "{", '"', "\0", "♪", "x,y", "\ud800")]
    assert asyncio.run(catalogue.cards.tracks(ids)) == {}
    catalogue.tracks.take_down(ids[2], since=LATER, now=NOON)
    briefs = catalogue.tracks.briefs(ids, version=1, render=render)

    async def find() -> None:
        cards = await catalogue.cards.tracks([*ids, *odd])
        assert cards.keys() == set(ids)
        for track_id, card in cards.items():
            require_card_of(card, briefs[track_id])
        # What may be heard alike is of one kind, now and later.
        again = await catalogue.cards.tracks(ids[1:])
        assert cards[ids[0]].kind is cards[ids[1]].kind is again[ids[1]].kind
        assert cards[ids[2]].kind is again[ids[2]].kind is not cards[ids[1]].kind
        assert await catalogue.cards.tracks(odd) == await catalogue.cards.tracks([]) == {}

    asyncio.run(find())
    # On another event loop, too.
    asyncio.run(find())


def test_faces_are_told_where_they_are(catalogue: Catalogue) -> None:
    published = catalogue.tracks.get(publish_on(catalogue, 1, None)).renditions
    ids = [each.id for each in published]
    asked = [*ids, RenditionId("aac-none"), RenditionId("♪")]

    async def find(version: int) -> dict[RenditionId, bytes]:
        return await catalogue.cards.faces(asked, version=version)

    assert asyncio.run(find(1)) == {}
    catalogue.tracks.faces(ids[:1], version=1, render=render)
    assert asyncio.run(find(1)) == {ids[0]: render(published[0]).encode()}
    catalogue.tracks.faces(ids, version=1, render=render)
    assert asyncio.run(find(1)) == {each.id: render(each).encode() for each in published}
    assert asyncio.run(find(2)) == {}


def test_cards_are_told_to_many_at_once(catalogue: Catalogue) -> None:
    ids = [publish_on(catalogue, number, None) for number in range(1, 9)]
    catalogue.tracks.briefs(ids, version=1, render=render)

    async def find() -> None:
        asked = [ids[place % 8 :] for place in range(50)]
        found = await asyncio.gather(*map(catalogue.cards.tracks, asked))
        assert [set(each) for each in found] == [set(each) for each in asked]

    asyncio.run(find())


def test_cards_that_are_away_are_not_told(away_catalogue: Catalogue) -> None:
    assert asyncio.run(away_catalogue.cards.tracks([TrackId("trk_1")])) == {}
    assert asyncio.run(away_catalogue.cards.faces([RenditionId("aac-1")], version=1)) == {}


def test_tracks_that_may_be_used_alike_are_told_by_one(catalogue: Catalogue) -> None:
    ids = [publish_on(catalogue, number, None) for number in range(1, 6)]
    other = replace(make_metadata("JP", isrc="ZZTST2600003"))
    catalogue.tracks.accept(make_delivery(9, label="another"), make_metadata(), JobId("job_9"))
    catalogue.tracks.accept(make_delivery(8), other, JobId("job_8"))
    catalogue.tracks.take_down(ids[3], since=LATER, now=NOON)
    every = [*ids, make_delivery(9).track_id]

    def check() -> dict[TrackId, Track]:
        listed, alike = catalogue.tracks.listed(every), catalogue.tracks.alike(every)
        assert list(alike) and alike.keys() == listed.keys() == set(every)
        for track_id, track in alike.items():
            own = listed[track_id]
            assert track == listed[track.id]
            assert (track.label, track.owner) == (own.label, own.owner)
            assert track.taken_down_at == own.taken_down_at
            assert track.metadata.rights == own.metadata.rights
        return alike

    check()
    # Cards make it so that one stands for several.
    catalogue.tracks.briefs(every, version=1, render=render)
    alike = check()
    assert len({track.id for track in alike.values()}) == 4
    assert alike[ids[0]].id == alike[ids[1]].id == alike[ids[4]].id
    assert catalogue.tracks.alike([]) == {} == catalogue.tracks.alike([TrackId("trk_none")])


def test_a_card_made_of_what_changed_meanwhile_is_never_read(catalogue: Catalogue) -> None:
    track_id = publish_on(catalogue, 1, None)

    def change(rendition: Rendition) -> str:
        with ThreadPoolExecutor(1) as other:
            other.submit(catalogue.tracks.take_down, track_id, since=NOON, now=NOON).result()
        return render(rendition)

    catalogue.tracks.briefs([track_id], version=1, render=change)
    found = catalogue.tracks.briefs([track_id], version=1, render=render)[track_id]
    assert found.track.taken_down_at == NOON


def publish_on(catalogue: Catalogue, number: int, album: AlbumSaid | None) -> TrackId:
    """Publish a track at two tiers, on an album if one is named."""
    metadata = replace(make_metadata("US", "FR", isrc=f"ZZTST26{number:05}"), album=album)
    pressing = make_pressing(OGG, AAC, master=f"m{number}")
    delivery = make_delivery(number, master_sha256=pressing.master.sha256)
    job = catalogue.tracks.accept(delivery, metadata, JobId(f"job_{number}")).id
    catalogue.jobs.claim(job, "one", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    current = [each.id for each in pressing.renditions]
    catalogue.jobs.publish(job, "one", current=current, pressing=pressing, now=NOON)
    return delivery.track_id
