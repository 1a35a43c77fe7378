"""Whatever is killed or away, every delivery ends once, whole, and nothing half-made is seen."""

import hashlib
import wave
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue import errors
from tests.audio_tools import FIXTURES, decode, fact, frame_bytes
from tests.e2e.servers import (
    Listener,
    Plant,
    Program,
    accepted,
    children_of,
    command_line,
    deliver,
    get_job,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_problems import require_described, require_problem
from tests.e2e.test_signed_urls import sign_for_an_hour
from tests.engines import RedisServer

LIVELY = {"HEARTBEAT_S": "0.2", "SILENCE_S": "0.7", "THREADS": "1"}
"""Settings under which a silent worker is missed at once."""

PATIENT = {"HEARTBEAT_S": "0.2", "SILENCE_S": "3600", "THREADS": "1"}
"""Settings under which a silent worker is not missed while a test lasts."""

REPEATS = 6


@pytest.fixture(scope="module")
def long_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master of a minute: pressing it takes much longer than noticing that it is pressed."""
    path = tmp_path_factory.mktemp("masters") / "long.wav"
    with wave.open(str(FIXTURES / "ode.wav")) as ode, wave.open(str(path), "wb") as long:
        long.setparams(ode.getparams())
        pcm = ode.readframes(ode.getnframes())
        for _ in range(REPEATS):
            long.writeframes(pcm)
    return path


@pytest.fixture
def programs() -> Iterator[ExitStack]:
    """Where a test leaves the programs that it starts, to be ended with it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def redis(tmp_path: Path, programs: ExitStack) -> RedisServer:
    """A Redis server that runs."""
    return programs.enter_context(RedisServer(tmp_path))


def is_pressed(job: dict[str, Any]) -> bool:
    """Whether a worker is in the middle of a job."""
    assert job["finished_at"] is None, "the press was over before it could be disturbed"
    return bool(job["state"] == "running" and job["stage"] == "press" and job["percent"] > 0)


@dataclass(frozen=True)
class Press:
    """A press under way: its job, and the processes that decode and encode."""

    job_id: str
    tools: list[int]

    def require_ended(self) -> None:
        """Require that none of its processes outlives the one that started it."""
        wait_until(lambda: not any(map(command_line, self.tools)), "the end of every encoder")


def start_pressing(plant: Plant, master: Path, worker: Program | None = None) -> Press:
    """Deliver a master, and return when a worker has stored the first chunks of it."""
    with plant.client() as client:
        job_id = accepted(deliver(client, master))
        wait_for_job(client, job_id, is_pressed)
        made = plant.state / "store" / "renditions"
        wait_until(lambda: [*made.glob("alac-*/00000.m4s")], "the first chunk")
        tools = children_of((worker or plant).pid)
        assert any(str(plant.state) in command_line(tool) for tool in tools), "one reads the master"
        assert is_pressed(get_job(client, job_id))
    return Press(job_id, tools)


def finish(plant: Plant, job_id: str) -> dict[str, Any]:
    with plant.client() as client:
        job = wait_for_job(client, job_id)
    assert (job["state"], job["percent"], job["reason"]) == ("done", 100, None)
    return job


def require_exact(plant: Plant, track_id: str) -> None:
    """Require that the long master's renditions decode to its samples."""
    ode = fact("ode.wav")
    recorded = decode(ode.path) * REPEATS
    with plant.client(key="") as client:
        found = Listener(client, track_id)
        for rendition in found.renditions:
            for declared in rendition["chunks"]:
                body = found.fetch(rendition, declared["name"])
                assert hashlib.sha256(body).hexdigest() == declared["sha256"]
        for tier in ("alac", "flac"):
            assert decode(found.joined(found.rendition(tier))) == recorded
        for tier in ("ogg-96", "ogg-320"):
            ogg = decode(found.joined(found.rendition(tier)), "f32le")
            assert len(ogg) == ode.samples * REPEATS * frame_bytes(None, ode.channels)


def require_hidden(plant: Plant, job_id: str) -> None:
    """Require that nothing of an unfinished press is to be had, even under a true signature."""
    made = [path for path in (plant.state / "store" / "renditions").rglob("*") if path.is_file()]
    with plant.client() as client:
        track_id = get_job(client, job_id)["track_id"]
        manifest = client.get(f"/v1/tracks/{track_id}/manifest")
        require_problem(manifest, errors.TrackNotReady)
        assert client.get("/v1/tracks").json()["tracks"] == []
        for path in made:
            prefix = sign_for_an_hour(plant, track_id, path.parent.name)
            require_problem(client.get(prefix + path.name), errors.ObjectNotFound)


def leave_a_draft(plant: Plant) -> Path:
    """Leave what a store's unfinished write leaves behind."""
    rendition = next((plant.state / "store" / "renditions").glob("alac-*"))
    draft = rendition / f".{'0' * 32}"
    draft.write_bytes(b"half a chunk")
    return draft


def require_drafts_hidden(plant: Plant, track_id: str) -> None:
    """Require that unfinished writes are no objects, though their rendition is published."""
    drafts = [path for path in (plant.state / "store").rglob("*") if path.name.startswith(".")]
    with plant.client() as client:
        found = Listener(client, track_id)
        for rendition in found.renditions:
            for draft in drafts:
                answer = client.get(found.url(rendition, draft.name))
                require_problem(answer, errors.ObjectNotFound)
            names = [chunk["name"] for chunk in rendition["chunks"]]
            assert not any(name.startswith(".") for name in names)


def wait_for_attempt(plant: Plant, job_id: str, attempts: int) -> None:
    """Return when a worker has taken a job so many times."""
    with plant.client() as client:
        wait_for_job(client, job_id, lambda job: bool(job["attempts"] == attempts))


# --------------------------------------------------------------------------- kill -9


def test_a_killed_plant_finishes_its_press_when_it_is_started_again(
    state: Path, long_master: Path
) -> None:
    with Plant(state, **LIVELY) as plant:
        press = start_pressing(plant, long_master)
        plant.kill()
        press.require_ended()
        draft = leave_a_draft(plant)
        plant.start()
        stored = (plant.state / "store" / "renditions").rglob("*.m4s")
        assert any(stored), "some chunks are stored already"
        require_hidden(plant, press.job_id)
        job = finish(plant, press.job_id)
        assert job["attempts"] == 2
        require_exact(plant, job["track_id"])
        assert draft.exists()
        require_drafts_hidden(plant, job["track_id"])
        assert children_of(plant.pid) == []


def test_a_second_worker_finishes_what_a_killed_one_held(
    state: Path, long_master: Path, redis: RedisServer, programs: ExitStack
) -> None:
    plant = Plant(state, QUEUE=redis.url, **LIVELY)
    plant.key = plant.make_key("label")
    programs.enter_context(plant)
    first = programs.enter_context(plant.worker("first"))
    press = start_pressing(plant, long_master, first)
    second = programs.enter_context(plant.worker("second"))
    second.wait_for("(worker started)")
    first.kill()
    press.require_ended()
    job = finish(plant, press.job_id)
    assert job["attempts"] == 2
    require_exact(plant, job["track_id"])
    assert children_of(second.pid) == []


def test_an_origin_without_workers_is_killed_and_nothing_is_lost(
    state: Path, redis: RedisServer, programs: ExitStack
) -> None:
    plant = Plant(state, QUEUE=redis.url, **LIVELY)
    plant.key = plant.make_key("label")
    programs.enter_context(plant)
    with plant.client() as client:
        job_id = accepted(deliver(client, fact("ode.aiff").path))
        assert get_job(client, job_id)["state"] == "queued"
    plant.kill()
    plant.start()
    programs.enter_context(plant.worker("only"))
    assert finish(plant, job_id)["attempts"] == 1


def test_a_master_that_kills_its_workers_is_set_aside(state: Path, long_master: Path) -> None:
    with Plant(state, **LIVELY) as plant:
        press = start_pressing(plant, long_master)
        for attempts in (2, 3):
            plant.kill()
            plant.start()
            wait_for_attempt(plant, press.job_id, attempts)
        plant.kill()
        plant.start()
        with plant.client() as client:
            job = wait_for_job(client, press.job_id)
            assert (job["state"], job["attempts"]) == ("quarantined", 3)
            require_described(job["reason"], errors.JobQuarantined)
        require_hidden(plant, press.job_id)
        assert children_of(plant.pid) == []


# --------------------------------------------------------------------------- SIGTERM


def require_handed_back(plant: Plant, press: Press, worker: Program) -> None:
    """Require that a worker which is stopped and started again goes on at once.

    The job is then as if it had not been begun: the attempt that was broken off does not count.
    """
    assert worker.stop() == 0
    assert not any(map(command_line, press.tools)), "the encoders end first"
    worker.start()
    assert finish(plant, press.job_id)["attempts"] == 1


def test_a_plant_that_is_stopped_hands_its_job_back(state: Path, long_master: Path) -> None:
    with Plant(state, **PATIENT) as plant:
        press = start_pressing(plant, long_master)
        require_handed_back(plant, press, plant)


def test_a_worker_that_is_stopped_hands_its_job_back(
    state: Path, long_master: Path, redis: RedisServer, programs: ExitStack
) -> None:
    plant = Plant(state, QUEUE=redis.url, **PATIENT)
    plant.key = plant.make_key("label")
    programs.enter_context(plant)
    worker = programs.enter_context(plant.worker("only"))
    press = start_pressing(plant, long_master, worker)
    require_handed_back(plant, press, worker)


def test_an_idle_plant_stops_when_it_is_told_to(state: Path) -> None:
    with Plant(state) as plant:
        key = plant.key
        assert plant.stop() == 0
        plant.start()
        assert plant.key == key, "no other key was made"
        assert key not in plant.log
        with plant.client() as client:
            require_problem(client.get("/v1/jobs/none"), errors.JobNotFound)
        assert plant.stop() == 0


# --------------------------------------------------------------------------- the queue


def test_a_delivery_is_accepted_while_redis_is_away_and_pressed_when_it_is_back(
    state: Path, redis: RedisServer, programs: ExitStack
) -> None:
    plant = Plant(state, QUEUE=redis.url, **LIVELY)
    plant.key = plant.make_key("label")
    programs.enter_context(plant)
    programs.enter_context(plant.worker("only"))
    with plant.client() as client:
        before = accepted(deliver(client, fact("ode.aiff").path, isrc="ZZTST2600002"))
        wait_for_job(client, before)
        redis.stop()
        job_id = accepted(deliver(client, fact("canon-1.flac").path))
        assert get_job(client, job_id)["state"] == "queued"
    redis.start()
    assert finish(plant, job_id)["attempts"] == 1


# --------------------------------------------------------------------------- once more


def published(client: httpx.Client, track_id: str) -> list[dict[str, Any]]:
    """Return the renditions of a track without what is signed anew each time."""
    found = Listener(client, track_id)
    return [
        {name: value for name, value in rendition.items() if name != "base_url"}
        for rendition in found.renditions
    ]


def test_the_same_delivery_again_changes_nothing(state: Path) -> None:
    master = fact("ode-24.wav").path
    with Plant(state) as plant, plant.client() as client:
        first = wait_for_job(client, accepted(deliver(client, master)))
        made, objects = published(client, first["track_id"]), plant.objects()
        second = wait_for_job(client, accepted(deliver(client, master)))
        assert second["id"] != first["id"]
        assert second["state"] == "done"
        assert second["track_id"] == first["track_id"]
        assert published(client, second["track_id"]) == made
        assert plant.objects() == objects
        assert sum(name.startswith("masters/") for name in objects) == 1


def test_two_of_the_same_at_once_are_one_track_with_one_set_of_objects(state: Path) -> None:
    master = fact("ode-24.wav").path
    with Plant(state) as plant, plant.client() as client:
        sent = [accepted(deliver(client, master)) for _ in range(4)]
        jobs = [wait_for_job(client, job_id) for job_id in sent]
        assert {job["state"] for job in jobs} == {"done"}
        assert len({job["track_id"] for job in jobs}) == 1
        stored = {name.split("/")[1] for name in plant.objects() if name.startswith("rend")}
        made = published(client, jobs[0]["track_id"])
        (sleeve,) = stored - {rendition["id"] for rendition in made}
        assert sleeve.startswith("sleeve-")


def test_a_track_keeps_its_id_when_its_label_delivers_a_better_master(state: Path) -> None:
    with Plant(state) as plant, plant.client() as client:
        first = wait_for_job(client, accepted(deliver(client, fact("ode.aiff").path)))
        old = published(client, first["track_id"])
        kept = plant.objects()
        better = deliver(client, fact("ode-24.wav").path, title="Better")
        second = wait_for_job(client, accepted(better))
        assert second["track_id"] == first["track_id"]
        found = Listener(client, second["track_id"])
        assert found.manifest["track"]["title"] == "Better"
        assert {each["id"] for each in found.renditions}.isdisjoint(each["id"] for each in old)
        assert kept.items() <= plant.objects().items()
