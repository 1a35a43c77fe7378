"""Albums in order, and the next tracks ready before they are due."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from catalogue.errors import AlbumNotFound, MetadataInvalid, RequestInvalid, TooManyRequests
from tests.audio_tools import FIXTURES
from tests.e2e.servers import Plant, QuickPlant, accepted, deliver, wait_for_job
from tests.e2e.test_problems import require_problem

SIDE_A = {"upc": "0123456789012", "title": "Songs"}
FILES = ["canon-1.flac", "canon-2.flac", "speech.flac", "prelude.flac"]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("albums") / "state") as plant:
        yield plant


@pytest.fixture(scope="module")
def guest(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client(key="") as client:
        yield client


@pytest.fixture(scope="module")
def ids(plant: Plant) -> dict[str, str]:
    """Tracks of an album, delivered in disorder; the last one is on none, one is heard nowhere."""
    places = {"canon-1.flac": (1, 1), "canon-2.flac": (1, 2), "speech.flac": (2, 1)}
    found = {}
    with plant.client() as label:
        for number, file in enumerate(reversed(FILES)):
            said = {}
            if file in places:
                disc, place = places[file]
                said["album"] = SIDE_A | {"disc": disc, "number": place}
            job = deliver(
                label,
                FIXTURES / file,
                isrc=f"ZZTST26{number:05}",
                title=file,
                territories=["FR"] if file == "speech.flac" else ["Worldwide"],
                **said,
            )
            found[file] = str(wait_for_job(label, accepted(job))["track_id"])
    return found


def album_of(guest: httpx.Client, track_id: str) -> str | None:
    listed = guest.get("/v1/tracks").json()["tracks"]
    album: str | None = next(each["album_id"] for each in listed if each["id"] == track_id)
    return album


def test_an_album_has_its_tracks_in_order(guest: httpx.Client, ids: dict[str, str]) -> None:
    album_id = album_of(guest, ids["canon-1.flac"])
    assert album_of(guest, ids["prelude.flac"]) is None
    album = guest.get(f"/v1/albums/{album_id}").json()
    assert (album["title"], album["upc"]) == ("Songs", "0123456789012")
    assert [each["title"] for each in album["tracks"]] == FILES[:3]
    assert [each["playable"] for each in album["tracks"]] == [True, True, False]
    require_problem(guest.get("/v1/albums/alb_none"), AlbumNotFound)


def test_a_manifest_tells_what_follows(guest: httpx.Client, ids: dict[str, str]) -> None:
    told = {
        file: guest.get(f"/v1/tracks/{ids[file]}/manifest").json()["album"]
        for file in (FILES[0], FILES[1], FILES[3])
    }
    album_id = album_of(guest, ids["canon-1.flac"])
    first, second, third = (ids[file] for file in FILES[:3])
    assert told[FILES[0]] == {"id": album_id, "previous": None, "next": second}
    assert told[FILES[1]] == {"id": album_id, "previous": first, "next": third}
    assert told[FILES[3]] is None


def test_the_next_tracks_are_ready(guest: httpx.Client, ids: dict[str, str]) -> None:
    wanted = [ids["canon-2.flac"], ids["speech.flac"], "trk_none", ids["prelude.flac"]]
    answer = guest.post("/v1/prefetch", json={"tracks": wanted}, params={"codecs": "flac"})
    assert answer.status_code == 200
    ready = answer.json()["tracks"]
    assert [each["track_id"] for each in ready] == wanted
    problems = [each["problem"] and each["problem"]["code"] for each in ready]
    assert problems == [None, "territory-not-licensed", "track-not-found", None]
    for each in (ready[0], ready[3]):
        plain = guest.get(each["manifest_url"], params={"codecs": "flac"}).json()
        assert each["manifest"]["renditions"][0]["chunks"] == plain["renditions"][0]["chunks"]
        (first,) = each["first"]
        assert first["tier"] == "flac"
        for url in (first["init"], first["chunk"]):
            assert guest.get(url).status_code == 200
    for bad in ([], ["x"] * 11, "x"):
        require_problem(guest.post("/v1/prefetch", json={"tracks": bad}), RequestInvalid)


def test_each_track_that_is_fetched_ahead_counts(tmp_path: Path) -> None:
    with (
        QuickPlant(tmp_path / "state", LIMITS="stream=7/h") as plant,
        plant.client(key="") as listener,
    ):
        answers = [
            listener.post("/v1/prefetch", json={"tracks": ["trk_none"] * count})
            for count in (4, 2, 3)
        ]
        left = [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers]
        assert left == ['"stream";r=3', '"stream";r=1', '"stream";r=0']
        codes = [each["problem"]["code"] for each in answers[2].json()["tracks"]]
        assert codes == ["track-not-found", "too-many-requests", "too-many-requests"]
        require_problem(listener.get("/v1/tracks/trk_none/manifest"), TooManyRequests)


@pytest.mark.parametrize(
    "album", [{}, SIDE_A, SIDE_A | {"number": 0}, SIDE_A | {"number": 1, "upc": "12"}]
)
def test_an_album_that_makes_no_sense_is_refused(plant: Plant, album: dict[str, str]) -> None:
    with plant.client() as label:
        answer = deliver(label, FIXTURES / "tiny.wav", album=album)
    problem = require_problem(answer, MetadataInvalid)
    assert str(problem["measured"]["pointer"]).startswith("/album/")
