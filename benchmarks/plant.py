"""``make bench``: what the plant adds to a press, and how it grows with machines and with jobs.

Each worker is bound to one core, as if it were a machine of its own; Redis and PostgreSQL run on
what is left, as they do in production.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import redis
from sqlalchemy import Engine, Table, event, insert

from benchmarks.masters import make_long_master
from benchmarks.measure import run_lathe
from catalogue.database.desk import SqlDesk
from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.jobs import SqlJobs
from catalogue.database.schema import deliveries, jobs, tracks
from catalogue.database.tracks import SqlTracks
from catalogue.nouns import Job, JobId, JobState, WorkQueue
from catalogue.port import WorkerName
from tests.audio.pressings import make_wav
from tests.contract.examples import (
    AAC,
    ALAC,
    OGG,
    make_delivery,
    make_metadata,
    make_pressing,
    sha256_of,
)
from tests.e2e.servers import Plant, accepted, deliver
from tests.engines import PostgresServer, RedisServer
from workers.broker import build_broker
from workers.ledger import Patience
from workers.queue import WINDOW, Queue
from workers.recovery import Sweeper

_BATCH = 16
_BATCH_MASTER_S = 20
_SHORT_TRACK_S = 120
_LEDGER_JOBS = 300
_LONG_LEDGER = 100_000
_SWEEPS = 20
_POLL_S = 0.25
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Engines:
    """The servers under a plant."""

    postgres: PostgresServer
    redis: RedisServer

    def cpu_s(self) -> float:
        """Return the CPU that both have used until now, ended backends included."""
        return sum(_cpu_of_tree(engine.pid) for engine in (self.postgres, self.redis))


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        # PostgreSQL runs as another user when root starts it.
        folder.chmod(0o755)
        engines = Engines(
            postgres=stack.enter_context(PostgresServer(_make(folder / "postgres"))),
            redis=stack.enter_context(RedisServer(_make(folder / "redis"))),
        )
        _more_workers(engines, folder)
        _the_ledger(engines, folder)
        _many_jobs(engines)


def _more_workers(engines: Engines, folder: Path) -> None:
    masters = [
        make_wav(folder / f"{number}.wav", samples=_BATCH_MASTER_S * 44_100 + number)
        for number in range(_BATCH)
    ]
    cores = sorted(os.sched_getaffinity(0))[:2]
    seconds = {
        count: _press_batch(engines, folder, masters, cores[:count]) for count in (1, len(cores))
    }
    for count, wall_s in seconds.items():
        ratio = seconds[1] / wall_s
        print(f"{_BATCH} masters, workers of one core each: {count}: {wall_s:.1f} s, {ratio:.2f} ×")


def _press_batch(
    engines: Engines, folder: Path, masters: Sequence[Path], cores: Sequence[int]
) -> float:
    """Return how long workers bound to ``cores`` take from the first claim to the last."""
    state = folder / f"state-{len(cores)}"
    plant = Plant(
        state,
        CATALOGUE=engines.postgres.make_database(f"batch_{len(cores)}"),
        STORE=f"file://{state / 'store'}",
        QUEUE=f"redis://127.0.0.1:{engines.redis.port}/{len(cores)}",
        TERRITORY="US",
    )
    plant.key = plant.make_key("label")
    with ExitStack() as stack:
        stack.enter_context(plant)
        label = stack.enter_context(plant.client())
        accepted_jobs = [
            JobId(accepted(deliver(label, master, isrc=f"ZZTST26{number:05}")))
            for number, master in enumerate(masters)
        ]
        for core in cores:
            words = ("taskset", "-c", str(core))
            stack.enter_context(plant.worker(f"worker-{core}", "--threads", "1", before=words))
        desk = SqlDesk(open_engine(plant.environment["LATHE_CATALOGUE"]))
        while any(job.finished_at is None for job in _all_jobs(desk)):
            time.sleep(_POLL_S)
        began = min(desk.attempts(job_id)[0].started_at for job_id in accepted_jobs)
        last = max(job.finished_at or began for job in _all_jobs(desk))
    shutil.rmtree(state)
    return (last - began).total_seconds()


def _all_jobs(desk: SqlDesk) -> list[Job]:
    return desk.page(states=(), queues=(), after="", limit=2 * _BATCH)


def _the_ledger(engines: Engines, folder: Path) -> None:
    """Do all but the press itself for many jobs, and set it beside a press."""
    catalogue = open_engine(engines.postgres.make_database("ledger"))
    upgrade(catalogue)
    accepting, ledger = SqlTracks(catalogue), SqlJobs(catalogue)
    queue = Queue(build_broker(f"redis://127.0.0.1:{engines.redis.port}/9"))
    worker = WorkerName(name="machine:1", version="0")
    stale = datetime.now(UTC) - timedelta(minutes=1)

    def once(number: int) -> None:
        job_id, claim, master = JobId(f"job_{number}"), f"clm_{number}", f"master-{number}"
        pressing = make_pressing(OGG, AAC, ALAC, master=master)
        current = [rendition.id for rendition in pressing.renditions]
        now = datetime.now(UTC)
        delivery = make_delivery(number, master_sha256=sha256_of(master), created_at=now)
        accepting.accept(delivery, make_metadata(isrc=f"ZZTST26{number:05}"), job_id)
        queue.send(job_id, WorkQueue.URGENT)
        ledger.mark_sent(job_id, now=now)
        ledger.claim(
            job_id, claim, worker=worker, now=datetime.now(UTC), stale_before=stale, max_silences=3
        )
        ledger.delivery(job_id)
        ledger.missing(current)
        for _ in range(5):
            ledger.beat(job_id, claim, stage="press", percent=50, now=datetime.now(UTC))
        ledger.publish(job_id, claim, current=current, pressing=pressing, now=datetime.now(UTC))

    once(0)
    own, theirs = time.process_time(), engines.cpu_s()
    for number in range(1, _LEDGER_JOBS + 1):
        once(number)
    per_job = (time.process_time() - own + engines.cpu_s() - theirs) / _LEDGER_JOBS
    master = make_long_master(folder, "prelude.flac", _SHORT_TRACK_S)
    press = run_lathe(["transcode", master, "--out", folder / "pressed"])
    share = per_job / press.cpu_s
    print(
        f"ledger and queue, five heartbeats included: {per_job * 1000:.1f} CPU ms a job, "
        f"{share:.2%} of pressing {_SHORT_TRACK_S} s of music ({press.cpu_s:.1f} CPU s)"
    )


def _many_jobs(engines: Engines) -> None:
    """Queue very many jobs, and look at what grows with them."""
    catalogue = open_engine(engines.postgres.make_database("many"))
    upgrade(catalogue)
    url = f"redis://127.0.0.1:{engines.redis.port}/10"
    broker = redis.Redis.from_url(url)
    queue = Queue(build_broker(url))
    patience = Patience()
    ledger, desk = SqlJobs(catalogue), SqlDesk(catalogue)
    sweeper = Sweeper(ledger, queue, now=lambda: datetime.now(UTC), patience=patience)
    for count in (1000, _LONG_LEDGER):
        with writing(catalogue) as connection:
            held = len(desk.page(states=(), queues=(), after="", limit=1000))
            for start in range(held, count, 10_000):
                for table, rows in _rows(range(start, min(start + 10_000, count))):
                    connection.execute(insert(table), rows)
        with psycopg.connect(str(catalogue.url.set(drivername="postgresql")), autocommit=True) as c:
            c.execute("ANALYZE")
        sweeper.sweep(sent_before=datetime.now(UTC) - patience.resend)
        own = _own_memory_bytes()
        sweep_s = _time(
            lambda: sweeper.sweep(sent_before=datetime.now(UTC) - patience.resend), _SWEEPS
        )
        used = broker.info("memory")
        assert isinstance(used, dict)
        print(
            f"{count:,} jobs queued: broker {used['used_memory'] / 1e6:.1f} MB, "
            f"sweeper {own / 1e6:.0f} MB, a sweep {sweep_s * 1000:.1f} ms"
        )
        for what, ask in _questions(ledger, desk, patience).items():
            how = "reads all" if _read_whole(catalogue, ask) else "by index"
            print(f"    {what}: {_time(ask, _SWEEPS) * 1000:.1f} ms, {how}")


def _questions(
    ledger: SqlJobs, desk: SqlDesk, patience: Patience
) -> dict[str, Callable[[], object]]:
    now = datetime.now(UTC)
    return {
        "what is due": lambda: ledger.due(
            WorkQueue.URGENT,
            now=now,
            stale_before=now - patience.silence,
            sent_before=now - patience.resend,
            limit=WINDOW,
        ),
        "a job": lambda: ledger.get(JobId("job_00000500")),
        "a page": lambda: desk.page(states=[JobState.QUEUED], queues=(), after="", limit=50),
        "who works": lambda: desk.workers(since=now),
        "the census": lambda: desk.census(now=now),
    }


def _read_whole(engine: Engine, work: Callable[[], object]) -> bool:
    """Return whether PostgreSQL reads the whole table of jobs for ``work``."""
    plans: list[str] = []

    def explain(
        _: object, cursor: psycopg.Cursor[Any], statement: str, given: Any, *__: object
    ) -> None:
        if statement.startswith("SELECT"):
            plan = cursor.connection.execute(f"EXPLAIN {statement}".encode(), given)
            plans.extend(str(row[0]) for row in plan)

    event.listen(engine, "before_cursor_execute", explain)
    work()
    event.remove(engine, "before_cursor_execute", explain)
    return any("Seq Scan on jobs" in line for line in plans)


def _rows(numbers: range) -> Iterator[tuple[Table, list[dict[str, object]]]]:
    now = datetime.now(UTC)
    queues = (WorkQueue.BULK, WorkQueue.BULK, WorkQueue.URGENT, WorkQueue.LIGHT)
    yield (
        tracks,
        [
            {"id": f"trk_{n:08}", "label": "label", "isrc": f"ZZ{n:010}", "title": "", "artist": "",
             "updated_at": now}
            for n in numbers
        ],
    )  # fmt: skip
    yield (
        deliveries,
        [
            {"id": f"dlv_{n:08}", "label": "label", "track_id": f"trk_{n:08}",
             "master_sha256": sha256_of(str(n)), "filename": "a.wav", "size_bytes": 1,
             "created_at": now, "queue": queues[n % 4]}
            for n in numbers
        ],
    )  # fmt: skip
    yield (
        jobs,
        [
            {"id": f"job_{n:08}", "delivery_id": f"dlv_{n:08}", "track_id": f"trk_{n:08}",
             "queue": queues[n % 4], "state": JobState.QUEUED, "stage": "wait", "percent": 0,
             "attempts": 0, "silences": 0, "due_at": now, "created_at": now, "updated_at": now}
            for n in numbers
        ],
    )  # fmt: skip


def _time(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def _own_memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_of_tree(pid: int) -> float:
    """Return the CPU seconds of a process, its living children, and those that have ended."""
    spent = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(folder.name) == pid:
            spent += sum(map(int, fields[11:15])) * _TICK_S
        elif int(fields[1]) == pid:
            spent += sum(map(int, fields[11:13])) * _TICK_S
    return spent


def _make(folder: Path) -> Path:
    folder.mkdir(mode=0o755)
    return folder


if __name__ == "__main__":
    main()
