"""A plant of several processes over Redis, PostgreSQL and S3, and the commands that steer it."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from catalogue.nouns import RenditionId
from catalogue.offline import DeviceKind
from lathe.client import Keeper, play_kept
from lathe.settings import read_settings
from lathe.wiring import open_stores
from storage.keys import rendition_key
from storage.port import ObjectStore
from tests.audio.pressings import make_wav
from tests.audio_tools import BROKEN, FIXTURES, decode, fact
from tests.e2e.servers import (
    Listener,
    Plant,
    Program,
    accepted,
    children_of,
    command_line,
    deliver,
    free_port,
    get_job,
    wait_for_job,
    wait_until,
)
from tests.e2e.test_players import require_heard
from tests.engines import S3_CREDENTIALS, PostgresServer, RedisServer, SwiftServer

CHOSEN = ["ode.aiff", "short.flac", "tiny.wav"]


@pytest.fixture(scope="module")
def programs() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def plant(
    programs: ExitStack,
    postgres_server: PostgresServer,
    s3_server: SwiftServer,
    metrics_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Plant:
    """An origin over real engines; its workers are started by who needs them."""
    folder = tmp_path_factory.mktemp("plant")
    redis = programs.enter_context(RedisServer(folder))
    plant = Plant(
        folder / "state",
        S3_CREDENTIALS,
        CATALOGUE=postgres_server.make_database("plant"),
        STORE=s3_server.url("plant"),
        QUEUE=redis.url,
        TERRITORY="US",
        LOGS="json",
        HEARTBEAT_S="0.2",
        SILENCE_S="2",
        METRICS_PORT=str(metrics_port),
    )
    # The workers run on the same machine, where the port is taken.
    del plant.environment["LATHE_METRICS_PORT"]
    plant.key = plant.make_key("label")
    programs.enter_context(plant)
    return plant


@pytest.fixture(scope="module")
def label(plant: Plant) -> Iterator[httpx.Client]:
    with plant.client() as client:
        yield client


@pytest.fixture
def worker(plant: Plant) -> Iterator[Program]:
    with plant.worker("worker", "--threads", "1") as worker:
        yield worker


@pytest.fixture(scope="module")
def long_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.wav"
    return make_wav(path, samples=45 * 44_100)


def told(plant: Plant, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in plant.run(*words).splitlines()]


def isrcs() -> Iterator[str]:
    number = 70_000
    while True:
        number += 1
        yield f"ZZTST26{number}"


fresh = isrcs()


def send(label: httpx.Client, path: Path, **metadata: Any) -> str:
    return accepted(deliver(label, path, isrc=next(fresh), **metadata))


def press_long(plant: Plant, label: httpx.Client, path: Path, worker: Program) -> str:
    """Deliver a long master and return its job once encoders are at it."""
    job_id = send(label, path)
    wait_for_job(label, job_id, lambda job: job["stage"] == "press")
    assert any("ffmpeg" in command_line(child) for child in children_of(worker.pid))
    return job_id


def test_masters_are_published_from_s3_to_players(
    plant: Plant, label: httpx.Client, worker: Program
) -> None:
    jobs = {file: send(label, FIXTURES / file) for file in CHOSEN}
    for file, job_id in jobs.items():
        job = wait_for_job(label, job_id)
        assert (job["state"], job["queue"]) == ("done", "urgent"), job
        found = Listener(label, job["track_id"])
        require_heard(decode(found.joined(found.rendition("alac"))), fact(file), "alac")


def test_a_master_delivered_again_is_light_work_and_nothing_is_pressed(
    plant: Plant, label: httpx.Client, worker: Program
) -> None:
    first = wait_for_job(label, send(label, FIXTURES / "ode.wav"))
    again = wait_for_job(label, send(label, FIXTURES / "ode.wav"))
    assert (first["queue"], again["queue"], again["state"]) == ("urgent", "light", "done")
    (whole,) = told(plant, "jobs", "show", again["id"], "--json")
    assert [attempt["end"] for attempt in whole["history"]] == ["done"]


def test_a_worker_seals_in_s3_what_a_device_then_opens(
    plant: Plant, label: httpx.Client, worker: Program, tmp_path: Path
) -> None:
    master = make_wav(tmp_path / "kept.wav", samples=25 * 44_100)
    track_id = wait_for_job(label, send(label, master))["track_id"]
    plant.make_account("keeps@example.org", "--plan", "premium", "--territory", "US")
    with plant.signed_in("keeps@example.org") as listener:
        keeper = Keeper(listener, lambda: datetime.now(UTC))
        shelf = keeper.register(tmp_path / "device", "p", name="it", kind=DeviceKind.PHONE)
        taken = keeper.take(shelf, track_id=track_id, codec="flac")
        assert not taken["ready"]
        wait_until(lambda: keeper.download(taken["id"])["ready"], "a sealed download")
        keeper.fetch(shelf, taken["id"])
        keeper.renew(shelf)
        # NULs are what PostgreSQL has no place for.
        answer = listener.get("/v1/downloads/a%00b")
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")
    assert play_kept(shelf, track_id, tmp_path / "played.wav", now=datetime.now(UTC)) == 25 * 44_100
    assert decode(tmp_path / "played.wav") == decode(master)


def test_workers_take_only_what_their_queues_hold(plant: Plant, label: httpx.Client) -> None:
    job_id = send(label, make_wav(plant.state / "bulk.wav", samples=999), queue="bulk")
    with plant.worker("urgent", "--queues", "urgent,light") as urgent:
        urgent.wait_for("(started)")
        marker = wait_for_job(label, send(label, make_wav(plant.state / "urgent.wav", samples=998)))
        assert marker["state"] == "done"
        assert get_job(label, job_id)["state"] == "queued"
    with plant.worker("bulk", "--queues", "bulk") as worker:
        assert wait_for_job(label, job_id)["state"] == "done"
        assert os.getpriority(os.PRIO_PROCESS, worker.pid) == 10


def test_a_cancelled_job_stops_its_encoders_and_can_be_taken_up_again(
    plant: Plant, label: httpx.Client, worker: Program, long_master: Path
) -> None:
    job_id = press_long(plant, label, long_master, worker)
    (cancelled,) = told(plant, "jobs", "cancel", job_id, "--json")
    assert (cancelled["id"], cancelled["state"]) == (job_id, "cancelled")
    wait_until(
        lambda: not any("ffmpeg" in command_line(child) for child in children_of(worker.pid)),
        "the end of the encoders",
    )
    job = get_job(label, job_id)
    assert (job["state"], job["attempts"]) == ("cancelled", 1)
    assert "lathe jobs retry" in plant.run("jobs", "explain", job_id)
    (explained,) = told(plant, "jobs", "explain", job_id, "--json")
    assert f"lathe jobs retry {job_id}" in explained["explanation"]
    assert [attempt["end"] for attempt in explained["history"]] == ["cancelled"]
    (queued,) = told(plant, "jobs", "retry", job_id, "--json")
    assert queued["state"] == "queued"
    assert wait_for_job(label, job_id)["state"] == "done"


def test_a_killed_worker_s_job_is_taken_over_and_the_history_tells(
    plant: Plant, label: httpx.Client, long_master: Path, tmp_path: Path
) -> None:
    path = make_wav(tmp_path / "other.wav", samples=44 * 44_100)
    with plant.worker("first", "--threads", "1") as first:
        job_id = press_long(plant, label, path, first)
        first.kill()
    with plant.worker("second", "--threads", "1"):
        assert wait_for_job(label, job_id)["state"] == "done"
    (whole,) = told(plant, "jobs", "show", job_id, "--json")
    assert [attempt["end"] for attempt in whole["history"]] == ["silent", "done"]
    assert len({attempt["worker"] for attempt in whole["history"]}) == 2


def test_an_encoder_killed_from_outside_is_no_fault_of_the_master(
    plant: Plant, label: httpx.Client, worker: Program, tmp_path: Path
) -> None:
    path = make_wav(tmp_path / "other.wav", samples=43 * 44_100)
    job_id = press_long(plant, label, path, worker)
    for child in children_of(worker.pid):
        if "ffmpeg" in command_line(child):
            os.kill(child, signal.SIGKILL)
    wait_for_job(label, job_id, lambda job: job["reason"] is not None)
    assert get_job(label, job_id)["reason"]["code"] == "tool-killed"
    assert wait_for_job(label, job_id)["state"] == "done"


def test_a_drained_queue_waits_and_says_so(
    plant: Plant, label: httpx.Client, worker: Program
) -> None:
    drained = told(plant, "jobs", "drain", "--queue", "urgent", "--wait", "--json")
    assert drained == [{"queue": "urgent", "drained": True}]
    job_id = send(label, make_wav(plant.state / "drained.wav", samples=997))
    assert "drained" in plant.run("jobs", "explain", job_id)
    assert "urgent (drained)" in plant.run("jobs", "status")
    plant.run("jobs", "drain", "--queue", "urgent", "--resume")
    assert wait_for_job(label, job_id)["state"] == "done"


def test_failures_are_listed_with_their_codes(
    plant: Plant, label: httpx.Client, worker: Program
) -> None:
    job_id = send(label, BROKEN / "truncated.wav")
    wait_for_job(label, job_id)
    failed = told(plant, "jobs", "list", "--state", "failed", "--json")
    assert {job["id"]: job["reason"]["code"] for job in failed}[job_id] == "master-truncated"
    assert "master-truncated" in plant.run("jobs", "explain", job_id)
    lines = [json.loads(line) for line in worker.log.splitlines()]
    (line,) = [line for line in lines if line.get("job") == job_id and line["level"] == "error"]
    assert (line["code"], line["measured_present_samples"]) == ("master-truncated", 4811)
    assert line["delivery"].startswith("dlv_")


def test_what_ffmpeg_said_is_in_the_log(plant: Plant, label: httpx.Client, worker: Program) -> None:
    job_id = send(label, BROKEN / "changes-format.flac")
    assert wait_for_job(label, job_id)["reason"]["code"] == "master-changes-format"
    lines = [json.loads(line) for line in worker.log.splitlines()]
    (line,) = [line for line in lines if "stderr" in line and line.get("job") == job_id]
    assert line["status"] != 0
    assert "Changing audio frame properties" in line["stderr"]
    assert str(plant.state) not in line["stderr"]


def test_operators_quarantine_with_their_reason(plant: Plant, label: httpx.Client) -> None:
    job_id = send(label, make_wav(plant.state / "aside.wav", samples=996))
    words = ("--reason", "the label called", "--json")
    (aside,) = told(plant, "jobs", "quarantine", job_id, *words)
    assert aside["state"] == "quarantined"
    job = get_job(label, job_id)
    assert (job["state"], job["reason"]["detail"]) == ("quarantined", "the label called")


def measured_at(port: int) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    return {name: float(value) for name, value in pairs}


def test_metrics_tell_how_full_the_queues_are_and_how_fast_the_work_is(
    plant: Plant, label: httpx.Client, metrics_port: int
) -> None:
    port = free_port()
    with Plant(plant.state, plant.environment, METRICS_PORT=str(port)).worker("measured") as worker:
        worker.wait_for("(started)")
        wait_for_job(label, send(label, FIXTURES / "prelude-88.flac"))
        of_the_worker = measured_at(port)
    of_the_plant = measured_at(metrics_port)
    assert of_the_plant["lathe_catalogue_up"] == 1
    assert of_the_plant['lathe_jobs{queue="urgent",state="done"}'] >= 1
    assert 'lathe_oldest_due_seconds{queue="bulk"}' in of_the_plant
    assert of_the_worker['lathe_attempts_total{end="done"}'] == 1
    assert of_the_worker['lathe_stage_seconds_count{stage="press"}'] == 1
    assert of_the_worker["lathe_press_speed_count"] == 1
    assert "lathe_catalogue_up" not in of_the_worker


@pytest.fixture
def store(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The plant's store, seen from here."""
    for name, value in S3_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    settings = {name: text for name, text in plant.environment.items() if name.startswith("LATHE_")}
    return open_stores(read_settings(settings))[0]


def renditions_of(store: ObjectStore) -> set[str]:
    return set(map(str, store.list("renditions/")))


def test_a_cancelled_job_leaves_nothing_in_the_store(
    plant: Plant, label: httpx.Client, worker: Program, store: ObjectStore, tmp_path: Path
) -> None:
    before = renditions_of(store)
    path = make_wav(tmp_path / "cancelled.wav", samples=42 * 44_100)
    job_id = press_long(plant, label, path, worker)
    wait_for_job(label, job_id, lambda job: job["percent"] > 40)
    assert renditions_of(store) > before
    plant.run("jobs", "cancel", job_id)
    wait_until(lambda: renditions_of(store) == before, "the end of what was put")
    assert told(plant, "gc", "--dry-run", "--json") == []


def test_a_killed_worker_s_cancelled_job_leaves_nothing_either(
    plant: Plant, label: httpx.Client, store: ObjectStore, tmp_path: Path
) -> None:
    before = renditions_of(store)
    path = make_wav(tmp_path / "killed.wav", samples=39 * 44_100)
    with plant.worker("killed", "--threads", "1") as worker:
        job_id = press_long(plant, label, path, worker)
        wait_for_job(label, job_id, lambda job: job["percent"] > 40)
        worker.kill()
    plant.run("jobs", "cancel", job_id)
    assert renditions_of(store) > before
    with plant.worker("another"):
        wait_until(lambda: renditions_of(store) == before, "the end of what was put")


def test_orphans_are_collected_and_what_is_published_is_not(
    plant: Plant, label: httpx.Client, worker: Program, store: ObjectStore
) -> None:
    kept = wait_for_job(label, send(label, FIXTURES / "ode.aiff"))
    store.put(rendition_key(RenditionId("aac-256-00ff"), "init.mp4"), b"nobody's")
    orphan = {"place": "renditions/aac-256-00ff", "objects": 1, "size_bytes": 8}
    assert told(plant, "gc", "--dry-run", "--json") == [orphan]
    assert told(plant, "gc", "--json") == [orphan]
    assert told(plant, "gc", "--json") == []
    found = Listener(label, kept["track_id"])
    require_heard(decode(found.joined(found.rendition("alac"))), fact("ode.aiff"), "alac")


def test_several_processes_are_kept_running(plant: Plant, label: httpx.Client) -> None:
    with plant.worker("several", "--processes", "2", "--threads", "1") as several:
        wait_until(lambda: len(children_of(several.pid)) == 2, "two processes")
        victim = children_of(several.pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in children_of(several.pid), "its end")
        wait_until(lambda: len(children_of(several.pid)) == 2, "another in its place")
        job = wait_for_job(label, send(label, make_wav(plant.state / "two.wav", samples=995)))
        assert job["state"] == "done"
        children = children_of(several.pid)
        assert several.stop() == 0
    assert not any(map(command_line, children))
