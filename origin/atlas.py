"""Where every master stands among the others: features in files that all processes share.

Rows are only ever added: to ``vectors`` and ``scores`` first and to ``keys`` last, under a lock, so
that whoever maps the files sees whole rows. What a killed process left half-written is cut off by
the next one. A search looks at every row, so that what it finds is exactly the nearest.
"""

import fcntl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from catalogue.nouns import Features, Measure, Sha256
from catalogue.port import HeardMaster, Neighbour, Tracks
from catalogue.rules import SCORE_WEIGHTS
from storage.faults import not_writable

_PAGE = 2000
_REFRESH_S = 2.0
# Rows that are committed late are looked for again for a while.
_OVERLAP = timedelta(minutes=1)
_VECTOR_SIZE = 50
_SAMPLED, _MORE = 200, 4
_MIDDLE_BPM = 115.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

KEY = np.dtype([("sha256", "S32"), ("heard_us", "<i8")])
"""A row of ``keys``: a master's hash, and when it was heard, in microseconds since 1970."""

WIDTHS = {Measure.SCORES: len(SCORE_WEIGHTS), Measure.VECTOR: _VECTOR_SIZE}
"""How many numbers (float32) a row of each of the other files has."""

Floats = npt.NDArray[np.float32]


_SCALES = np.sqrt(np.array(list(SCORE_WEIGHTS.values()), np.float32))


class FileAtlas:
    """The masters of one recipe, in a folder of their own: see catalogue.port.Atlas."""

    def __init__(self, folder: Path, recipe: str, tracks: Tracks) -> None:
        self._folder, self._recipe, self._tracks = folder / recipe, recipe, tracks
        self._lock = threading.Lock()
        self._fresh_until = 0.0
        self._maps: dict[Measure, _Map] = {}
        self._keys = np.zeros(0, KEY)

    def nearest(self, heard: Features, *, by: Measure, count: int) -> list[Neighbour]:
        """Return the ``count`` masters nearest to what was heard, the nearest first.

        Raises OutputNotWritable and CatalogueUnavailable.
        """
        self._refresh()
        with self._lock:
            keys, rows = self._keys, self._maps.get(by)
        if rows is None or not len(keys):
            return []
        point = _place(heard)[by]
        # The sum of squares of the difference, without the part that is the same for all.
        distances = rows.values @ (-2 * point)
        distances += rows.norms
        chosen = _smallest(distances, count)
        offset = float(point @ point)
        return [
            Neighbour(
                master_sha256=Sha256(bytes(keys["sha256"][row]).ljust(32, b"\0").hex()),
                distance=float(np.sqrt(max(0.0, float(distances[row]) + offset))),
            )
            for row in chosen.tolist()
        ]

    def _refresh(self) -> None:
        """Take in what was heard since; not more often than every few seconds."""
        with self._lock:
            if time.monotonic() < self._fresh_until:
                return
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with self._files_locked():
                    self._append()
                self._map()
            except OSError as fault:
                raise not_writable(str(self._folder), fault) from fault
            self._fresh_until = time.monotonic() + _REFRESH_S

    @contextmanager
    def _files_locked(self) -> Iterator[None]:
        with open(self._folder / "lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _append(self) -> None:
        """Add rows for what the catalogue has and the files have not."""
        keys = self._read_keys()
        for name, width in WIDTHS.items():
            with open(self._folder / name, "ab") as file:
                file.truncate(len(keys) * width * 4)
        last = _EPOCH if not len(keys) else _at(int(keys["heard_us"].max()))
        since = max(_EPOCH, last - _OVERLAP)
        recent = keys["sha256"][keys["heard_us"] >= _us(since)]
        known = {bytes(each).ljust(32, b"\0") for each in recent}
        after = ""
        while page := self._tracks.heard_since(self._recipe, since=since, after=after, limit=_PAGE):
            self._write([each for each in page if bytes.fromhex(each.master_sha256) not in known])
            since, after = page[-1].heard_at, page[-1].master_sha256

    def _write(self, page: Sequence[HeardMaster]) -> None:
        if not page:
            return
        placed = [_place(each) for each in page]
        for measure in Measure:
            rows = np.array([each[measure] for each in placed], np.float32)
            with open(self._folder / measure, "ab") as file:
                file.write(rows.tobytes())
        keys = np.array(
            [(bytes.fromhex(each.master_sha256), _us(each.heard_at)) for each in page], KEY
        )
        with open(self._folder / "keys", "ab") as file:
            file.write(keys.tobytes())

    def _read_keys(self) -> npt.NDArray[np.void]:
        """Map the keys, and cut off one that is not whole."""
        path = self._folder / "keys"
        with open(path, "ab") as file:
            file.truncate(file.tell() // KEY.itemsize * KEY.itemsize)
            empty = file.tell() == 0
        return np.zeros(0, KEY) if empty else np.memmap(path, KEY, "r")

    def _map(self) -> None:
        self._keys = self._read_keys()
        count = len(self._keys)
        for measure in Measure if count else ():
            known = self._maps.get(measure)
            if known is None or len(known.values) != count:
                self._maps[measure] = _Map(self._folder / measure, count, WIDTHS[measure], known)


class _Map:
    """Rows of numbers in a file, and the sum of squares of each row."""

    def __init__(self, path: Path, count: int, width: int, before: "_Map | None") -> None:
        self.values: Floats = np.memmap(path, "<f4", "r", shape=(count, width))
        known = np.zeros(0, np.float32) if before is None else before.norms
        fresh = self.values[len(known) :]
        self.norms: Floats = np.concatenate([known, np.einsum("ij,ij->i", fresh, fresh)])


def _place(heard: Features | HeardMaster) -> dict[Measure, Floats]:
    """Return where something heard stands, by each measure."""
    octaves = 0.0 if heard.tempo_bpm is None else float(np.log2(heard.tempo_bpm / _MIDDLE_BPM))
    scores = [octaves, heard.energy, heard.valence, heard.danceability]
    return {
        Measure.SCORES: np.array(scores, np.float32) * _SCALES,
        Measure.VECTOR: np.array(heard.vector, np.float32),
    }


def _smallest(distances: Floats, count: int) -> npt.NDArray[np.intp]:
    """Return the places of the ``count`` least, in order."""
    if len(distances) > _SAMPLED * count:
        # A sample tells below which distance there are surely enough, and not many more.
        step = len(distances) // (_SAMPLED * _MORE)
        sample = distances[::step]
        place = min(len(sample) - 1, _MORE * count * len(sample) // len(distances) + _MORE)
        near = np.flatnonzero(distances <= np.partition(sample, place)[place])
        if len(near) >= count:
            return near[np.argsort(distances[near], kind="stable")[:count]]
    return np.argsort(distances, kind="stable")[:count]


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)


def _at(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)
