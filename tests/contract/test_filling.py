"""What a master says of itself fills what nobody said, and never the other way round."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from catalogue.nouns import (
    AlbumDetails,
    AlbumSaid,
    JobId,
    Metadata,
    Tags,
    Track,
    TrackDetails,
)
from catalogue.people_port import StoredAccount
from tests.contract.conftest import Catalogue
from tests.contract.examples import (
    AAC,
    ADA,
    NOON,
    WORKER,
    make_account,
    make_delivery,
    make_metadata,
    make_pressing,
)

TAGS = Tags(title="As tagged", artist="The Tagged", genre="Polka", date="2025-11-02")
ALBUM = AlbumSaid(upc="0123456789012", title="Songs", disc=1, number=7)


def publish(
    catalogue: Catalogue, number: int, metadata: Metadata, tags: Tags = TAGS, **changes: Any
) -> Track:
    """Return the track of a delivery whose master carries ``tags``, when it is published."""
    job_id = JobId(f"job_{number}")
    delivery = make_delivery(number, created_at=NOON + timedelta(seconds=number), **changes)
    catalogue.tracks.accept(delivery, metadata, job_id)
    later = NOON + timedelta(hours=1)
    claimed = catalogue.jobs.claim(
        job_id, f"clm_{number}", worker=WORKER, now=later, stale_before=NOON, max_silences=3
    )
    assert claimed is not None
    plain = make_pressing(AAC)
    pressing = replace(plain, master=replace(plain.master, tags=tags))
    current = [rendition.id for rendition in pressing.renditions]
    catalogue.jobs.publish(job_id, f"clm_{number}", current=current, pressing=pressing, now=later)
    return catalogue.tracks.get(catalogue.jobs.get(job_id).track_id)


def test_what_a_label_did_not_say_is_filled(catalogue: Catalogue) -> None:
    track = publish(catalogue, 1, replace(make_metadata(), album=ALBUM))
    assert (track.metadata.title, track.metadata.artist) == ("Ode", "The Players")
    assert track.metadata.details == TrackDetails(genres=("Polka",))
    assert track.number == 7 and track.album_id is not None
    album = catalogue.tracks.album(track.album_id)
    assert (album.title, album.details) == ("Songs", AlbumDetails(released_on="2025-11-02"))


def test_what_a_label_said_stays(catalogue: Catalogue) -> None:
    details = TrackDetails(genres=("Choral",), explicit=False)
    said = AlbumDetails(released_on="1999-01-01", genres=("Choral",))
    metadata = replace(make_metadata(), details=details, album=replace(ALBUM, details=said))
    track = publish(catalogue, 1, metadata)
    assert track.metadata.details == details
    assert track.album_id is not None
    assert catalogue.tracks.album(track.album_id).details == said


def test_what_a_label_says_later_goes_before_what_was_filled(catalogue: Catalogue) -> None:
    track = publish(catalogue, 1, make_metadata())
    assert track.metadata.details.genres == ("Polka",)
    said = replace(make_metadata(), details=TrackDetails(genres=("Choral",)))
    again = publish(catalogue, 2, said)
    assert again.id == track.id
    assert again.metadata.details.genres == ("Choral",)


@pytest.mark.parametrize("date", [None, "2025", "2025-11", "20251102", "soon", "2025-13-40"])
def test_a_date_that_is_none_of_a_day_fills_nothing(catalogue: Catalogue, date: str | None) -> None:
    metadata = replace(make_metadata(), album=ALBUM)
    track = publish(catalogue, 1, metadata, replace(TAGS, date=date, genre=None))
    assert track.metadata.details == TrackDetails()
    assert track.album_id is not None
    assert catalogue.tracks.album(track.album_id).details == AlbumDetails()


@pytest.mark.parametrize(
    ("unsaid", "title", "artist"),
    [
        (("title", "artist"), "As tagged", "The Tagged"),
        (("artist",), "Ode", "The Tagged"),
        ((), "Ode", "The Players"),
    ],
)
def test_a_listener_s_file_says_what_it_is_where_nobody_does(
    catalogue: Catalogue, unsaid: tuple[str, ...], title: str, artist: str
) -> None:
    catalogue.accounts.add(StoredAccount(account=make_account(ADA), password="x"))
    metadata = replace(make_metadata(), isrc=None, details=TrackDetails(unsaid=unsaid))
    track = publish(catalogue, 1, metadata, owner=ADA, label=ADA)
    assert (track.metadata.title, track.metadata.artist) == (title, artist)


def test_tags_that_say_nothing_fill_nothing(catalogue: Catalogue) -> None:
    catalogue.accounts.add(StoredAccount(account=make_account(ADA), password="x"))
    details = TrackDetails(unsaid=("title", "artist"))
    metadata = replace(make_metadata(), isrc=None, details=details)
    track = publish(catalogue, 1, metadata, Tags(), owner=ADA, label=ADA)
    assert (track.metadata.title, track.metadata.artist) == ("Ode", "The Players")
    assert track.metadata.details == details
