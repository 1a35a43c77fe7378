"""The sweeper: sends again what was never picked up and what a silent worker left behind."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from catalogue.errors import LatheError
from catalogue.nouns import WorkQueue
from catalogue.port import Jobs
from workers.ledger import Patience
from workers.queue import Queue

log = logging.getLogger(__name__)


class Sweeper:
    """Looks through the ledger now and then and sends what is due."""

    def __init__(
        self, jobs: Jobs, queue: Queue, *, now: Callable[[], datetime], patience: Patience
    ) -> None:
        self._jobs, self._queue = jobs, queue
        self._now, self._patience = now, patience
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep from now on, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop sweeping; a sweep under way is finished."""
        self._stop.set()
        self._thread.join()

    def sweep(self, *, sent_before: datetime) -> int:
        """Send what is due and was not sent since ``sent_before``; return how many jobs.

        No queue gets more than it has room for, so that a long ledger never fills the broker.
        """
        return sum(self._sweep(queue, sent_before) for queue in WorkQueue)

    def _sweep(self, queue: WorkQueue, sent_before: datetime) -> int:
        room = self._queue.room(queue)
        if not room:
            return 0
        now = self._now()
        due = self._jobs.due(
            queue,
            now=now,
            stale_before=now - self._patience.silence,
            sent_before=sent_before,
            limit=room,
        )
        for job_id in due:
            if self._queue.send(job_id, queue):
                self._jobs.mark_sent(job_id, now=now)
        return len(due)

    def _run(self) -> None:
        started_at = self._now()
        while True:
            try:
                # A queue inside the process was lost with the last one: at first, send it all.
                self.sweep(sent_before=max(started_at, self._now() - self._patience.resend))
            except LatheError as fault:
                log.warning("sweep put off: %s: %s", fault.code, fault.detail)
            except Exception:
                log.exception("sweep failed")
            if self._stop.wait(self._patience.heartbeat.total_seconds()):
                return
