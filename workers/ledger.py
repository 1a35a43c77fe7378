"""Holding one job: the claim, its heartbeat, and how it ends."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from catalogue.context import bound
from catalogue.errors import JobLost, LatheError, Measure, Stopped, Unavailable, Unexpected
from catalogue.nouns import Job, JobId, Reason, WorkQueue
from catalogue.port import Jobs, WorkerName
from workers.measures import Measures

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long the ledger waits for what."""

    heartbeat: timedelta = timedelta(seconds=1)
    silence: timedelta = timedelta(seconds=10)
    resend: timedelta = timedelta(seconds=60)
    first_retry: timedelta = timedelta(seconds=5)
    longest_retry: timedelta = timedelta(minutes=1)
    max_silences: int = 3
    max_unexpected: int = 3
    max_insisting: int = 60

    def retry_after(self, attempts: int) -> timedelta:
        """Return the pause before the next attempt: doubled each time, up to the longest."""
        doublings = min(attempts - 1, 20)
        return min(self.longest_retry, self.first_retry * (1 << doublings))


class Moved(Exception):
    """The work belongs in another queue: it is no light work after all."""

    def __init__(self, queue: WorkQueue) -> None:
        super().__init__(queue)
        self.queue = queue


class HeldJob:
    """A job in the hands of this worker: what it says of its progress is beaten into the ledger.

    ``when_lost`` is called when the work has ended and the job was no longer this worker's.
    """

    def __init__(
        self, job: Job, claim: str, shutting_down: threading.Event, measures: Measures
    ) -> None:
        self.job = job
        self.claim = claim
        self.stage, self.percent = "start", 0
        self.lost = threading.Event()
        self.when_lost: Callable[[], None] = _do_nothing
        self._shutting_down = shutting_down
        self._measures = measures
        self._stage_began = time.monotonic()

    def report(self, stage: str, percent: int) -> None:
        """Say how far the work is; the next heartbeat carries it."""
        if stage != self.stage:
            now = time.monotonic()
            self._measures.observe_stage(self.stage, now - self._stage_began)
            self._stage_began = now
        self.stage, self.percent = stage, percent

    def should_stop(self) -> bool:
        """Whether the work is in vain: the process is stopping, or another worker has the job."""
        return self.lost.is_set() or self._shutting_down.is_set()


class Ledger:
    """Runs work on jobs so that each ends once, whatever happens to the worker."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        now: Callable[[], datetime],
        new_claim: Callable[[], str],
        worker: WorkerName,
        patience: Patience,
        shutting_down: threading.Event,
        measures: Measures,
    ) -> None:
        self._jobs = jobs
        self._now = now
        self._new_claim = new_claim
        self._worker = worker
        self._patience = patience
        self._shutting_down = shutting_down
        self._measures = measures

    def run(self, job_id: JobId, work: Callable[[HeldJob], None]) -> None:
        """Claim a job, do ``work``, and record how it went; do nothing when it is not free.

        ``work`` ends the job itself when it succeeds. Never raises but for a ledger that is away,
        when the sweeper of any worker picks the job up again.
        """
        claim = self._new_claim()
        job = self._jobs.claim(
            job_id,
            claim,
            worker=self._worker,
            now=self._now(),
            stale_before=self._now() - self._patience.silence,
            max_silences=self._patience.max_silences,
        )
        if job is None:
            return
        held = HeldJob(job, claim, self._shutting_down, self._measures)
        with bound(job=job_id, delivery=job.delivery_id), self._measures.holding():
            try:
                self._hold(held, work)
                log.info("held", extra={"stage": held.stage, "attempt": job.attempts})
            except JobLost:
                self._measures.count_end("lost")
                log.warning("lost: taken over by another worker, or cancelled")
                self._insist(held.when_lost)

    def _hold(self, held: HeldJob, work: Callable[[HeldJob], None]) -> None:
        """Do the work, and record how it went unless it ended the job. Raises JobLost."""
        job_id, claim = held.job.id, held.claim
        try:
            with self._beating(held):
                work(held)
            self._measures.count_end("done")
        except JobLost:
            raise
        except Moved as fault:
            queue = fault.queue
            self._insist(lambda: self._jobs.move(job_id, claim, queue=queue, now=self._now()))
            self._measures.count_end("moved")
        except Stopped:
            self._insist(lambda: self._jobs.release(job_id, claim, now=self._now()))
            self._measures.count_end("released")
        except Exception as fault:
            failure = fault
            self._insist(lambda: self._record(held.job, claim, failure))

    def _insist(self, write: Callable[[], None]) -> None:
        """Write to the ledger, again and again while it is away and nobody waits for this process.

        Else the job would look as if it had silenced its worker. Raises JobLost, and Unavailable
        when the ledger stays away.
        """
        for _ in range(self._patience.max_insisting):
            try:
                return write()
            except Unavailable:
                log.warning("the ledger is away, the end of the attempt waits")
            if self._shutting_down.wait(self._patience.heartbeat.total_seconds()):
                break
        write()

    @contextmanager
    def _beating(self, held: HeldJob) -> Iterator[None]:
        done = threading.Event()
        job_id, claim = held.job.id, held.claim

        def beat() -> None:
            while not done.wait(self._patience.heartbeat.total_seconds()):
                try:
                    self._jobs.beat(
                        job_id, claim, stage=held.stage, percent=held.percent, now=self._now()
                    )
                except JobLost:
                    held.lost.set()
                    return
                except Unavailable:
                    log.warning("the ledger is away, the heartbeat waits")

        beating = partial(copy_context().run, beat)
        thread = threading.Thread(target=beating, name=f"heartbeat {job_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _record(self, job: Job, claim: str, fault: Exception) -> None:
        now = self._now()
        known = isinstance(fault, LatheError)
        reason = describe(fault)
        if not known:
            log.error("failed unexpectedly", exc_info=fault)
        in_vain = isinstance(fault, LatheError) and not fault.retryable
        again = job.reason is not None and job.reason.code == Unexpected.code
        if in_vain or (not known and again and job.attempts >= self._patience.max_unexpected):
            log.error("failed: %s", reason.detail, extra={"code": reason.code, **_said(reason)})
            self._measures.count_failure(reason.code)
            self._jobs.fail(job.id, claim, reason=reason, now=now)
        else:
            due_at = now + self._patience.retry_after(job.attempts)
            log.warning("put off: %s", reason.detail, extra={"code": reason.code, **_said(reason)})
            self._measures.count_end("retried")
            self._jobs.retry(job.id, claim, reason=reason, due_at=due_at, now=now)


def _do_nothing() -> None:
    pass


def _said(reason: Reason) -> dict[str, Measure]:
    """Return what was measured, under names that no log record has itself."""
    return {f"measured_{name}": value for name, value in reason.measured.items()}


def describe(fault: Exception) -> Reason:
    """Return what a person is told about an error; nothing of an unexpected one but its kind."""
    if not isinstance(fault, LatheError):
        fault = Unexpected(f"{type(fault).__name__} was raised; the worker's log has it.")
    return Reason(
        code=fault.code,
        title=fault.title,
        detail=fault.detail,
        advice=fault.advice,
        measured=dict(fault.measured),
    )
