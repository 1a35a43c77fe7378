"""Files that are known again: `lathe match` over a catalogue of published music."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import LATHE, Plant, accepted, deliver, wait_for_job

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
    plant = Plant(tmp_path_factory.mktemp("matching") / "state", TERRITORY="US")
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
