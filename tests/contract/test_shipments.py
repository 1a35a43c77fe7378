"""What a catalogue of shipments promises: see catalogue.port.Shipments."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from catalogue.errors import DeliveryNotFound, TrackNotFound, Unavailable
from catalogue.nouns import (
    AlbumDetails,
    AlbumSaid,
    Credit,
    CreditRole,
    DeliveryId,
    JobId,
    Metadata,
    Shipment,
    TrackDetails,
    TrackId,
)
from catalogue.port import Parcel, Shipments
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    NOON,
    WORKER,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)

LABEL = "the-label"
WARNINGS = [("/release/upc", "Its check digit is not right.")]
ALBUM = AlbumSaid(upc="0123456789012", title="Songs", disc=1, number=1)
CREDITS = (
    Credit(name="The Players", role=CreditRole.MAIN),
    Credit(name="J. S. Bach", role=CreditRole.COMPOSER),
)


def isrc(number: int) -> str:
    return f"ZZSHP26{number:05}"


def said(number: int) -> Metadata:
    plain = make_metadata(isrc=isrc(number), title=f"Song {number}")
    return replace(plain, album=replace(ALBUM, number=number))


def parcel(shipment: int, number: int, *, master: bool = True) -> Parcel:
    """Return a track of a shipment, as if its label had not sent it before."""
    track_id = TrackId(f"trk_{shipment:013d}{number:013d}")
    if not master:
        return Parcel(track_id=track_id, metadata=said(number))
    delivery = replace(
        make_delivery(number, track_id=track_id, master_sha256=sha256_of(f"master {number}")),
        id=DeliveryId(f"dlv_{shipment:026d}.{number}"),
    )
    job_id = JobId(f"job_{shipment:013d}{number:013d}")
    return Parcel(track_id=track_id, metadata=said(number), delivery=delivery, job_id=job_id)


def accept(
    catalogue: Catalogue, shipment: int, parcels: Sequence[Parcel], label: str = LABEL
) -> Shipment:
    return catalogue.shipments.accept(
        DeliveryId(f"dlv_{shipment:026d}"), label, parcels, warnings=WARNINGS, now=NOON
    )


def test_a_shipment_is_its_tracks_and_their_jobs(catalogue: Catalogue) -> None:
    parcels = [parcel(1, number) for number in (3, 1, 2)]
    shipment = accept(catalogue, 1, parcels)
    assert (shipment.label, shipment.created_at) == (LABEL, NOON)
    assert shipment.warnings == tuple(WARNINGS)
    assert [track.isrc for track in shipment.tracks] == [isrc(3), isrc(1), isrc(2)]
    for track, sent in zip(shipment.tracks, parcels, strict=True):
        assert (track.track_id, track.title) == (sent.track_id, sent.metadata.title)
        assert track.filename == "ode.flac"
        assert track.job is not None
        assert track.job == catalogue.jobs.get(track.job.id)
        assert track.job.delivery_id.partition(".")[0] == shipment.id
        assert catalogue.tracks.get(track.track_id).metadata.title == sent.metadata.title
    assert catalogue.shipments.get(shipment.id, label=None) == shipment
    assert catalogue.shipments.get(shipment.id, label=LABEL) == shipment
    with pytest.raises(DeliveryNotFound):
        catalogue.shipments.get(shipment.id, label="another")


def test_a_shipment_shows_where_its_jobs_are_now(catalogue: Catalogue) -> None:
    shipment = accept(catalogue, 1, [parcel(1, 1)])
    job = shipment.tracks[0].job
    assert job is not None
    catalogue.jobs.claim(job.id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    [track] = catalogue.shipments.get(shipment.id, label=LABEL).tracks
    assert track.job == catalogue.jobs.get(job.id) != job


def test_what_was_delivered_before_keeps_its_id(catalogue: Catalogue) -> None:
    first = accept(catalogue, 1, [parcel(1, 1), parcel(1, 2)])
    second = accept(catalogue, 2, [parcel(2, 2), parcel(2, 1, master=False)])
    assert [track.track_id for track in second.tracks] == [
        track.track_id for track in reversed(first.tracks)
    ]
    assert second.tracks[1].job is None
    assert second.tracks[1].filename is None
    named = catalogue.tracks.named(LABEL, [isrc(1), isrc(2), isrc(3)])
    assert named == {track.isrc: track.track_id for track in first.tracks}
    assert catalogue.tracks.named("another", [isrc(1)]) == {}


def test_all_of_it_is_taken_or_nothing(catalogue: Catalogue) -> None:
    with pytest.raises(TrackNotFound) as missing:
        accept(catalogue, 1, [parcel(1, 1), parcel(1, 2, master=False)])
    assert missing.value.measured == {"isrc": isrc(2)}
    assert catalogue.tracks.named(LABEL, [isrc(1), isrc(2)]) == {}
    assert catalogue.shipments.page(label=None, after="", limit=9) == []


def test_what_is_said_of_tracks_and_albums_is_kept(catalogue: Catalogue) -> None:
    details = TrackDetails(credits=CREDITS, genres=("Baroque", "Für Orgel"), explicit=False)
    album = AlbumDetails(
        credits=CREDITS[:1], genres=("Classical",), released_on="2026-11-20", imprint="Test"
    )
    told = replace(said(1), details=details, album=replace(ALBUM, details=album))
    shipment = accept(catalogue, 1, [replace(parcel(1, 1), metadata=told)])
    track_id = shipment.tracks[0].track_id
    assert catalogue.tracks.get(track_id).metadata.details == details
    assert catalogue.tracks.listed([track_id])[track_id].metadata.details == details
    # Who says nothing of it takes nothing back.
    accept(catalogue, 2, [parcel(2, 1, master=False)])
    assert catalogue.tracks.get(track_id).metadata.details == details
    briefs = catalogue.tracks.briefs([track_id], version=1, render=lambda _: "")
    assert briefs[track_id].track.metadata.details == details
    job = shipment.tracks[0].job
    assert job is not None
    catalogue.jobs.claim(job.id, "c", worker=WORKER, now=NOON, stale_before=NOON, max_silences=3)
    pressing = make_pressing(AAC, master="master 1")
    current = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job.id, "c", current=current, pressing=pressing, now=NOON)
    album_id = catalogue.tracks.get(track_id).album_id
    assert album_id is not None
    found = catalogue.tracks.album(album_id)
    assert found.details == album
    assert [each.metadata.details for each in found.tracks] == [details]
    assert catalogue.tracks.on_albums(LABEL, [ALBUM.upc, "0"]) == [track_id]
    assert catalogue.tracks.on_albums("another", [ALBUM.upc]) == []


def test_shipments_are_listed_in_pages(catalogue: Catalogue) -> None:
    sent = [accept(catalogue, number, [parcel(number, number)]) for number in (1, 2, 3)]
    other = accept(catalogue, 4, [parcel(4, 4)], label="another")
    page = catalogue.shipments.page
    assert page(label=None, after="", limit=9) == [*sent, other]
    assert page(label=LABEL, after="", limit=2) == sent[:2]
    assert page(label=LABEL, after=sent[1].id, limit=2) == sent[2:]
    assert page(label="nobody", after="", limit=2) == []


def test_shipments_of_the_same_tracks_do_not_wait_for_each_other(catalogue: Catalogue) -> None:
    numbers = range(1, 7)

    def send(shipment: int) -> Shipment:
        order = numbers if shipment % 2 else reversed(numbers)
        return accept(catalogue, shipment, [parcel(shipment, number) for number in order])

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(send, range(1, 17)))
    ids = [{track.isrc: track.track_id for track in shipment.tracks} for shipment in sent]
    assert all(each == ids[0] for each in ids)


METHODS = [name for name in vars(Shipments) if not name.startswith("_")]


@pytest.mark.parametrize("method", METHODS)
def test_shipments_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    shipments = away_catalogue.shipments
    calls: dict[str, Callable[[], object]] = {
        "accept": lambda: accept(away_catalogue, 1, [parcel(1, 1)]),
        "get": lambda: shipments.get(DeliveryId("dlv_1"), label=None),
        "page": lambda: shipments.page(label=None, after="", limit=1),
    }
    with pytest.raises(Unavailable):
        calls[method]()
