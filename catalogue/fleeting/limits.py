"""Sliding windows of what was done lately, in Redis and in the process; see catalogue.port.Limits.

Each key has a count for the fixed window that the moment lies in and one for the window before,
whose share is what of it lies within the last window: two numbers, however high the limit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from catalogue.fleeting.client import GuardedRedis, asking
from catalogue.people_port import Limit, Verdict

_PRUNED_AT = 10_000
_EPOCH = datetime.fromtimestamp(0, UTC)
_MS = timedelta(milliseconds=1)
_DONE = 2

# KEYS: for each key its count now and its count before. ARGV: most, how much of the window before
# still counts and the window, both in ms, and what to add. Gives whether there was room, and the
# fullest key's two counts, after adding.
_COUNT = """
local most, left, window, step = unpack(ARGV)
left, window, step = tonumber(left), tonumber(window), tonumber(step)
local full, now, before = -1, 0, 0
for i = 1, #KEYS, 2 do
  local c = tonumber(redis.call('GET', KEYS[i]) or '0')
  local b = tonumber(redis.call('GET', KEYS[i + 1]) or '0')
  if c * window + b * left > full then full, now, before = c * window + b * left, c, b end
end
if step > 0 and full + step * window > most * window then return {0, now, before} end
for i = 1, #KEYS, 2 do
  if step > 0 or tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then
    redis.call('INCRBY', KEYS[i], step)
    redis.call('PEXPIRE', KEYS[i], 2 * window)
  end
end
return {1, now + step, before}
"""

# The same for one key; KEYS[3] has when it was done last. ARGV goes on with now and how long that
# lasts, in ms. What lasts by another's clock, which goes a little before, lasts here as well.
_COUNT_ONCE = f"""
local at, lasts = tonumber(ARGV[5]), tonumber(ARGV[6])
local name = table.remove(KEYS)
local done = redis.call('GET', name)
if done and math.abs(at - done) < lasts then return {{{_DONE}, tonumber(done), 0}} end
local function count()
{_COUNT}
end
local found = count()
if found[1] == 1 then redis.call('SET', name, ARGV[5], 'PX', lasts) end
return found
"""


class RedisLimits:
    """See catalogue.port.Limits."""

    def __init__(self, client: GuardedRedis) -> None:
        self._client = client
        self._count: Any = client.register_script(_COUNT)
        self._count_once: Any = client.register_script(_COUNT_ONCE)

    def take(self, keys: Sequence[str], limit: Limit, *, now: datetime, count: int = 1) -> Verdict:
        """See Limits.take."""
        allowed, found, before = self._change(keys, limit, now, count)
        return _judge(limit, now, bool(allowed), found, before, count)

    def take_once(
        self, key: str, what: str, limit: Limit, *, now: datetime, lasts: timedelta
    ) -> Verdict | datetime:
        """See Limits.take_once."""
        names, args = _ask([key], limit, now, 1)
        times = [(now - _EPOCH) // _MS, lasts // _MS]
        said: int
        found: int
        with asking(self._client):
            said, found, before = self._count_once(
                keys=[*names, f"lathe:done:{key}:{what}"], args=[*args, *times]
            )
        if said == _DONE:
            return _EPOCH + found * _MS
        return _judge(limit, now, bool(said), found, before, 1)

    def give_back(self, keys: Sequence[str], limit: Limit, *, now: datetime) -> None:
        """See Limits.give_back."""
        self._change(keys, limit, now, -1)

    def _change(
        self, keys: Sequence[str], limit: Limit, now: datetime, step: int
    ) -> tuple[int, int, int]:
        names, args = _ask(keys, limit, now, step)
        with asking(self._client):
            allowed, count, before = self._count(keys=names, args=args)
        return allowed, count, before


def _ask(
    keys: Sequence[str], limit: Limit, now: datetime, step: int
) -> tuple[list[str], list[int]]:
    """Return what the scripts are given: names of counts, and numbers."""
    turn, elapsed_ms = _place(limit, now)
    window_ms = limit.window // _MS
    names = [f"lathe:limit:{key}:{at}" for key in keys for at in (turn, turn - 1)]
    return names, [limit.count, window_ms - elapsed_ms, window_ms, step]


class MemoryLimits:
    """See catalogue.port.Limits; for a plant of one process, which forgets when it ends."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], tuple[int, float]] = {}
        self._done: dict[tuple[str, str], tuple[datetime, timedelta]] = {}
        self._pruned_at = self._done_pruned_at = _PRUNED_AT
        self._lock = Lock()

    def take(self, keys: Sequence[str], limit: Limit, *, now: datetime, count: int = 1) -> Verdict:
        """See Limits.take."""
        with self._lock:
            return self._take(keys, limit, now, count)

    def take_once(
        self, key: str, what: str, limit: Limit, *, now: datetime, lasts: timedelta
    ) -> Verdict | datetime:
        """See Limits.take_once."""
        with self._lock:
            done, _ = self._done.get((key, what), (None, lasts))
            if done is not None and abs(now - done) < lasts:
                return done
            verdict = self._take([key], limit, now, 1)
            if verdict.allowed:
                self._note_done((key, what), now, lasts)
            return verdict

    def _take(self, keys: Sequence[str], limit: Limit, now: datetime, count: int) -> Verdict:
        turn, elapsed_ms = _place(limit, now)
        window_ms = limit.window // _MS
        each_of_them = [(self._get(key, turn), self._get(key, turn - 1)) for key in keys]
        found, before = max(
            each_of_them, key=lambda each: _weigh(each[0], each[1], window_ms, elapsed_ms)
        )
        full = _weigh(found, before, window_ms, elapsed_ms)
        allowed = full + count * window_ms <= limit.count * window_ms
        if allowed:
            self._add(keys, turn, limit, now, count)
        return _judge(limit, now, allowed, found + allowed * count, before, count)

    def give_back(self, keys: Sequence[str], limit: Limit, *, now: datetime) -> None:
        """See Limits.give_back."""
        turn, _ = _place(limit, now)
        with self._lock:
            self._add([key for key in keys if self._get(key, turn)], turn, limit, now, -1)

    def _note_done(self, name: tuple[str, str], now: datetime, lasts: timedelta) -> None:
        if len(self._done) > self._done_pruned_at:
            self._done = {
                each: (at, long) for each, (at, long) in self._done.items() if now - at < long
            }
            self._done_pruned_at = max(_PRUNED_AT, 2 * len(self._done))
        # A clock tells Redis no more than milliseconds.
        self._done[name] = _EPOCH + (now - _EPOCH) // _MS * _MS, lasts

    def _get(self, key: str, turn: int) -> int:
        return self._counts.get((key, turn), (0, 0.0))[0]

    def _add(self, keys: Sequence[str], turn: int, limit: Limit, now: datetime, step: int) -> None:
        if len(self._counts) > self._pruned_at:
            moment = now.timestamp()
            self._counts = {key: entry for key, entry in self._counts.items() if entry[1] > moment}
            self._pruned_at = max(_PRUNED_AT, 2 * len(self._counts))
        until = (turn + 2) * limit.window.total_seconds()
        for key in keys:
            self._counts[key, turn] = self._get(key, turn) + step, until


def _place(limit: Limit, now: datetime) -> tuple[int, int]:
    """Return the number of the fixed window that ``now`` lies in, and its age in ms."""
    return divmod((now - _EPOCH) // _MS, limit.window // _MS)


def _weigh(count: int, before: int, window_ms: int, elapsed_ms: int) -> int:
    """Return how much was done within the last window, times its ms: no fraction is lost."""
    return count * window_ms + before * (window_ms - elapsed_ms)


def _judge(
    limit: Limit, now: datetime, allowed: bool, count: int, before: int, wanted: int
) -> Verdict:
    """Return the verdict on ``wanted`` more, where ``count`` and ``before`` are there by now."""
    window_ms = limit.window // _MS
    _, elapsed_ms = _place(limit, now)
    if allowed:
        room = limit.count * window_ms - _weigh(count, before, window_ms, elapsed_ms)
        return Verdict(allowed=True, remaining=max(0, room // window_ms), retry_after_s=0)
    most = limit.count - wanted
    if count <= most:
        # Within this window, once enough of the one before has slid out.
        wait_ms = window_ms - (most - count) * window_ms // before - elapsed_ms
    else:
        # In the next one, once enough of this has.
        wait_ms = 2 * window_ms - elapsed_ms - most * window_ms // count
    return Verdict(allowed=False, remaining=0, retry_after_s=max(1, -(-wait_ms // 1000)))
