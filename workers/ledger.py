"""Holding one job: the claim, its heartbeat, and how it ends."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalogue.errors import JobLost, LatheError, Stopped, Unavailable, Unexpected
from catalogue.nouns import Job, JobId, Reason
from catalogue.port import Jobs

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long the ledger waits for what."""

    heartbeat: timedelta = timedelta(seconds=2)
    silence: timedelta = timedelta(seconds=12)
    resend: timedelta = timedelta(seconds=60)
    first_retry: timedelta = timedelta(seconds=5)
    longest_retry: timedelta = timedelta(minutes=10)
    max_silences: int = 3
    max_unexpected: int = 3

    def retry_after(self, attempts: int) -> timedelta:
        """Return the pause before the next attempt: doubled each time, up to the longest."""
        doublings = min(attempts - 1, 20)
        return min(self.longest_retry, self.first_retry * (1 << doublings))


class HeldJob:
    """A job in the hands of this worker: what it says of its progress is beaten into the ledger."""

    def __init__(self, job: Job, shutting_down: threading.Event) -> None:
        self.job = job
        self.stage, self.percent = "start", 0
        self.lost = threading.Event()
        self._shutting_down = shutting_down

    def report(self, stage: str, percent: int) -> None:
        """Say how far the work is; the next heartbeat carries it."""
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
        patience: Patience,
        shutting_down: threading.Event,
    ) -> None:
        self._jobs = jobs
        self._now = now
        self._new_claim = new_claim
        self._patience = patience
        self._shutting_down = shutting_down

    def run(self, job_id: JobId, work: Callable[[HeldJob], None]) -> None:
        """Claim a job, do ``work``, and record how it went; do nothing when it is not free.

        ``work`` ends the job itself when it succeeds. Never raises but for a ledger that is away,
        when the sweeper of any worker picks the job up again.
        """
        claim = self._new_claim()
        job = self._jobs.claim(
            job_id,
            claim,
            now=self._now(),
            stale_before=self._now() - self._patience.silence,
            max_silences=self._patience.max_silences,
        )
        if job is None:
            return
        try:
            self._hold(HeldJob(job, self._shutting_down), claim, work)
        except JobLost:
            log.warning("job %s was taken over by another worker", job_id)

    def _hold(self, held: HeldJob, claim: str, work: Callable[[HeldJob], None]) -> None:
        """Do the work, and record how it went unless it ended the job. Raises JobLost."""
        try:
            with self._beating(held, claim):
                work(held)
        except JobLost:
            raise
        except Stopped:
            self._jobs.release(held.job.id, claim, now=self._now())
        except Exception as fault:
            self._record(held.job, claim, fault)

    @contextmanager
    def _beating(self, held: HeldJob, claim: str) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._patience.heartbeat.total_seconds()):
                try:
                    self._jobs.beat(
                        held.job.id, claim, stage=held.stage, percent=held.percent, now=self._now()
                    )
                except JobLost:
                    held.lost.set()
                    return
                except Unavailable:
                    log.warning("job %s: the ledger is away, the heartbeat waits", held.job.id)

        thread = threading.Thread(target=beat, name=f"heartbeat {held.job.id}", daemon=True)
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
            log.error("job %s failed unexpectedly", job.id, exc_info=fault)
        in_vain = isinstance(fault, LatheError) and not fault.retryable
        again = job.reason is not None and job.reason.code == Unexpected.code
        if in_vain or (not known and again and job.attempts >= self._patience.max_unexpected):
            log.info("job %s failed: %s: %s", job.id, reason.code, reason.detail)
            self._jobs.fail(job.id, claim, reason=reason, now=now)
        else:
            due_at = now + self._patience.retry_after(job.attempts)
            self._jobs.retry(job.id, claim, reason=reason, due_at=due_at, now=now)


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
