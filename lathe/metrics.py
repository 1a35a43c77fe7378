"""Prometheus metrics of a process, and of the whole plant as the ledger knows it."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from catalogue.errors import AddressUnavailable, Unavailable
from catalogue.nouns import JobState
from catalogue.port import Desk


class PlantCollector(Collector):
    """Asks the ledger how full its queues are whenever the metrics are read."""

    def __init__(self, desk: Desk, *, now: Callable[[], datetime], silence: timedelta) -> None:
        self._desk, self._now, self._silence = desk, now, silence

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; only ``lathe_catalogue_up`` when the ledger is away."""
        up = GaugeMetricFamily("lathe_catalogue_up", "Whether the job ledger answers.")
        try:
            found = list(self._measure())
        except Unavailable:
            found = []
        up.add_metric([], 1 if found else 0)
        yield from (up, *found)

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead, so that registering asks the ledger nothing."""
        yield from ()

    def _measure(self) -> Iterator[Metric]:
        now = self._now()
        jobs = GaugeMetricFamily(
            "lathe_jobs", "Jobs by queue and state.", labels=["queue", "state"]
        )
        age = GaugeMetricFamily(
            "lathe_oldest_due_seconds", "How long the oldest due job has waited.", labels=["queue"]
        )
        drained = GaugeMetricFamily(
            "lathe_queue_drained", "Whether workers take no jobs of it.", labels=["queue"]
        )
        for census in self._desk.census(now=now):
            for state in JobState:
                jobs.add_metric([census.queue, state], census.states.get(state, 0))
            since = census.oldest_due_at or now
            age.add_metric([census.queue], (now - since).total_seconds())
            drained.add_metric([census.queue], census.drained)
        workers = GaugeMetricFamily("lathe_workers_busy", "Workers that hold a job and live.")
        workers.add_metric([], len(self._desk.workers(since=now - self._silence)))
        yield from (jobs, age, drained, workers)


def export(registry: CollectorRegistry, *, host: str, port: int) -> None:
    """Serve the registry over HTTP from a thread of its own. Raises AddressUnavailable."""
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as fault:
        raise AddressUnavailable(
            f"{host} port {port}: {fault.strerror}.", host=host, port=port
        ) from fault
