"""What an origin measures of its work, as Prometheus metrics."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import accumulate
from time import monotonic

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from catalogue.breaker import Breaker
from origin.visit import Stream

ACTIVE_S = 30.0
"""How long after its last chunk a stream is taken for active: three chunks' time."""

_FIRST_BYTE_S = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 1, 3, 10)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAMS = 50_000


class OriginMeasures:
    """The metrics of one process that answers requests, in a registry of its own.

    What is counted is counted in the thread of the event loop alone.
    """

    def __init__(self, registry: CollectorRegistry, breakers: Sequence[Breaker] = ()) -> None:
        self._answers = _Tally(
            "lathe_http_requests",
            "Requests by route and how they were answered.",
            ["method", "route", "status"],
        )
        self._seconds = _Times(
            "lathe_http_first_byte_seconds",
            "How long it took to the first byte of an answer.",
            ["route"],
        )
        self._refusals = _Tally(
            "lathe_refusals", "Requests that were refused, by error code.", ["code"]
        )
        self._streams = _Tally(
            "lathe_streams", "Streams that began, by quality and plan.", ["quality", "plan"]
        )
        self._starts = _Times(
            "lathe_stream_start_seconds",
            "How long a player waited for the manifest with which a stream began.",
            [],
        )
        self._caches = _Tally(
            "lathe_cache_asked",
            "How often a cache of the process was asked, and had it.",
            ["cache", "result"],
        )
        self._active = _ActiveStreams()
        self._playing = _Playing()
        for collector in (
            self._answers,
            self._seconds,
            self._refusals,
            self._streams,
            self._starts,
            self._caches,
            self._active,
            self._playing,
            _Breakers(breakers),
        ):
            registry.register(collector)

    def count_answer(self, method: str, route: str, status: int, first_byte_s: float) -> None:
        """Note how a request was answered, and how soon; an empty route is none of ours."""
        route = route or "none"
        self._answers.add((method if method in _METHODS else "other", route, str(status)))
        self._seconds.observe((route,), first_byte_s)

    def count_refusal(self, code: str) -> None:
        """Note that a request was refused, and why."""
        self._refusals.add((code,))

    def count_streams(self, begun: Iterable[Stream]) -> None:
        """Note that streams began."""
        for stream in begun:
            self._streams.add((stream.quality, stream.plan))
            self._playing.begin(stream)

    def observe_start(self, seconds: float) -> None:
        """Note how long the manifest took with which a stream began."""
        self._starts.observe((), seconds)

    def count_cache(self, cache: str, *, hit: bool) -> None:
        """Note whether a cache had what it was asked for."""
        self._caches.add((cache, "hit" if hit else "miss"))

    def see_stream(self, session: str, rendition_id: str, tier: str) -> None:
        """Note that a session fetches chunks of a rendition."""
        self._active.see(session, rendition_id, tier)


class _Tally(Collector):
    """A counter that costs a fraction of a microsecond: prometheus_client's own are for threads."""

    def __init__(self, name: str, words: str, labels: Sequence[str]) -> None:
        self._name, self._words, self._labels = name, words, labels
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, labels: tuple[str, ...]) -> None:
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted."""
        family = CounterMetricFamily(self._name, self._words, labels=self._labels)
        for labels, number in list(self._counts.items()):
            family.add_metric(labels, number)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead."""
        yield from ()


class _Times(Collector):
    """A histogram of seconds, as cheap as a tally."""

    def __init__(self, name: str, words: str, labels: Sequence[str]) -> None:
        self._name, self._words, self._labels = name, words, labels
        self._known: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        known = self._known.get(labels)
        if known is None:
            known = self._known[labels] = [0] * (len(_FIRST_BYTE_S) + 1), [0.0]
        counts, total = known
        counts[bisect_left(_FIRST_BYTE_S, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield how often it took how long."""
        family = HistogramMetricFamily(self._name, self._words, labels=self._labels)
        for labels, (counts, total) in list(self._known.items()):
            bounds = [*map(str, _FIRST_BYTE_S), "+Inf"]
            family.add_metric(
                labels, list(zip(bounds, accumulate(counts), strict=True)), sum_value=total[0]
            )
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead."""
        yield from ()


class _ActiveStreams(Collector):
    """Streams whose chunks this process gave within the last ``ACTIVE_S``, by tier.

    Chunks that an edge gives are not seen here.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}

    def see(self, session: str, rendition_id: str, tier: str) -> None:
        if len(self._seen) >= _STREAMS:
            self._prune()
        self._seen[session, rendition_id] = tier, monotonic()

    def collect(self) -> Iterator[Metric]:
        """Yield how many there are of each tier."""
        since = monotonic() - ACTIVE_S
        active = Counter(tier for tier, at in list(self._seen.values()) if at >= since)
        family = GaugeMetricFamily(
            "lathe_active_streams", "Streams that fetch chunks here.", labels=["tier"]
        )
        for tier, number in sorted(active.items()):
            family.add_metric([tier], number)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead."""
        yield from ()

    def _prune(self) -> None:
        since = monotonic() - ACTIVE_S
        kept = {key: seen for key, seen in self._seen.items() if seen[1] >= since}
        self._seen = kept if len(kept) < _STREAMS else {}


class _Playing(Collector):
    """Streams that began here and whose tracks are not over yet, by quality and plan.

    Whoever gives their chunks, it was an origin that gave the manifest. Who stops before the end is
    counted until then.
    """

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str], list[float]] = {}

    def begin(self, stream: Stream) -> None:
        now, ends = monotonic(), self._ends.setdefault((stream.quality, stream.plan), [])
        heappush(ends, now + stream.seconds)
        while ends and (ends[0] <= now or len(ends) > _STREAMS):
            heappop(ends)

    def collect(self) -> Iterator[Metric]:
        """Yield how many there are of each quality and plan."""
        now = monotonic()
        family = GaugeMetricFamily(
            "lathe_playing",
            "Streams that began here and whose tracks are not over yet.",
            labels=["quality", "plan"],
        )
        for labels, ends in sorted(self._ends.items()):
            family.add_metric(labels, sum(end > now for end in list(ends)))
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead."""
        yield from ()


class _Breakers(Collector):
    """The breakers before the parts that this process needs."""

    def __init__(self, breakers: Sequence[Breaker]) -> None:
        self._breakers = breakers

    def collect(self) -> Iterator[Metric]:
        """Yield whether each is open."""
        family = GaugeMetricFamily(
            "lathe_breaker_open",
            "Whether a part is told to be away without being asked.",
            labels=["part"],
        )
        for breaker in self._breakers:
            family.add_metric([breaker.part], breaker.is_open)
        yield family

    def describe(self) -> Iterator[Metric]:
        """Name nothing ahead."""
        yield from ()
