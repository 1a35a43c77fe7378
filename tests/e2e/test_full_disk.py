"""A plant whose disk is full: what it says, what it keeps, and that it goes on by itself."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.audio.pressings import make_wav
from tests.audio_tools import FIXTURES, decode, fact
from tests.e2e.servers import (
    Listener,
    SmallPlant,
    accepted,
    deliver,
    get_job,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_players import require_heard


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[SmallPlant]:
    with SmallPlant(tmp_path / "state", TERRITORY="US") as plant:
        yield plant


@pytest.fixture
def label(plant: SmallPlant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


def room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_master_without_room_is_refused_and_leaves_nothing(
    plant: SmallPlant, label: httpx.Client, tmp_path: Path
) -> None:
    first = wait_for_job(label, accepted(deliver(label, FIXTURES / "ode.aiff")))
    before = room(plant.disk)
    large = make_wav(tmp_path / "large.wav", samples=SmallPlant.size_bytes // 4)
    answer = deliver(label, large, isrc="ZZTST2600002")
    assert (answer.status_code, answer.json()["code"]) == (507, "disk-full"), answer.text
    assert answer.json()["measured"] == {"errno": "ENOSPC"}
    assert str(plant.state) not in answer.text
    assert room(plant.disk) == before
    assert not list((plant.disk / "store" / ".drafts").iterdir())
    found = Listener(label, first["track_id"])
    require_heard(decode(found.joined(found.rendition("alac"))), fact("ode.aiff"), "alac")


def test_a_job_without_room_waits_and_is_published_when_there_is_some(
    plant: SmallPlant, label: httpx.Client, tmp_path: Path
) -> None:
    filler = plant.disk / "filler"
    master = make_wav(tmp_path / "master.wav", samples=20 * 44_100)
    filler.write_bytes(bytes(room(plant.disk) - master.stat().st_size - (2 << 20)))
    job_id = accepted(deliver(label, master))
    wait_for_job(label, job_id, lambda job: job["reason"] is not None)
    job = get_job(label, job_id)
    assert (job["state"], job["reason"]["code"]) == ("queued", "disk-full")
    assert label.get("/v1/tracks").json()["tracks"] == []
    filler.unlink()
    wait_until(lambda: get_job(label, job_id)["state"] == "done", "the end of the job")
    found = Listener(label, get_job(label, job_id)["track_id"])
    assert decode(found.joined(found.rendition("alac"))) == decode(master.read_bytes())
