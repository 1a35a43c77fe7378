"""What an origin measures of its work, as Prometheus metrics."""

from collections import Counter as Counted
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from catalogue.breaker import Breaker

ACTIVE_S = 30.0
"""How long after its last chunk a stream is taken for active: three chunks' time."""

_FIRST_BYTE_S = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 1, 3, 10)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAMS = 50_000


class OriginMeasures:
    """The metrics of one process that answers requests, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry, breakers: Sequence[Breaker] = ()) -> None:
        self._answers = _Labelled(
            Counter(
                "lathe_http_requests",
                "Requests by route and how they were answered.",
                ["method", "route", "status"],
                registry=registry,
            )
        )
        self._seconds = _LabelledTimes(
            Histogram(
                "lathe_http_first_byte_seconds",
                "How long it took to the first byte of an answer.",
                ["route"],
                buckets=_FIRST_BYTE_S,
                registry=registry,
            )
        )
        self._refusals = _Labelled(
            Counter(
                "lathe_refusals",
                "Requests that were refused, by error code.",
                ["code"],
                registry=registry,
            )
        )
        self._streams = _Labelled(
            Counter(
                "lathe_streams",
                "Streams that began, by quality and plan.",
                ["quality", "plan"],
                registry=registry,
            )
        )
        self._starts = Histogram(
            "lathe_stream_start_seconds",
            "How long a player waited for the manifest with which a stream began.",
            buckets=_FIRST_BYTE_S,
            registry=registry,
        )
        self._caches = _Labelled(
            Counter(
                "lathe_cache_asked",
                "How often a cache of the process was asked, and had it.",
                ["cache", "result"],
                registry=registry,
            )
        )
        self._active = _ActiveStreams()
        registry.register(self._active)
        registry.register(_Breakers(breakers))

    def count_answer(self, method: str, route: str, status: int, first_byte_s: float) -> None:
        """Note how a request was answered, and how soon; an empty route is none of ours."""
        route = route or "none"
        self._answers.add(method if method in _METHODS else "other", route, str(status))
        self._seconds.observe(route, first_byte_s)

    def count_refusal(self, code: str) -> None:
        """Note that a request was refused, and why."""
        self._refusals.add(code)

    def count_streams(self, begun: Iterable[tuple[str, str]]) -> None:
        """Note that streams began, by quality and plan."""
        for quality, plan in begun:
            self._streams.add(quality, plan)

    def observe_start(self, seconds: float) -> None:
        """Note how long the manifest took with which a stream began."""
        self._starts.observe(seconds)

    def count_cache(self, cache: str, hit: bool) -> None:
        """Note whether a cache had what it was asked for."""
        self._caches.add(cache, "hit" if hit else "miss")

    def see_stream(self, session: str, rendition_id: str, tier: str) -> None:
        """Note that a session fetches chunks of a rendition."""
        self._active.see(session, rendition_id, tier)


class _Labelled:
    """A counter whose labels are looked up once."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._known: dict[tuple[str, ...], Callable[[], None]] = {}

    def add(self, *labels: str) -> None:
        add = self._known.get(labels)
        if add is None:
            add = self._known[labels] = self._counter.labels(*labels).inc
        add()


class _LabelledTimes:
    """A histogram whose label is looked up once."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._known: dict[str, Callable[[float], None]] = {}

    def observe(self, label: str, seconds: float) -> None:
        observe = self._known.get(label)
        if observe is None:
            observe = self._known[label] = self._histogram.labels(label).observe
        observe(seconds)


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
        active = Counted(tier for tier, at in list(self._seen.values()) if at >= since)
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
