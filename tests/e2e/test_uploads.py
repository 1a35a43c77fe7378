"""Listeners' own files: matched with the catalogue, or pressed for their owners alone."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.errors import (
    JobNotFound,
    MetadataInvalid,
    RequestInvalid,
    RoleMayNot,
    SessionMissing,
    TrackNotFound,
)
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import (
    Listener,
    Plant,
    QuickPlant,
    accepted,
    deliver,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_matching import convert
from tests.e2e.test_problems import FACES, require_problem

KNOWN, UNKNOWN = "prelude.flac", "speech.flac"
OWN_TITLE = "My speech"
FILE_TITLE = "If Music Be the Food of Love"


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with QuickPlant(tmp_path_factory.mktemp("uploads") / "state") as plant:
        yield plant


@pytest.fixture(scope="module")
def known(plant: Plant) -> str:
    """The id of the track that the catalogue has."""
    with plant.client() as label:
        job = wait_for_job(label, accepted(deliver(label, FIXTURES / KNOWN)))
    return str(job["track_id"])


@pytest.fixture(scope="module")
def ada(plant: Plant) -> Iterator[httpx.Client]:
    plant.make_account("ada@example.org", "--plan", "premium")
    with plant.signed_in("ada@example.org") as client:
        yield client


@pytest.fixture(scope="module")
def bob(plant: Plant) -> Iterator[httpx.Client]:
    plant.make_account("bob@example.org", "--plan", "premium")
    with plant.signed_in("bob@example.org") as client:
        yield client


def send(client: httpx.Client, file: Path, **said: str) -> httpx.Response:
    with open(file, "rb") as master:
        return client.post(
            "/v1/matches",
            files={
                "metadata": (None, json.dumps(said), "application/json"),
                "master": (file.name, master, "application/octet-stream"),
            },
        )


def bring(client: httpx.Client, file: Path, **said: str) -> dict[str, Any]:
    """Return what became of a file."""
    answer = send(client, file, **said)
    assert answer.status_code == 202, answer.text

    def find() -> dict[str, Any] | None:
        match: dict[str, Any] = client.get(answer.headers["Location"]).json()
        return match if match["outcome"] else None

    return wait_until(find, "an outcome")


@pytest.fixture(scope="module")
def own(ada: httpx.Client, known: str) -> dict[str, Any]:
    """What became of a file that nobody else has, which its owner calls hers."""
    return bring(ada, FIXTURES / UNKNOWN, title=OWN_TITLE, artist="Ada")


def test_a_known_recording_plays_from_the_catalogue_and_is_not_kept(
    plant: Plant, ada: httpx.Client, known: str, tmp_path: Path
) -> None:
    file = convert(FIXTURES / KNOWN, tmp_path / "rip.mp3", "-ss", "5", "-b:a", "128k")
    match = bring(ada, file)
    assert (match["outcome"], match["track_id"], match["reason"]) == ("matched", known, None)
    (kin,) = match["matched"]
    assert kin["track_id"] == known
    assert kin["confidence"] >= 0.95
    assert abs(kin["offset_s"] - 5) < 0.2
    assert Listener(ada, match["track_id"]).renditions

    def is_gone() -> bool:
        return len([key for key in plant.objects() if key.startswith("masters/")]) <= 2

    wait_until(is_gone, "the end of a master that nobody needs")


def test_an_unknown_recording_is_its_owner_s_alone(
    plant: Plant, ada: httpx.Client, bob: httpx.Client, own: dict[str, Any], known: str
) -> None:
    assert (own["outcome"], own["matched"]) == ("uploaded", [])
    heard = Listener(ada, own["track_id"])
    assert heard.manifest["track"]["title"] == OWN_TITLE
    assert heard.manifest["track"]["isrc"] is None
    assert [each["tier"] for each in heard.renditions] == ["ogg-24", "flac"]
    assert heard.joined(heard.renditions[1])
    assert ada.get(f"/v1/tracks/{own['track_id']}/features").status_code == 200
    assert ada.get(f"/v1/tracks/{own['track_id']}/similar").json()["tracks"][0]["id"] == known
    with plant.client() as label, plant.client(key="") as guest:
        for other in (bob, label, guest):
            for face in (*FACES, "features", "similar", "sleeve"):
                answer = other.get(f"/v1/tracks/{own['track_id']}/{face}")
                require_problem(answer, TrackNotFound)
            listed = [each["id"] for each in other.get("/v1/tracks").json()["tracks"]]
            assert listed == [known]
        found = bob.get(f"/v1/tracks/{known}/similar").json()["tracks"]
        assert own["track_id"] not in [each["id"] for each in found]


def test_a_file_that_somebody_owns_is_unknown_to_others(
    bob: httpx.Client, own: dict[str, Any], tmp_path: Path
) -> None:
    same = bring(bob, FIXTURES / UNKNOWN)
    assert (same["outcome"], same["matched"]) == ("uploaded", [])
    assert same["track_id"] != own["track_id"]
    assert Listener(bob, same["track_id"]).manifest["track"]["title"] == FILE_TITLE
    listed = bob.get("/v1/matches").json()
    assert [each["id"] for each in listed["matches"]] == [same["id"]]


def test_the_same_file_again_is_the_same_track(ada: httpx.Client, own: dict[str, Any]) -> None:
    again = bring(ada, FIXTURES / UNKNOWN, title=OWN_TITLE)
    assert (again["outcome"], again["track_id"]) == ("uploaded", own["track_id"])


def test_nobody_sees_another_s_match(plant: Plant, bob: httpx.Client, own: dict[str, Any]) -> None:
    require_problem(bob.get(f"/v1/matches/{own['id']}"), JobNotFound)
    with plant.client() as label:
        require_problem(label.get(f"/v1/jobs/{own['id']}"), JobNotFound)


def test_what_cannot_be_pressed_says_why(ada: httpx.Client) -> None:
    match = bring(ada, BROKEN / "rate-22050.wav")
    assert (match["outcome"], match["reason"]["code"]) == ("failed", "master-rate")
    assert match["reason"]["measured"]["file"] == "rate-22050.wav"


def test_bad_forms_are_refused(plant: Plant, ada: httpx.Client) -> None:
    require_problem(send(ada, FIXTURES / "tiny.wav", length="3"), MetadataInvalid)
    require_problem(ada.post("/v1/matches", content=b"x"), RequestInvalid)
    plant.make_account("free@example.org")
    with plant.signed_in("free@example.org") as free, plant.client(key="") as guest:
        require_problem(send(free, FIXTURES / "tiny.wav"), RoleMayNot)
        require_problem(send(guest, FIXTURES / "tiny.wav"), SessionMissing)


def test_a_label_s_delivery_is_told_nothing_of_it_and_makes_it_known(
    plant: Plant, ada: httpx.Client, own: dict[str, Any], tmp_path: Path
) -> None:
    with plant.client(plant.make_key("another-label")) as label:
        sent = deliver(label, FIXTURES / UNKNOWN, isrc="ZZTST2600042")
        job = wait_for_job(label, accepted(sent))
    assert (job["state"], job["resembles"]) == ("done", [])
    file = convert(FIXTURES / UNKNOWN, tmp_path / "packed.mp3")
    match = bring(ada, file)
    assert (match["outcome"], match["track_id"]) == ("matched", job["track_id"])
    assert Listener(ada, own["track_id"]).manifest["track"]["title"] == OWN_TITLE


def test_many_files_are_matched_or_uploaded_by_one_command(
    plant: Plant, known: str, tmp_path: Path
) -> None:
    plant.make_account("cyd@example.org", "--plan", "premium")
    files = [FIXTURES / KNOWN, FIXTURES / "canon-1.flac", BROKEN / "truncated.wav"]
    report = tmp_path / "report.jsonl"
    command = ["match", "--upload-for", "cyd@example.org", "--report", str(report), "--json"]
    told = [json.loads(line) for line in plant.run(*command, *map(str, files[:2])).splitlines()]
    outcomes = {Path(each["file"]).name: each for each in told}
    assert outcomes[KNOWN]["outcome"] == "matched"
    assert outcomes[KNOWN]["tracks"] == [known]
    assert outcomes["canon-1.flac"]["outcome"] == "uploaded"
    with plant.signed_in("cyd@example.org") as cyd:
        job = outcomes["canon-1.flac"]["job"]

        def find() -> dict[str, Any] | None:
            match: dict[str, Any] = cyd.get(f"/v1/matches/{job}").json()
            return match if match["outcome"] else None

        match = wait_until(find, "an outcome")
        assert (match["outcome"], match["track_id"]) == (
            "uploaded",
            outcomes["canon-1.flac"]["track"],
        )
        assert Listener(cyd, match["track_id"]).renditions
    assert plant.run(*command, *map(str, files[:2])) == ""
    with pytest.raises(subprocess.CalledProcessError):
        plant.run("match", "--upload-for", "free@example.org", str(files[0]))
