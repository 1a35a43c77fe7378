"""Recognising a sound among the fingerprints of the catalogue: candidates first, then a proof.

What is not recognised as it stands is tried again as it would sound a fraction of an item later, or
at another speed: the query is widened, never the index.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalogue.nouns import Fingerprint, Recognition, Sha256
from catalogue.port import Prints
from pipeline.hearing.fingerprint import (
    HOP_S,
    Fingerprinter,
    Items,
    decode_items,
    find_terms,
    is_informative,
    sample_terms,
)
from pipeline.hearing.matching import Match, compare
from pipeline.hearing.spectra import RATE_HZ

CERTAIN = 0.95
"""From which confidence on a sound is taken for the recording."""

_SEMITONE = 2 ** (1 / 12)
_PHASES = 4
_SPEEDS = (0.99, 1.01, 0.98, 1.02, 0.97, 1.03, 0.96, 1.04, _SEMITONE, 1 / _SEMITONE)
_HOP_SAMPLES = HOP_S * RATE_HZ
_EXCERPT_S, _SKIPPED_S = 120, 30
_TERMS_MAX = 1024
_POSTINGS_MAX = 200_000
_VOTES_MIN, _CANDIDATES = 3, 8
_OFFSET_BITS = 22
_BIAS = 1 << (_OFFSET_BITS - 1)
_NUMBER_MAX = (1 << 36) - 1

Longs = npt.NDArray[np.int64]


class Ear:
    """Takes the PCM of an unknown sound (float32, mono, 22.05 kHz) as it is decoded.

    It keeps the fingerprint of all of it, and two minutes of the sound itself to try it otherwise.
    """

    def __init__(self) -> None:
        self._printer = Fingerprinter()
        self._kept = bytearray()
        self.items = np.zeros(0, np.uint32)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of PCM, cut anywhere."""
        self._printer.feed(data)
        room = (_SKIPPED_S + _EXCERPT_S) * RATE_HZ * 4 - len(self._kept)
        self._kept += data[: max(0, room)]

    def finish(self) -> None:
        """Take the end; nothing can be fed afterwards."""
        self.items = self._printer.finish()

    def excerpt(self) -> tuple[bytes, int]:
        """Return the sound that was kept, without its beginning if it is long, and its start.

        The start is in samples.
        """
        size_bytes = _EXCERPT_S * RATE_HZ * 4
        whole = len(self._kept) - len(self._kept) % 4
        start = max(0, whole - size_bytes)
        return bytes(self._kept[start:whole]), start // 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _Query:
    """A sound as it is tried: from ``start_s`` on, as if it ran ``speed`` times as fast."""

    items: Items
    start_s: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    """A fingerprint that shares aligned terms with a query, and where the query begins in it."""

    query: int
    number: int
    offset_items: int


class Recogniser:
    """Knows published masters again."""

    def __init__(self, prints: Prints) -> None:
        self._prints = prints

    def recognise(self, ear: Ear) -> Recognition | None:
        """Return the master that was heard, if one is known for certain; else None."""
        items = ear.items
        if not is_informative(items):
            return None
        for queries in ([_Query(items=items)], _phases(ear), _speeds(ear)):
            found = self._try(queries)
            if found is not None and found.confidence >= CERTAIN:
                return found
        return None

    def resembling(self, fingerprint: Fingerprint) -> list[Recognition]:
        """Return the masters that a whole fingerprint is surely of, the surest first."""
        query = _Query(items=decode_items(fingerprint.encoded))
        if not is_informative(query.items):
            return []
        found = [each for each in self._prove([query]) if each.confidence >= CERTAIN]
        return sorted(found, key=lambda each: -each.confidence)

    def _try(self, queries: Sequence[_Query]) -> Recognition | None:
        """Return what fits best, however uncertain, or the first that fits for certain."""
        best: Recognition | None = None
        for found in self._prove(queries):
            if best is None or found.confidence > best.confidence:
                best = found
            if found.confidence >= CERTAIN:
                break
        return best

    def _prove(self, queries: Sequence[_Query]) -> Iterator[Recognition]:
        """Give how well each candidate fits, the likeliest first."""
        candidates = find_candidates(self._prints, [query.items for query in queries])
        numbers = {candidate.number for candidate in candidates}
        known = {each.number: each for each in self._prints.read(numbers)}
        for candidate in candidates:
            found = known.get(candidate.number)
            if found is not None:
                query, reference = queries[candidate.query], decode_items(found.encoded)
                match = compare(query.items, reference, near=candidate.offset_items)
                yield _conclude(match, query, found.master_sha256)


def find_candidates(prints: Prints, queries: Sequence[Items]) -> list[_Candidate]:
    """Return the fingerprints that share most aligned terms with any query, the best first."""
    terms, query_of, position_of = _collect_terms(queries)
    if not len(terms):
        return []
    rows = prints.postings(set(terms.tolist()), limit=_POSTINGS_MAX)
    if not rows:
        return []
    found = np.array(rows, np.int64)
    first = np.searchsorted(terms, found[:, 0], "left")
    count = np.searchsorted(terms, found[:, 0], "right") - first
    row = np.repeat(np.arange(len(found)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    own = first[row] + within
    offset = found[row, 2] - position_of[own] + _BIAS
    keys, votes = np.unique(
        query_of[own] << 58 | found[row, 1] << _OFFSET_BITS | offset, return_counts=True
    )
    # Half an item off, the terms of one recording fall on two offsets.
    around = votes + _votes_at(keys, votes, keys - 1) + _votes_at(keys, votes, keys + 1)
    candidates: dict[int, _Candidate] = {}
    for place in np.argsort(-around, kind="stable").tolist():
        if around[place] < _VOTES_MIN or len(candidates) == _CANDIDATES:
            break
        key = int(keys[place])
        number = key >> _OFFSET_BITS & _NUMBER_MAX
        candidates.setdefault(
            number,
            _Candidate(
                query=key >> 58,
                number=number,
                offset_items=(key & ((1 << _OFFSET_BITS) - 1)) - _BIAS,
            ),
        )
    return list(candidates.values())


def _collect_terms(queries: Sequence[Items]) -> tuple[Longs, Longs, Longs]:
    """Return the queries' terms in order, and of each the query and the position."""
    columns: list[Longs] = []
    for turn, items in enumerate(queries):
        terms, positions = sample_terms(*find_terms(items))
        if len(terms) > _TERMS_MAX:
            chosen = np.linspace(0, len(terms) - 1, _TERMS_MAX).round().astype(int)
            terms, positions = terms[chosen], positions[chosen]
        columns.append(
            np.stack(
                [terms.astype(np.int64), np.full(len(terms), turn), positions.astype(np.int64)]
            )
        )
    whole = np.concatenate(columns, axis=1)
    terms, query_of, position_of = whole[:, np.argsort(whole[0], kind="stable")]
    return terms, query_of, position_of


def _votes_at(keys: Longs, votes: Longs, wanted: Longs) -> Longs:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, votes[places], 0)


def _phases(ear: Ear) -> list[_Query]:
    """Return the sound as it would be a part of an item later."""
    excerpt, start = ear.excerpt()
    later = [round(_HOP_SAMPLES * phase / _PHASES) for phase in range(_PHASES)]
    return [
        _Query(items=_print(excerpt[4 * skip :], 1.0), start_s=(start + skip) / RATE_HZ)
        for skip in later
    ]


def _speeds(ear: Ear) -> list[_Query]:
    """Return the sound as it would be at other speeds."""
    excerpt, start = ear.excerpt()
    return [
        _Query(items=_print(excerpt, speed), start_s=start / RATE_HZ, speed=speed)
        for speed in _SPEEDS
    ]


def _print(sound: bytes, speed: float) -> Items:
    printer = Fingerprinter(speed=speed)
    printer.feed(sound)
    return printer.finish()


def _conclude(match: Match, query: _Query, master_sha256: Sha256) -> Recognition:
    """Return what a match says of the sound as it is, not as it was tried."""
    pace = match.speed / query.speed
    return Recognition(
        master_sha256=master_sha256,
        confidence=round(match.confidence, 4),
        offset_s=round(match.offset_items * HOP_S - pace * query.start_s, 2),
        speed=round(pace, 4),
        coverage=round(match.coverage, 4),
        bit_error_rate=round(match.ber, 4),
    )
