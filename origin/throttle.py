"""How often everybody may ask for what.

What is asked for often is counted ahead in small lots, so that few requests wait for Redis; a lot
is good for the fixed window that it was counted in. A play is counted once, whichever process it
is asked of. Where Redis is away, each process counts by itself.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from threading import Lock

from catalogue.errors import SettingsInvalid, TooManyRequests, Unavailable
from catalogue.fleeting.limits import MemoryLimits
from catalogue.people_port import Limit, Limits, Verdict
from origin.remembered import Remembered
from origin.visit import Visit


class Category(StrEnum):
    """What requests are counted as; each but a sign-in, a play and a collection is one of these."""

    STREAM = "stream"
    SEARCH = "search"
    LIBRARY = "library"
    RECOMMENDATIONS = "recommendations"
    ADMIN = "admin"
    LOGIN = "login"
    PLAYS = "plays"
    COLLECTIONS = "collections"
    UPLOADS = "uploads"
    GLOBAL = "global"


_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)

USUAL: Mapping[Category, Limit] = {
    Category.STREAM: Limit(count=300, window=_MINUTE),
    Category.SEARCH: Limit(count=30, window=_MINUTE),
    Category.LIBRARY: Limit(count=100, window=_MINUTE),
    Category.RECOMMENDATIONS: Limit(count=20, window=_MINUTE),
    Category.ADMIN: Limit(count=50, window=_MINUTE),
    Category.LOGIN: Limit(count=5, window=15 * _MINUTE),
    Category.PLAYS: Limit(count=1000, window=_DAY),
    Category.COLLECTIONS: Limit(count=5, window=60 * _MINUTE),
    Category.UPLOADS: Limit(count=3000, window=_MINUTE),
    Category.GLOBAL: Limit(count=100, window=_MINUTE),
}

PLAY_LASTS = timedelta(hours=1)
"""Within this, a track that is asked for again is still the same play."""

_UNITS = {"s": timedelta(seconds=1), "min": _MINUTE, "h": 60 * _MINUTE, "day": _DAY}
_SAID = re.compile(r"([a-z]+)=([1-9][0-9]{0,8})/([1-9][0-9]{0,4})?(s|min|h|day)")
_LOTS = 30
_KNOWN = 100_000


_EPOCH = datetime.fromtimestamp(0, UTC)


def parse_limits(text: str) -> Mapping[Category, Limit]:
    """Return the usual limits with those of ``text``: ``stream=300/min login=5/15min``.

    Raises SettingsInvalid.
    """
    limits = dict(USUAL)
    for word in text.split():
        said = _SAID.fullmatch(word)
        if said is None or said[1] not in list(Category):
            raise SettingsInvalid(
                "Limits are written as stream=300/min or login=5/15min, for "
                f"{', '.join(Category)}.",
                setting="LATHE_LIMITS",
            )
        window = int(said[3] or 1) * _UNITS[said[4]]
        limits[Category(said[1])] = Limit(count=int(said[2]), window=window)
    return limits


def _write_policy(category: Category, limit: Limit) -> tuple[tuple[bytes, bytes], bytes]:
    """Return the header that tells of a limit, and by what name it does."""
    name = f'"{category}"'.encode("ascii")
    policy = b"%s;q=%d;w=%d" % (name, limit.count, limit.window // timedelta(seconds=1))
    return (b"ratelimit-policy", policy), name


@dataclass(slots=True)
class _Lot:
    """What is left of what was counted ahead, in which window, and how much could be counted."""

    since: datetime
    until: datetime
    left: int
    remaining: int


class Throttle:
    """Counts requests and plays, and refuses those that are too many. Threads may share it."""

    def __init__(
        self, limits: Limits, allowed: Mapping[Category, Limit], *, now: Callable[[], datetime]
    ) -> None:
        self._limits, self._allowed, self._now = limits, allowed, now
        self._own = MemoryLimits()
        self._waits = not isinstance(limits, MemoryLimits)
        self._lots: Remembered[tuple[Category, str], _Lot] = Remembered(_KNOWN)
        self._plays: Remembered[tuple[str, str], datetime] = Remembered(_KNOWN)
        self._lock = Lock()
        self._policies = {
            category: _write_policy(category, limit) for category, limit in allowed.items()
        }

    def limit(self, category: Category) -> Limit:
        """Return how often something may be done."""
        return self._allowed[category]

    def admit_at_once(self, visit: Visit, category: Category, who: str, now: datetime) -> bool:
        """Count a request of ``who`` if that needs no waiting; return whether it is counted.

        Raises TooManyRequests where it was refused before.
        """
        if visit.refused is not None:
            raise visit.refused
        if not visit.admitted:
            with self._lock:
                left = self._recall(category, who, now)
            if left is None:
                return False
            self._note(visit, category, left)
        return True

    def admit(self, visit: Visit, category: Category, who: str) -> None:
        """Count a request of ``who``, once however often it is asked. Raises TooManyRequests."""
        if self.admit_at_once(visit, category, who, self._now()):
            return
        verdict = self._take(category, who)
        self._note(visit, category, verdict.remaining, verdict.retry_after_s)
        if not verdict.allowed:
            visit.refused = self._refuse(category, verdict)
            raise visit.refused

    def admit_more(self, visit: Visit, category: Category, who: str) -> None:
        """Count once more a request that was admitted. Raises TooManyRequests."""
        with self._lock:
            left = self._recall(category, who, self._now())
        if left is None:
            verdict = self._take(category, who)
            if not verdict.allowed:
                raise self._refuse(category, verdict)
            left = verdict.remaining
        visit.headers = [each for each in visit.headers if not each[0].startswith(b"ratelimit")]
        self._note(visit, category, left)

    def play_at_once(self, who: str, track_id: str, now: datetime) -> bool | None:
        """Count a play unless it goes on; return whether it begins, None where that must wait.

        It goes on where ``who`` began it within ``PLAY_LASTS``.
        """
        with self._lock:
            began = self._plays.get((who, track_id))
        if began is not None and timedelta() <= now - began < PLAY_LASTS:
            return False
        if self._waits:
            return None
        verdict = self._begin(who, track_id, now)
        if verdict is None:
            return False
        return True if verdict.allowed else None

    def play(self, who: str, track_id: str) -> bool:
        """Count a play as ``play_at_once`` does, wherever it has to ask. Raises TooManyRequests."""
        now = self._now()
        begins = self.play_at_once(who, track_id, now)
        if begins is not None:
            return begins
        verdict = self._begin(who, track_id, now)
        if verdict is not None and not verdict.allowed:
            raise self._refuse(Category.PLAYS, verdict)
        return verdict is not None

    def _begin(self, who: str, track_id: str, now: datetime) -> Verdict | None:
        """Count a play and return the verdict on it; None where it goes on, whoever counted it."""
        key, limit = f"{Category.PLAYS}:{who}", self._allowed[Category.PLAYS]
        try:
            found = self._limits.take_once(key, track_id, limit, now=now, lasts=PLAY_LASTS)
        except Unavailable:
            found = self._own.take_once(key, track_id, limit, now=now, lasts=PLAY_LASTS)
        verdict = found if isinstance(found, Verdict) else None
        if verdict is None or verdict.allowed:
            with self._lock:
                self._plays.put((who, track_id), now if isinstance(found, Verdict) else found)
        return verdict

    def count(self, category: Category, who: str) -> None:
        """Count what is counted beside the request that it comes with. Raises TooManyRequests."""
        verdict = self._take(category, who)
        if not verdict.allowed:
            raise self._refuse(category, verdict)

    def _recall(self, category: Category, who: str, now: datetime) -> int | None:
        """Use one of what was counted ahead, if any is left; return how many more there are."""
        lot = self._lots.get((category, who))
        if lot is None or not lot.left or not lot.since <= now < lot.until:
            return None
        lot.left -= 1
        return lot.remaining + lot.left

    def _take(self, category: Category, who: str) -> Verdict:
        limit, (since, until) = self._allowed[category], self._window(category, self._now())
        size = max(1, limit.count // _LOTS)
        verdict = self._count(category, who, size)
        if not verdict.allowed and size > 1:
            size, verdict = 1, self._count(category, who, 1)
        if not verdict.allowed or size == 1:
            return verdict
        with self._lock:
            known = self._lots.get((category, who))
            left = size - 1
            if known is not None and known.since == since:
                left += known.left
            self._lots.put((category, who), _Lot(since, until, left, verdict.remaining))
        return Verdict(allowed=True, remaining=verdict.remaining + left, retry_after_s=0)

    def _count(self, category: Category, who: str, count: int) -> Verdict:
        key, limit, now = f"{category}:{who}", self._allowed[category], self._now()
        try:
            return self._limits.take([key], limit, now=now, count=count)
        except Unavailable:
            return self._own.take([key], limit, now=now, count=count)

    def _window(self, category: Category, now: datetime) -> tuple[datetime, datetime]:
        """Return the window that a moment is in: from when, and until before when."""
        window = self._allowed[category].window
        since = now - (now - _EPOCH) % window
        return since, since + window

    def _note(self, visit: Visit, category: Category, left: int, retry_after_s: int = 0) -> None:
        """Tell the caller how much is left; draft-ietf-httpapi-ratelimit-headers has the form."""
        visit.admitted = True
        policy, name = self._policies[category]
        wait = b";t=%d" % retry_after_s if retry_after_s else b""
        visit.headers += policy, (b"ratelimit", b"%s;r=%d%s" % (name, left, wait))

    def _refuse(self, category: Category, verdict: Verdict) -> TooManyRequests:
        limit = self._allowed[category]
        window_s = limit.window // timedelta(seconds=1)
        return TooManyRequests(
            f"More than {limit.count} of the kind {category!r} within {window_s} s.",
            category=category,
            limit=limit.count,
            window_s=window_s,
            retry_after_s=verdict.retry_after_s,
        )
