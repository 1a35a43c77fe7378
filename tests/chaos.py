"""Chaos: a plant over real engines whose parts are killed at random, and what must hold in the end.

    python -m tests.chaos --rounds 100 --seed 7

A label delivers all the while, and sends again what was not accepted. Each round one part is ended
as a power cut ends it, or frozen, and started again, or a job is cancelled and taken up again. In
the end every delivery is published once, catalogue and store hold what those of an undisturbed
plant hold, bit for bit, nothing else is left, and no process is.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from catalogue.database.desk import SqlDesk
from catalogue.database.engine import open_engine
from catalogue.database.tracks import SqlTracks
from catalogue.errors import JobStateWrong, ObjectNotFound
from catalogue.nouns import AttemptEnd, Job, JobId, JobState
from lathe.settings import read_settings
from lathe.wiring import open_stores
from storage.keys import require_key
from storage.port import ObjectStore
from tests.audio.pressings import make_wav
from tests.e2e.servers import (
    Plant,
    Program,
    accepted,
    children_of,
    command_line,
    deliver,
    wait_for_job,
    wait_until,
)
from tests.engines import S3_CREDENTIALS, PostgresServer, RedisServer, SwiftServer

WORKERS = 3
IN_FLIGHT = 4
RECOVERY_S = 20.0
"""Within how long a killed worker's job is in other hands, when nothing else is away."""

CANCEL_S = 2.0
"""Within how long a cancelled job's encoders have ended."""

EXIT_UNAVAILABLE = 4
_RECOVERY, _CANCEL = "recovery of a killed worker's job, s", "cancel, s"
_END_S = 600.0
_PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Master:
    """A master to deliver, and under which ISRC."""

    path: Path
    isrc: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """All that a plant holds: renditions by ISRC, and the hash of every object by its key."""

    tracks: Mapping[str, list[dict[str, Any]]]
    objects: Mapping[str, str]


def make_masters(folder: Path, count: int, *, shortest_s: int = 2) -> list[Master]:
    """Write masters of a few seconds each, all of them different."""
    found = []
    for number in range(count):
        rate_hz = (44_100, 48_000, 96_000)[number % 3]
        samples = (shortest_s + number % 5) * rate_hz + 37 * number
        path = folder / f"master-{number:03}.wav"
        make_wav(path, samples=samples, rate_hz=rate_hz, bits=(16, 24)[number % 2])
        found.append(Master(path=path, isrc=f"ZZTST26{number:05}"))
    return found


def content_of(catalogue_url: str, store: ObjectStore) -> Content:
    """Return all that a catalogue and a store hold."""
    engine = open_engine(catalogue_url)
    try:
        tracks = SqlTracks(engine)
        found = {}
        after = ""
        while page := tracks.page(after=after, limit=_PAGE):
            for track in page:
                whole = tracks.get(track.id)
                found[str(track.metadata.isrc)] = [asdict(each) for each in whole.renditions]
            after = page[-1].id
        hashes = {str(key): hashlib.sha256(store.read(key)).hexdigest() for key in store.list("")}
        return Content(tracks=found, objects=hashes)
    finally:
        engine.dispose()


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, str]:
    """Return what is missing, left over or other than expected, by key."""
    kinds = {(True, False): "left over", (False, True): "missing", (True, True): "other bytes"}
    return {
        key: kinds[key in found, key in expected]
        for key in sorted({*found, *expected})
        if found.get(key) != expected.get(key)
    }


def undisturbed(masters: list[Master], state: Path, **named: str) -> Content:
    """Return what a plant holds that was given ``masters`` in peace."""
    with Plant(state, TERRITORY="US", **named) as plant, plant.client() as label:
        jobs = [accepted(deliver(label, each.path, isrc=each.isrc)) for each in masters]
        for job_id in jobs:
            assert wait_for_job(label, job_id)["state"] == "done"
        settings = read_settings({"LATHE_STATE": str(state)})
        return content_of(settings.catalogue_url, open_stores(settings)[0])


class Chaos:
    """A plant, its engines and its workers, and the hand that disturbs them."""

    def __init__(self, folder: Path, dice: random.Random, **settings: str) -> None:
        self._dice = dice
        self._stack = ExitStack()
        self.blows: Counter[str] = Counter()
        self.jobs: list[str] = []
        self.retried: list[str] = []
        self.unlisted = 0
        self._frozen: dict[Program, threading.Timer] = {}
        self._looks = random.Random(0)
        for name in ("redis", "swift", "postgres"):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)
        self.redis = RedisServer(folder / "redis")
        self.postgres = PostgresServer(folder / "postgres")
        self.swift = SwiftServer(folder / "swift")
        for engine in (self.redis, self.postgres, self.swift):
            self._stack.enter_context(engine)
        named = {
            "CATALOGUE": self.postgres.make_database("chaos"),
            "STORE": self.swift.url("chaos"),
            "QUEUE": self.redis.url,
            "TERRITORY": "US",
            "LOGS": "json",
        }
        self.plant = Plant(folder / "state", S3_CREDENTIALS, **named, **settings)
        self.plant.key = self.plant.make_key("label")
        self._stack.enter_context(self.plant)
        self.workers = [
            self._stack.enter_context(self.plant.worker(f"worker-{number}", "--threads", "1"))
            for number in range(WORKERS)
        ]
        self.silence_s = float(settings.get("SILENCE_S", "10"))
        self.means: dict[str, Callable[[], None]] = {
            "worker killed": self._kill_worker,
            "encoder killed": self._kill_encoder,
            "job cancelled": self._cancel_job,
            "worker frozen": self._freeze_worker,
            "worker stopped": self._stop_worker,
            "origin killed": self._kill_origin,
            "queue killed": lambda: self._cut(self.redis),
            "catalogue killed": lambda: self._cut(self.postgres),
            "store killed": self._cut_store,
        }

    def close(self) -> None:
        """End everything."""
        for timer in list(self._frozen.values()):
            timer.join()
        self._stack.close()

    @contextmanager
    def delivering(self, masters: list[Master]) -> Iterator[None]:
        """Deliver ``masters`` meanwhile, a few at a time; return when all are accepted."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                for master in masters:
                    self._deliver(master)
            except BaseException as fault:
                failures.append(fault)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield
        thread.join(_END_S)
        assert not failures, failures
        assert not thread.is_alive(), "the label never got through"

    def _deliver(self, master: Master) -> None:
        """Deliver as a label on a bad line does: again and again until it is accepted."""
        end = time.monotonic() + _END_S
        while time.monotonic() < end:
            with suppress(httpx.TransportError), self.plant.client() as client:
                recent = self.jobs[-2 * IN_FLIGHT :]
                if sum(not self._is_over(client, job_id) for job_id in recent) < IN_FLIGHT:
                    answer = deliver(client, master.path, isrc=master.isrc)
                    if answer.status_code == 202:
                        self.jobs.append(accepted(answer))
                        return
                    assert answer.status_code == 503, answer.text
            time.sleep(0.2)
        raise AssertionError(f"{master.path.name} was never accepted")

    @staticmethod
    def _is_over(client: httpx.Client, job_id: str) -> bool:
        answer = client.get(f"/v1/jobs/{job_id}")
        return answer.status_code == 200 and answer.json()["finished_at"] is not None

    def plan(self, rounds: int) -> list[str]:
        """Return what to do in each round: everything once before anything again."""
        every = sorted(self.means)
        cycles = -(-rounds // len(every))
        return [what for _ in range(cycles) for what in self._dice.sample(every, len(every))]

    def disturb(self, what: str) -> float:
        """Do one thing to the plant after a while, and return how many seconds it took."""
        time.sleep(self._dice.uniform(0.1, 1.5))
        self.supervise()
        began = time.monotonic()
        self.means[what]()
        self.blows[what] += 1
        return time.monotonic() - began

    def require_whole(self) -> bool:
        """Fetch a track that is visible now, and require that all of it is there.

        Returns False when nothing is visible, or something that it needs is away.
        """
        with suppress(httpx.TransportError), self.plant.client() as client:
            answer = client.get("/v1/tracks")
            tracks = answer.json()["tracks"] if answer.status_code == 200 else []
            if tracks:
                return self._fetch(client, self._looks.choice(tracks)["id"])
        return False

    def _fetch(self, client: httpx.Client, track_id: str) -> bool:
        answer = client.get(f"/v1/tracks/{track_id}/manifest")
        if answer.status_code == 503:
            return False
        assert answer.status_code == 200, answer.text
        for rendition in answer.json()["renditions"]:
            for named in (rendition["init"], *rendition["chunks"]):
                url = httpx.URL(str(answer.url)).join(f"{rendition['base_url']}{named['name']}")
                fetched = client.get(url)
                if fetched.status_code == 503:
                    return False
                assert fetched.status_code == 200, fetched.text
                assert hashlib.sha256(fetched.content).hexdigest() == named["sha256"], url.path
        return True

    def _kill_worker(self) -> None:
        worker = self._choose_worker()
        tools = children_of(worker.pid)
        worker.kill()
        wait_until(lambda: not any(map(command_line, tools)), "the end of its encoders")
        worker.start()

    def _stop_worker(self) -> None:
        worker = self._choose_worker()

        def has_started() -> bool:
            self.supervise()
            return '"started"' in worker.log

        wait_until(has_started, "a worker that has begun")
        began = time.monotonic()
        assert worker.stop() == 0, worker.log
        assert time.monotonic() - began < 10, "it took too long to hand its job back"
        worker.start()

    def _freeze_worker(self) -> None:
        """Stop a worker for longer than the ledger waits: it wakes up with a job it has lost."""
        worker = self._choose_worker()
        os.kill(worker.pid, signal.SIGSTOP)

        def thaw() -> None:
            os.kill(worker.pid, signal.SIGCONT)
            self._frozen.pop(worker)

        asleep_s = self.silence_s + self._dice.uniform(0.5, 2)
        self._frozen[worker] = threading.Timer(asleep_s, thaw)
        self._frozen[worker].start()

    def _choose_worker(self) -> Program:
        """Return one that is awake, and wait for one if need be."""

        def choose() -> Program | None:
            awake = [worker for worker in self.workers if worker not in self._frozen]
            return self._dice.choice(awake) if awake else None

        return wait_until(choose, "a worker that is awake")

    def supervise(self) -> None:
        """Start workers again that gave up because an engine was away when they began."""
        for worker in self.workers:
            if worker.has_ended:
                assert worker.stop() == EXIT_UNAVAILABLE, worker.log
                worker.start()

    def _kill_encoder(self) -> None:
        tools = [
            child
            for worker in self.workers
            for child in children_of(worker.pid)
            if "ffmpeg" in command_line(child)
        ]
        if tools:
            with suppress(ProcessLookupError):
                os.kill(self._dice.choice(tools), signal.SIGKILL)

    def _cancel_job(self) -> None:
        """Cancel a job that runs, and take it up again before or after its leftovers are gone."""
        running = [job.id for job in self.ledger() if job.state is JobState.RUNNING]
        if running:
            job_id = self._dice.choice(running)
            with self._desk() as desk, suppress(JobStateWrong):
                desk.cancel(job_id, now=datetime.now(UTC))
                time.sleep(self._dice.uniform(0, 2))
                desk.revive(job_id, now=datetime.now(UTC))

    def _kill_origin(self) -> None:
        self.plant.kill()
        self.plant.start()

    def _cut(self, engine: Program) -> None:
        engine.kill()
        time.sleep(self._dice.uniform(0, 2))
        engine.start()

    def _cut_store(self) -> None:
        self.swift.kill()
        time.sleep(self._dice.uniform(0, 2))
        self.swift.start()

    def settle(self) -> None:
        """Wait for the end of every job; an operator takes up again what was quarantined."""
        end = time.monotonic() + _END_S
        while time.monotonic() < end:
            self.supervise()
            found = self.ledger()
            for job in found:
                if job.state is JobState.QUARANTINED:
                    self.plant.run("jobs", "retry", job.id)
                    self.retried.append(job.id)
            if all(job.state is JobState.DONE for job in found):
                return
            failed = [job for job in found if job.state is JobState.FAILED]
            assert not failed, failed
            time.sleep(0.5)
        raise AssertionError(f"stuck: {[job for job in found if job.state is not JobState.DONE]}")

    def measure(self, master: Master) -> dict[str, float]:
        """Return how long a killed worker's job is in nobody's hands, and how long a cancel takes.

        Nothing else is disturbed meanwhile.
        """
        with self.plant.client() as client:

            def is_pressed(job: dict[str, Any]) -> bool:
                assert job["finished_at"] is None, "the press was over before it was disturbed"
                return bool(job["stage"] == "press")

            job_id = accepted(deliver(client, master.path, isrc=master.isrc))
            wait_for_job(client, job_id, is_pressed)
            victim = self._holder_of(job_id)
            victim.kill()
            killed = time.monotonic()
            victim.start()
            wait_for_job(client, job_id, lambda job: job["attempts"] == 2 and is_pressed(job))
            recovery_s = time.monotonic() - killed
            holder = self._holder_of(job_id)
            tools = children_of(holder.pid)
            with self._desk() as desk:
                desk.cancel(JobId(job_id), now=datetime.now(UTC))
            cancelled = time.monotonic()
            wait_until(lambda: not any(map(command_line, tools)), "the end of its encoders")
            cancel_s = time.monotonic() - cancelled
            self.plant.run("jobs", "retry", job_id)
            assert wait_for_job(client, job_id)["state"] == "done"
        return {_RECOVERY: round(recovery_s, 1), _CANCEL: round(cancel_s, 1)}

    def _holder_of(self, job_id: str) -> Program:
        (job,) = [job for job in self.ledger() if job.id == job_id]
        pid = int((job.worker or ":0").rpartition(":")[2])
        return next(worker for worker in self.workers if worker.pid == pid)

    def ledger(self) -> list[Job]:
        """Return every job."""
        with self._desk() as desk:
            found: list[Job] = []
            while page := desk.page(
                states=(), queues=(), after=found[-1].id if found else "", limit=_PAGE
            ):
                found.extend(page)
            return found

    def require_order(self, reference: Content) -> dict[str, Any]:
        """Require all that must hold when every job has ended, and return what was measured."""
        accepted_jobs = {job.id for job in self.ledger()}
        assert set(self.jobs) <= accepted_jobs, "an accepted delivery was lost"
        endings: Counter[str] = Counter()
        with self._desk() as desk:
            for job_id in accepted_jobs:
                history = desk.attempts(job_id)
                ends = [attempt.end for attempt in history]
                assert ends.count(AttemptEnd.DONE) == 1, (job_id, ends)
                assert None not in ends, (job_id, ends)
                endings.update(str(end) for end in ends)
        self.swift.catch_up()
        wait_until(lambda: self.plant.run("gc", "--dry-run", "--json") == "", "no leftovers")
        found = self.content(reference)
        assert found.tracks == reference.tracks
        odd = differences(found.objects, reference.objects)
        assert not odd, odd
        at_once = 1 + WORKERS
        assert self.unlisted <= at_once * self.blows["store killed"]
        return {
            "deliveries": len(self.jobs),
            # More where an origin was killed between taking a delivery and saying so.
            "jobs": len(accepted_jobs),
            "blows": dict(self.blows),
            "attempts": dict(endings),
            "taken up by an operator": len(self.retried),
            "objects": len(found.objects),
            "objects that are read but not listed": self.unlisted,
            "content": hashlib.sha256(
                json.dumps(sorted(found.objects.items())).encode()
            ).hexdigest(),
        }

    def content(self, reference: Content) -> Content:
        """Return all that the plant holds.

        An object server of Swift that is killed between an object and its listing leaves one that
        is read but never listed: what ``reference`` holds is looked for by its key, too.
        """
        settings = read_settings(
            {name: text for name, text in self.plant.environment.items() if "LATHE_" in name}
        )
        os.environ.update(S3_CREDENTIALS)
        store = open_stores(settings)[0]
        found = content_of(settings.catalogue_url, store)
        unlisted = {}
        for key in reference.objects.keys() - found.objects.keys():
            with suppress(ObjectNotFound):
                unlisted[key] = hashlib.sha256(store.read(require_key(key))).hexdigest()
        self.unlisted = len(unlisted)
        return Content(tracks=found.tracks, objects={**found.objects, **unlisted})

    @contextmanager
    def _desk(self) -> Iterator[SqlDesk]:
        engine = open_engine(self.plant.environment["LATHE_CATALOGUE"])
        try:
            yield SqlDesk(engine)
        finally:
            engine.dispose()

    def require_nobody_left(self) -> None:
        """End the plant and require that no process of it remains."""
        wait_until(lambda: not self._frozen, "workers that are awake")
        for worker in self.workers:
            assert worker.stop() == 0
        assert self.plant.stop() in (0, -signal.SIGTERM)
        marker = f"LATHE_STATE={self.plant.state}".encode()
        wait_until(lambda: not list(_processes_with(marker)), "the end of every process")


def _processes_with(marker: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if marker in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def run(
    folder: Path,
    *,
    rounds: int,
    seed: int,
    tell: Callable[[str], None],
    **settings: str,
) -> dict[str, Any]:
    """Disturb a plant ``rounds`` times and return what was measured; raise AssertionError."""
    (folder / "masters").mkdir()
    masters = make_masters(folder / "masters", rounds)
    path = make_wav(folder / "masters" / "long.wav", samples=60 * 44_100)
    masters.append(Master(path=path, isrc="ZZTST2599999"))
    reference = undisturbed(masters, folder / "peace", **settings)
    tell(f"the undisturbed plant holds {len(reference.objects)} objects")
    chaos = Chaos(folder, random.Random(seed), **settings)
    try:
        seen = 0
        with chaos.delivering(masters[:-1]):
            for number, what in enumerate(chaos.plan(rounds)[:rounds], start=1):
                took_s = chaos.disturb(what)
                seen += chaos.require_whole()
                tell(f"{number:3} {what} ({took_s:.1f} s)")
        chaos.settle()
        measured = chaos.measure(masters[-1]) | chaos.require_order(reference)
        chaos.require_nobody_left()
    finally:
        chaos.close()
    return measured | {"tracks fetched whole meanwhile": seen}


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(description="Disturbs a plant and tells what came of it.")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    tell(f"seed {options.seed}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        # PostgreSQL runs as another user when root starts it.
        Path(name).chmod(0o755)
        began = time.monotonic()
        measured = run(
            Path(name),
            rounds=options.rounds,
            seed=options.seed,
            tell=tell,
        )
    tell(json.dumps(measured, indent=2))
    assert measured[_RECOVERY] <= RECOVERY_S
    assert measured[_CANCEL] <= CANCEL_S
    tell(f"all in order after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
