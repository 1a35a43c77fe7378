"""Whole releases delivered in one call: what is wrong with them, and where they stand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue import errors
from tests.audio.pressings import make_wav
from tests.audio_tools import FIXTURES
from tests.e2e.servers import (
    Listener,
    Plant,
    QuickPlant,
    deliver,
    metadata_of,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_problems import require_problem
from tests.e2e.test_tus import begin, named, send

FILES = ["tiny.wav", "prelude.flac", "ode.aiff"]
WORLD = [{"territories": ["Worldwide"]}]
RELEASE = {
    "upc": "4006381333931",
    "title": "Three Pieces",
    "artists": [{"name": "The Players"}],
    "genres": ["Classical"],
    "released_on": "2026-11-20",
    "imprint": "Test Records",
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("deliveries") / "state") as plant:
        yield plant


@pytest.fixture
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


def upload(client: httpx.Client, file: Path, name: str = "") -> str:
    """Upload a file, under a name if there is one, and return the upload's id."""
    data = file.read_bytes()
    url = begin(client, len(data), **(named(filename=name) if name else {}))
    assert send(client, url, 0, data).status_code == 204
    return url.rpartition("/")[2]


def track(number: int, upload_id: str | None = None, **said: Any) -> dict[str, Any]:
    plain = {
        "isrc": f"ZZDLV26{number:05}",
        "title": f"Piece {number}",
        "artists": [
            {"name": "The Players"},
            {"name": "A Guest", "role": "featured"},
            {"name": "J. S. Bach", "role": "composer"},
        ],
        "number": number,
        "explicit": False,
        "genres": ["Baroque"],
    }
    return plain | ({} if upload_id is None else {"upload": upload_id}) | said


def document(*tracks: dict[str, Any], **said: Any) -> dict[str, Any]:
    return {"release": RELEASE, "tracks": list(tracks), "rights": WORLD, **said}


def post(client: httpx.Client, said: dict[str, Any]) -> httpx.Response:
    return client.post("/v1/deliveries", json=said)


def delivered(client: httpx.Client, said: dict[str, Any]) -> dict[str, Any]:
    """Return how a delivery stands when it has ended."""
    answer = post(client, said)
    assert answer.status_code == 202, answer.text
    url = answer.headers["Location"]
    assert url == f"/v1/deliveries/{answer.json()['id']}"
    return wait_until(
        lambda: (found := get(client, url))["finished_at"] and found, "the end of the delivery"
    )


def get(client: httpx.Client, url: str) -> dict[str, Any]:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_release_is_delivered_in_one_call(label: httpx.Client) -> None:
    uploads = [upload(label, FIXTURES / file) for file in FILES]
    tracks = [track(number, each) for number, each in enumerate(uploads, 1)]
    status = delivered(label, document(*tracks))
    assert (status["state"], status["percent"], status["warnings"]) == ("done", 100, [])
    assert [each["isrc"] for each in status["tracks"]] == [each["isrc"] for each in tracks]
    jobs = [each["job"] for each in status["tracks"]]
    assert [job["state"] for job in jobs] == ["done"] * 3
    assert {job["delivery_id"] for job in jobs} == {status["id"]}
    assert {(job["ahead"], job["ends_at"], job["heartbeat_age_s"]) for job in jobs} == {
        (None, None, None)
    }
    album = find_album(label, status["tracks"][0]["track_id"])
    assert album["upc"] == RELEASE["upc"]
    assert (album["released_on"], album["imprint"]) == ("2026-11-20", "Test Records")
    assert (album["genres"], album["credits"]) == (
        ["Classical"],
        [{"name": "The Players", "role": "main"}],
    )
    assert [each["id"] for each in album["tracks"]] == [t["track_id"] for t in status["tracks"]]
    shown = album["tracks"][0]
    assert shown["artist"] == "The Players feat. A Guest"
    assert (shown["explicit"], shown["genres"]) == (False, ["Baroque"])
    assert shown["credits"][2] == {"name": "J. S. Bach", "role": "composer"}
    for each in uploads:
        assert get(label, f"/v1/uploads/{each}")["complete"] is True


def find_album(client: httpx.Client, track_id: str) -> dict[str, Any]:
    listed = get(client, "/v1/tracks?limit=200")["tracks"]
    [found] = [each for each in listed if each["id"] == track_id]
    return get(client, f"/v1/albums/{found['album_id']}")


def test_an_upload_may_be_delivered_again(label: httpx.Client) -> None:
    said = document(track(20, upload(label, FIXTURES / "tiny.wav")))
    first, second = delivered(label, said), delivered(label, said)
    assert first["id"] != second["id"]
    assert first["tracks"][0]["track_id"] == second["tracks"][0]["track_id"]
    assert second["tracks"][0]["job"]["queue"] == "light"


def test_the_same_master_of_another_label_is_pressed_once(plant: Plant) -> None:
    with plant.client() as one, plant.client(plant.make_key("other")) as two:
        first = delivered(one, document(track(30, upload(one, FIXTURES / "tiny.wav"))))
        second = delivered(two, document(track(30, upload(two, FIXTURES / "tiny.wav"))))
        assert second["state"] == "held"
        job = second["tracks"][0]["job"]
        assert job["reason"]["code"] == "recording-elsewhere"
        kin = {each["track_id"]: each["kinship"] for each in job["resembles"]}
        assert kin[first["tracks"][0]["track_id"]] == "same-file"
        require_problem(two.get(f"/v1/deliveries/{first['id']}"), errors.DeliveryNotFound)
        assert [each["id"] for each in get(two, "/v1/deliveries")["deliveries"]] == [second["id"]]


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "everything at once": (
        document(
            track(1, isrc="?", title="", artists=[]),
            track(2, upload_id="upl_none", rights=[{"territories": ["US", "XX"]}]),
            {**track(2), "number": None},
            nonsense=1,
        ),
        {
            "/nonsense": "metadata-invalid",
            "/tracks/0/artists": "metadata-invalid",
            "/tracks/0/title": "metadata-invalid",
        },
    ),
    "what its form does not tell": (
        document(
            track(1, isrc="?"),
            track(2, "upl_none", rights=[{"territories": ["US", "XX"], "excluded": ["FR"]}]),
            {**track(2), "number": None},
            track(4, artists=[{"name": "X", "role": "producer"}]),
        ),
        {
            "/tracks/0/isrc": "isrc-invalid",
            "/tracks/0/upload": "track-not-found",
            "/tracks/1/rights/0/territories/1": "territory-unknown",
            "/tracks/1/rights/0/excluded": "metadata-invalid",
            "/tracks/1/upload": "upload-not-found",
            "/tracks/2/isrc": "metadata-invalid",
            "/tracks/2/number": "metadata-invalid",
            "/tracks/2/upload": "track-not-found",
            "/tracks/3/artists": "metadata-invalid",
            "/tracks/3/upload": "track-not-found",
        },
    ),
    "nothing is licensed": (
        {"tracks": [track(1)]},
        {"/tracks/0": "metadata-invalid", "/tracks/0/upload": "track-not-found"},
    ),
    "a period that ends first": (
        document(
            track(1),
            rights=[
                {
                    "territories": ["US"],
                    "starts_at": "2026-02-01T00:00:00Z",
                    "ends_at": "2026-01-01T00:00:00Z",
                }
            ],
        ),
        {"/rights/0/ends_at": "metadata-invalid", "/tracks/0/upload": "track-not-found"},
    ),
    "no tracks": ({"tracks": []}, {"/tracks": "metadata-invalid"}),
}


@pytest.mark.parametrize("name", WRONG)
def test_all_that_is_wrong_is_told_at_once(plant: Plant, name: str) -> None:
    said, expected = WRONG[name]
    with plant.client(plant.make_key("wrong")) as label:
        problem = require_problem(post(label, said), errors.MetadataInvalid)
        assert {fault["pointer"]: fault["code"] for fault in problem["faults"]} == expected
        assert all(fault["detail"] and fault["advice"] for fault in problem["faults"])
        assert get(label, "/v1/deliveries")["deliveries"] == []


def test_what_is_no_document_is_refused(label: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    for content in (b"", b"{", b"[" * 100_000, b'"\xff"'):
        answer = label.post("/v1/deliveries", content=content, headers=json_type)
        require_problem(answer, errors.MetadataInvalid)
    answer = label.post("/v1/deliveries", content=b" " * (5 << 20), headers=json_type)
    require_problem(answer, errors.RequestInvalid)


def test_an_upload_that_is_not_complete_is_not_delivered(label: httpx.Client) -> None:
    part = begin(label, 100).rpartition("/")[2]
    problem = require_problem(post(label, document(track(40, part))), errors.MetadataInvalid)
    [fault] = problem["faults"]
    assert (fault["pointer"], fault["code"]) == ("/tracks/0/upload", "upload-incomplete")


def test_a_wrong_check_digit_is_a_warning(label: httpx.Client) -> None:
    wrong = {**RELEASE, "upc": "4006381333932"}
    status = delivered(
        label, document(track(50, upload(label, FIXTURES / "tiny.wav")), release=wrong)
    )
    assert [each["pointer"] for each in status["warnings"]] == ["/release/upc"]


def test_what_is_said_is_changed_without_a_master(plant: Plant, label: httpx.Client) -> None:
    first = delivered(label, document(track(60, upload(label, FIXTURES / "tiny.wav"))))
    track_id = first["tracks"][0]["track_id"]
    with plant.client(key="") as listener:
        assert listener.get(f"/v1/tracks/{track_id}/manifest").status_code == 200
        france = [{"territories": ["FR"]}]
        second = delivered(label, document(track(60, title="Renamed"), rights=france))
        assert (second["state"], second["percent"]) == ("done", 100)
        [changed] = second["tracks"]
        assert (changed["track_id"], changed["title"]) == (track_id, "Renamed")
        assert (changed["job"], changed["filename"]) == (None, None)

        def refused() -> bool:
            return listener.get(f"/v1/tracks/{track_id}/manifest").status_code == 451

        wait_until(refused, "the refusal")
        answer = listener.get(f"/v1/tracks/{track_id}/manifest")
        require_problem(answer, errors.TerritoryNotLicensed)


def test_a_corrected_master_takes_the_place_of_the_old_one(
    plant: Plant, label: httpx.Client, tmp_path: Path
) -> None:
    old = make_wav(tmp_path / "old.wav", samples=44_100)
    new = make_wav(tmp_path / "new.wav", samples=66_150)
    first = delivered(label, document(track(70, upload(label, old))))
    track_id = first["tracks"][0]["track_id"]
    with plant.client(key="") as client:
        playing = Listener(client, track_id)
        before = playing.joined(playing.rendition("flac"))
        second = delivered(label, document(track(70, upload(label, new))))
        assert second["tracks"][0]["track_id"] == track_id
        assert playing.joined(playing.rendition("flac")) == before
        found = wait_until(
            lambda: (
                (new_one := Listener(client, track_id)).rendition("flac")["samples"] == 66_150
                and new_one
            ),
            "the new manifest",
        )
        assert found.joined(found.rendition("flac")) != before


def test_a_label_takes_its_own_track_down(plant: Plant, label: httpx.Client) -> None:
    status = delivered(label, document(track(80, upload(label, FIXTURES / "tiny.wav"))))
    track_id = status["tracks"][0]["track_id"]
    url = f"/v1/tracks/{track_id}/takedown"
    with plant.client(key="") as listener, plant.client(plant.make_key("other")) as other:
        require_problem(other.put(url), errors.TrackNotFound)
        require_problem(listener.put(url), errors.KeyMissing)
        assert listener.get(f"/v1/tracks/{track_id}/manifest").status_code == 200
        assert label.put(url).status_code == 204

        def refused() -> bool:
            return listener.get(f"/v1/tracks/{track_id}/manifest").status_code == 410

        wait_until(refused, "the takedown")
        assert label.delete(url).status_code == 204
        wait_until(lambda: not refused(), "the restoration")


def events_of(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    """Return what a delivery's events tell until they end."""
    found = []
    with client.stream("GET", f"{url}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
    return found


def test_where_a_delivery_stands_is_told_until_it_ends(label: httpx.Client, tmp_path: Path) -> None:
    files = [make_wav(tmp_path / f"{n}.wav", samples=44_100 * (20 + n)) for n in range(3)]
    tracks = [track(90 + n, upload(label, file)) for n, file in enumerate(files)]
    answer = post(label, document(*tracks))
    told = events_of(label, answer.headers["Location"])
    assert told[-1]["state"] == "done"
    assert [each["percent"] for each in told] == sorted(each["percent"] for each in told)
    jobs = [each["job"] for status in told for each in status["tracks"]]
    for job in jobs:
        if job["state"] == "running":
            assert job["heartbeat_age_s"] < 10
        assert (job["ahead"] is not None) == (job["state"] == "queued")
    ended = events_of(label, answer.headers["Location"])
    assert [each["state"] for each in ended] == ["done"]
    require_problem(label.get("/v1/deliveries/none/events"), errors.DeliveryNotFound)


def test_a_delivery_is_cancelled_and_done_again(plant: Plant, label: httpx.Client) -> None:
    plant.run("jobs", "drain", "--queue", "urgent")
    try:
        answer = post(label, document(track(95, upload(label, FIXTURES / "speech.flac"))))
        url = answer.headers["Location"]
        waiting = get(label, url)
        assert (waiting["state"], waiting["finished_at"]) == ("queued", None)
        assert waiting["tracks"][0]["job"]["ahead"] == 0
        cancelled = label.post(f"{url}/cancel").json()
        assert cancelled["state"] == "cancelled"
        job_id = cancelled["tracks"][0]["job"]["id"]
        require_problem(label.post(f"/v1/jobs/{job_id}/cancel"), errors.JobStateWrong)
        again = label.post(f"{url}/retry").json()
        assert again["state"] == "queued"
        assert label.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"
        assert label.post(f"/v1/jobs/{job_id}/retry").json()["state"] == "queued"
        require_problem(label.post(f"/v1/jobs/{job_id}/retry"), errors.JobStateWrong)
    finally:
        plant.run("jobs", "drain", "--queue", "urgent", "--resume")
    assert wait_for_job(label, job_id)["state"] == "done"
    with plant.client(plant.make_key("other")) as other:
        require_problem(other.post(f"{url}/cancel"), errors.DeliveryNotFound)
        require_problem(other.post(f"/v1/jobs/{job_id}/retry"), errors.JobNotFound)


def test_an_operator_sees_every_delivery_and_changes_none(
    plant: Plant, label: httpx.Client
) -> None:
    answer = deliver(label, FIXTURES / "tiny.wav", **metadata_of(isrc="ZZDLV2699999"))
    url = answer.headers["Location"]
    plant.make_account("olga@example.org", "--role", "operator")
    with plant.signed_in("olga@example.org") as olga:
        assert get(olga, url)["id"] == answer.json()["id"]
        assert olga.get("/v1/deliveries").status_code == 200
        require_problem(olga.post(f"{url}/cancel"), errors.RoleMayNot)
    with plant.client(key="") as guest:
        require_problem(guest.get(url), errors.KeyMissing)
