"""What every worker does beside its jobs: above all, send again what fell silent."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from catalogue.errors import LatheError
from catalogue.nouns import WorkQueue
from catalogue.port import Jobs
from workers.ledger import Patience
from workers.queue import Queue

log = logging.getLogger(__name__)


class Round:
    """Something that is done again and again, in a thread of its own, whatever goes wrong once."""

    def __init__(self, name: str, every: timedelta, do: Callable[[], object]) -> None:
        self._name, self._every, self._do = name, every, do
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with the first round."""
        self._thread.start()

    def stop(self) -> None:
        """End; a round under way is finished."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._do()
            except LatheError as fault:
                log.warning("%s put off: %s: %s", self._name, fault.code, fault.detail)
            except Exception:
                log.exception("%s failed", self._name)
            if self._stop.wait(self._every.total_seconds()):
                return


class Sweeper:
    """Looks through the ledger and sends what is due."""

    def __init__(
        self, jobs: Jobs, queue: Queue, *, now: Callable[[], datetime], patience: Patience
    ) -> None:
        self._jobs, self._queue = jobs, queue
        self._now, self._patience = now, patience
        self._started_at = now()

    def sweep_again(self) -> int:
        """Sweep as a worker does that began to work when this was made."""
        # A queue inside the process was lost with the last one: at first, send it all.
        return self.sweep(sent_before=max(self._started_at, self._now() - self._patience.resend))

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
