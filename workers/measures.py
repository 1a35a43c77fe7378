"""What workers measure of their work, as Prometheus metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_STAGE_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)
_SPEEDS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class Measures:
    """The metrics of one process, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._stage = Histogram(
            "lathe_stage_seconds",
            "How long jobs were in a stage.",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self._ends = Counter(
            "lathe_attempts", "Attempts at jobs by how they ended.", ["end"], registry=registry
        )
        self._failures = Counter(
            "lathe_failures", "Jobs that failed, by error code.", ["code"], registry=registry
        )
        self._speed = Histogram(
            "lathe_press_speed",
            "Seconds of music pressed per second, all tiers together.",
            buckets=_SPEEDS,
            registry=registry,
        )
        self._held = Gauge(
            "lathe_jobs_held", "Jobs that this process is working on.", registry=registry
        )

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Count a job as being worked on while the context lasts."""
        with self._held.track_inprogress():
            yield

    def observe_stage(self, stage: str, seconds: float) -> None:
        """Note that a job was in ``stage`` for so long."""
        self._stage.labels(stage).observe(seconds)

    def observe_press(self, music_s: float, taken_s: float) -> None:
        """Note how long it took to press so many seconds of music."""
        self._speed.observe(music_s / taken_s if taken_s else 0.0)

    def count_end(self, end: str) -> None:
        """Note how an attempt ended."""
        self._ends.labels(end).inc()

    def count_failure(self, code: str) -> None:
        """Note that a job failed, and why."""
        self.count_end("failed")
        self._failures.labels(code).inc()
