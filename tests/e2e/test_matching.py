"""Recordings that are known again: by `lathe match`, and when a label delivers them."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import LATHE, Plant, QuickPlant, accepted, deliver, wait_for_job, wait_until

PUBLISHED = ["prelude.flac", "canon-1.flac", "ode.aiff", "speech.flac", "silence.flac", "tiny.wav"]
DAMAGED: dict[str, tuple[str, list[str]]] = {
    "packed hard": ("hard.mp3", ["-b:a", "64k"]),
    "quiet and mono": ("quiet.ogg", ["-af", "volume=-12dB", "-ac", "1"]),
    "begun late": ("late.flac", ["-ss", "7.77"]),
    "begun early": ("early.flac", ["-af", "adelay=3100:all=1"]),
    "two per cent fast": ("fast.flac", ["-af", "asetrate=44982,aresample=44100"]),
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """A plant whose origin has published and gone."""
    plant = QuickPlant(tmp_path_factory.mktemp("matching") / "state")
    with plant, plant.client() as client:
        jobs = [
            accepted(deliver(client, FIXTURES / name, isrc=f"ZZTST26{number:05}", title=name))
            for number, name in enumerate(PUBLISHED)
        ]
        for job_id in jobs:
            assert wait_for_job(client, job_id)["state"] == "done"
    yield plant


@pytest.fixture(scope="module")
def tracks(plant: Plant) -> dict[str, str]:
    """The names of published files by the ids of their tracks."""
    with plant, plant.client() as client:
        listed = client.get("/v1/tracks").json()["tracks"]
    return {track["id"]: track["title"] for track in listed}


def send(plant: Plant, key: str, file: Path, isrc: str) -> dict[str, Any]:
    """Deliver a file with a label's key, and return its job when nothing more happens."""
    with plant.client(key) as client:
        return wait_for_job(client, accepted(deliver(client, file, isrc=isrc)))


def renditions_of(plant: Plant, track_id: str) -> list[str]:
    with plant.client(key="") as client:
        found = client.get(f"/v1/tracks/{track_id}/manifest").json()["renditions"]
    return [each["id"] for each in found]


def convert(source: Path, target: Path, *options: str) -> Path:
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *options, target], check=True)
    return target


def test_what_a_label_delivers_in_another_file_is_kept_once(tmp_path: Path) -> None:
    packed = convert(FIXTURES / "ode.wav", tmp_path / "packed.flac")
    with QuickPlant(tmp_path / "state") as plant:
        first = send(plant, plant.key, FIXTURES / "ode.wav", "ZZTST2600001")
        again = send(plant, plant.key, packed, "ZZTST2600002")
        assert (first["state"], first["resembles"]) == ("done", [])
        (kin,) = again["resembles"]
        assert (kin["track_id"], kin["kinship"]) == (first["track_id"], "same-samples")
        assert again["track_id"] != first["track_id"]
        kept = renditions_of(plant, first["track_id"])
        assert renditions_of(plant, again["track_id"]) == kept
        stored = plant.state / "store" / "renditions"

        def left() -> set[str]:
            return {each.name for each in stored.iterdir() if any(each.iterdir())}

        wait_until(
            lambda: {each for each in left() if "sleeve" not in each} == set(kept), "one set"
        )
        assert len(left()) == len(kept) + 2, "what goes with each master stays"


def test_a_remaster_is_related_and_not_the_same(tmp_path: Path) -> None:
    loud = convert(FIXTURES / "prelude.flac", tmp_path / "loud.flac", "-af", "bass=g=3,volume=2dB")
    with QuickPlant(tmp_path / "state") as plant:
        first = send(plant, plant.key, FIXTURES / "prelude.flac", "ZZTST2600001")
        remaster = send(plant, plant.key, loud, "ZZTST2600002")
        (kin,) = remaster["resembles"]
        assert (kin["track_id"], kin["kinship"]) == (first["track_id"], "same-recording")
        assert kin["confidence"] > 0.95 and kin["bit_error_rate"] > 0
        assert not {*renditions_of(plant, first["track_id"])} & {
            *renditions_of(plant, remaster["track_id"])
        }


@pytest.mark.parametrize("how", ["the same file", "the same recording"])
def test_what_another_label_has_published_waits_for_an_operator(tmp_path: Path, how: str) -> None:
    theirs = FIXTURES / "prelude.flac"
    if how == "the same recording":
        theirs = convert(theirs, tmp_path / "theirs.flac", "-af", "volume=-3dB", "-ss", "1")
    with QuickPlant(tmp_path / "state") as plant:
        first = send(plant, plant.key, FIXTURES / "prelude.flac", "ZZTST2600001")
        other = plant.make_key("another-label")
        held = send(plant, other, theirs, "ZZTST2600002")
        assert held["state"] == "held"
        assert held["reason"]["code"] == "recording-elsewhere"
        assert held["reason"]["measured"]["track"] == first["track_id"]
        assert "label" not in json.dumps(held["reason"]["measured"]), "whose it is, is not told"
        with plant.client(other) as client:
            answer = client.get(f"/v1/tracks/{held['track_id']}/manifest")
            assert answer.status_code == 404
            plant.run("jobs", "approve", held["id"])
            done = wait_for_job(client, held["id"], lambda job: job["state"] == "done")
        assert done["reason"] is None
        assert [kin["track_id"] for kin in done["resembles"]] == [first["track_id"]]
        assert renditions_of(plant, done["track_id"])
        again = [
            send(plant, other, theirs, "ZZTST2600002"),
            send(plant, plant.key, FIXTURES / "prelude.flac", "ZZTST2600001"),
        ]
        assert [job["state"] for job in again] == ["done", "done"], "each has it by now"


def match(plant: Plant, *words: str | Path, status: int = 0) -> list[dict[str, Any]]:
    command = [LATHE, "match", "--json", *map(str, words)]
    environment = {"PATH": "/usr/bin:/bin", **plant.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_published_recording_is_known_however_it_was_damaged(
    plant: Plant, tracks: dict[str, str], tmp_path: Path, damage: str
) -> None:
    name, options = DAMAGED[damage]
    source = ["-i", str(FIXTURES / "prelude.flac"), *options, str(tmp_path / name)]
    subprocess.run(["ffmpeg", "-v", "error", *source], check=True)
    (answer,) = match(plant, tmp_path / name)
    assert answer["outcome"] == "matched", answer
    assert [tracks[each] for each in answer["tracks"]] == ["prelude.flac"]
    assert answer["confidence"] > 0.95
    offset_s = {"begun late": 7.77, "begun early": -3.1}.get(damage, 0.0)
    assert answer["offset_s"] == pytest.approx(offset_s, abs=0.3)
    speed = 1.02 if damage == "two per cent fast" else 1.0
    assert answer["speed"] == pytest.approx(speed, abs=0.006)


def test_other_music_and_what_nothing_can_be_known_by_is_not_matched(plant: Plant) -> None:
    others = ["canon-2.flac", "gymnopedie.m4a", "silence.flac", "tiny.wav", "signal-sweep.wav"]
    answers = match(plant, *(FIXTURES / name for name in others))
    assert {answer["outcome"] for answer in answers} == {"unmatched"}
    assert len(answers) == len(others)


def test_a_file_that_is_no_sound_is_told_and_stops_nothing(plant: Plant) -> None:
    answers = match(
        plant, BROKEN / "text.wav", FIXTURES / "no-such.wav", FIXTURES / "canon-1.flac", status=1
    )
    told = {Path(answer["file"]).name: answer for answer in answers}
    assert told["canon-1.flac"]["outcome"] == "matched"
    assert (told["text.wav"]["outcome"], told["text.wav"]["code"]) == ("failed", "master-corrupt")
    assert told["no-such.wav"]["code"] == "master-not-a-file"


def test_a_run_goes_on_where_an_earlier_one_was_stopped(plant: Plant, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    first = match(
        plant, FIXTURES / "canon-1.flac", BROKEN / "text.wav", "--report", report, status=1
    )
    with open(report, "a") as file:
        file.write('{"file": "half a li')
    files = [FIXTURES / "canon-1.flac", BROKEN / "text.wav", FIXTURES / "speech.flac"]
    second = match(plant, *files, "--report", report, status=1)
    assert sorted(Path(answer["file"]).name for answer in second) == ["speech.flac", "text.wav"]
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(map(str, lines)) == sorted(map(str, [*first, *second]))


def test_a_report_that_is_none_is_refused(plant: Plant, tmp_path: Path) -> None:
    report = tmp_path / "notes.txt"
    report.write_text("Buy milk.\n")
    match(plant, FIXTURES / "canon-1.flac", "--report", report, status=1)
    assert report.read_text() == "Buy milk.\n"


def test_masters_of_old_recipes_are_heard_again(tmp_path: Path) -> None:
    with QuickPlant(tmp_path / "state") as plant:
        job = send(plant, plant.key, FIXTURES / "canon-1.flac", "ZZTST2600001")
        send(plant, plant.key, FIXTURES / "tiny.wav", "ZZTST2600002")
    with sqlite3.connect(plant.state / "catalogue.sqlite3") as catalogue:
        catalogue.execute("DELETE FROM terms")
        catalogue.execute("DELETE FROM fingerprints")
        catalogue.execute("UPDATE features SET recipe = 'features-0', heard = '{}'")
    catalogue.close()
    told = [json.loads(line) for line in plant.run("rehear", "--json").splitlines()]
    assert [each["code"] for each in told] == [None, None]
    assert plant.run("rehear", "--json") == ""
    (answer,) = match(plant, FIXTURES / "canon-1.flac")
    assert answer["tracks"] == [job["track_id"]]
    with plant, plant.client() as client:
        heard = client.get(f"/v1/tracks/{job['track_id']}/features").json()
    assert (heard["key"], heard["recipe"]) == ("D", "features-1")
