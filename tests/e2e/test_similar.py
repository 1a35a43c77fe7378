"""Similar tracks and radios, as a listener asks for them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from catalogue.errors import RequestInvalid, TerritoryNotLicensed, TrackNotFound, TrackNotReady
from tests.audio_tools import FIXTURES
from tests.e2e.servers import Plant, QuickPlant, accepted, deliver, wait_for_job, wait_until
from tests.e2e.test_problems import require_problem

TRACKS = {
    "prelude.flac": "Ada",
    "canon-1.flac": "Ben",
    "canon-2.flac": "Ben",
    "gymnopedie.m4a": "Ben",
    "ode.aiff": "Ben",
    "speech.flac": "Cyd",
    "lossy.mp3": "Dot",
}
ELSEWHERE = "signal-sweep.wav"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("similar") / "state") as plant:
        yield plant


@pytest.fixture(scope="module")
def listener(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client(key="") as client:
        yield client


@pytest.fixture(scope="module")
def ids(plant: Plant) -> dict[str, str]:
    """The ids of published tracks by their files' names."""
    with plant.client() as label:
        jobs = {
            name: accepted(
                deliver(
                    label,
                    FIXTURES / name,
                    isrc=f"ZZTST26{number:05}",
                    artist=artist,
                    territories=["FR"] if name == ELSEWHERE else ["Worldwide"],
                )
            )
            for number, (name, artist) in enumerate([*TRACKS.items(), (ELSEWHERE, "Eve")])
        }
        done = {name: wait_for_job(label, job_id) for name, job_id in jobs.items()}
    assert {job["state"] for job in done.values()} == {"done"}
    return {name: job["track_id"] for name, job in done.items()}


def similar(listener: httpx.Client, track_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = listener.get(f"/v1/tracks/{track_id}/similar", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["tracks"]
    return found


@pytest.mark.parametrize("by", ["scores", "vector"])
def test_similar_tracks_are_near_licensed_and_not_all_of_one_artist(
    listener: httpx.Client, ids: dict[str, str], by: str
) -> None:
    def all_are_there() -> list[dict[str, Any]]:
        found = similar(listener, ids["prelude.flac"], by=by)
        return found if len(found) == 5 else []

    found = wait_until(all_are_there, "what was heard last")
    assert {each["id"] for each in found} < set(ids.values()) - {ids["prelude.flac"]}
    assert ids[ELSEWHERE] not in {each["id"] for each in found}
    assert Counter(each["artist"] for each in found) == {"Ben": 3, "Cyd": 1, "Dot": 1}
    distances = [each["distance"] for each in found]
    assert distances == sorted(distances) and distances[0] > 0
    assert all(each["reason"] for each in found)
    assert similar(listener, ids["prelude.flac"], by=by, limit=2) == found[:2]


def test_two_halves_of_one_piece_are_nearest(listener: httpx.Client, ids: dict[str, str]) -> None:
    nearest = similar(listener, ids["canon-1.flac"], by="vector", limit=1)
    assert [each["id"] for each in nearest] == [ids["canon-2.flac"]]


def test_a_radio_begins_with_its_seed_and_leaves_out_what_was_played(
    listener: httpx.Client, ids: dict[str, str]
) -> None:
    played = [ids["speech.flac"], ids["canon-1.flac"], "trk_none"]
    order = {"seed": ids["prelude.flac"], "recently_played": played}
    answer = listener.post("/v1/radio", json=order)
    assert answer.status_code == 200, answer.text
    found = [each["id"] for each in answer.json()["tracks"]]
    assert found[0] == ids["prelude.flac"]
    assert not {*found} & {*played, ids[ELSEWHERE]}
    assert len(found) == len({*found}) == 5
    assert answer.json()["tracks"][0]["reason"] == "the seed"


def test_what_cannot_be_asked_for_is_refused(listener: httpx.Client, ids: dict[str, str]) -> None:
    require_problem(listener.get("/v1/tracks/trk_none/similar"), TrackNotFound)
    elsewhere = listener.get(f"/v1/tracks/{ids[ELSEWHERE]}/similar")
    require_problem(elsewhere, TerritoryNotLicensed)
    require_problem(listener.post("/v1/radio", json={"seed": ids[ELSEWHERE]}), TerritoryNotLicensed)
    orders: list[Any] = [{}, {"seed": "x", "limit": 0}, {"seed": "x", "by": "taste"}, {"a": 1}, []]
    for order in orders:
        require_problem(listener.post("/v1/radio", json=order), RequestInvalid)
    bad = listener.get(f"/v1/tracks/{ids['ode.aiff']}/similar", params={"limit": 101})
    require_problem(bad, RequestInvalid)


def test_a_track_that_is_not_published_is_not_ready(plant: Plant, listener: httpx.Client) -> None:
    plant.run("jobs", "drain")
    with plant.client() as label:
        job = accepted(deliver(label, FIXTURES / "tiny.wav", isrc="ZZTST2699999"))
        track_id = label.get(f"/v1/jobs/{job}").json()["track_id"]
    require_problem(listener.get(f"/v1/tracks/{track_id}/similar"), TrackNotReady)
    plant.run("jobs", "drain", "--resume")
