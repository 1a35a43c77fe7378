"""Recognising a sound among the fingerprints of the catalogue: candidates first, then a proof.

What is not recognised as it stands is tried again as it would sound a fraction of an item later, or
at another speed: the query is widened, never the index.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from scipy import fft

from catalogue.nouns import Fingerprint, Recognition, Sha256
from catalogue.port import POSITION_BITS, Prints
from pipeline.hearing.fingerprint import (
    HOP_S,
    TERM_BITS,
    Fingerprinter,
    Items,
    Positions,
    decode_items,
    find_terms,
    is_informative,
    sample_terms,
)
from pipeline.hearing.matching import Match, compare
from pipeline.hearing.spectra import RATE_HZ

CERTAIN = 0.95
"""From which confidence on a sound is taken for the recording."""

FEW_TERMS = 24
"""How many terms of a fingerprint are looked for at first."""

_SEMITONE = 2 ** (1 / 12)
_PHASES = 4
_SPEEDS = tuple(
    1 / faster
    for faster in (
        *(1.005, 0.995, 1.01, 0.99, 1.02, 0.98, 1.03, 0.97, 1.04, 0.96),
        *(_SEMITONE, 1 / _SEMITONE),
    )
)
_TONES_DB = (-9.0, -4.5, 6.0)
_TONE_HZ = 150.0
_HOP_SAMPLES = HOP_S * RATE_HZ
_EXCERPT_S, _SKIPPED_S = 120, 30
_TERMS_MAX, _FLIPPED_MAX = 1024, 1024
# A term that stands in so many places tells nothing.
_COMMON = 1000
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
        found = self.nearest(ear)
        return found if found is not None and found.confidence >= CERTAIN else None

    def nearest(self, ear: Ear) -> Recognition | None:
        """Return the master that fits best, however uncertain; None where nothing is like it."""
        if not is_informative(ear.items):
            return None
        best = self.nearest_as_it_is(ear.items)
        for look in _WIDER:
            if best is not None and best.confidence >= CERTAIN:
                break
            found = self._try(look.build(ear), flips=look.flips)
            if found is not None and (best is None or found.confidence > best.confidence):
                best = found
        return best

    def nearest_as_it_is(self, items: Items) -> Recognition | None:
        """Return the master that a fingerprint fits best, without trying it otherwise."""
        query = [_Query(items=items)]
        # A few terms tell most of what is undamaged; all of them are looked for after that.
        few = self._try(query, most=FEW_TERMS)
        if few is not None and few.confidence >= CERTAIN:
            return few
        found = self._try(query)
        return few if found is None else found

    def resembling(self, fingerprint: Fingerprint) -> list[Recognition]:
        """Return the masters that a whole fingerprint is surely of, the surest first."""
        query = _Query(items=decode_items(fingerprint.encoded))
        if not is_informative(query.items):
            return []
        proven = self._prove([query], most=_TERMS_MAX, flips=False)
        found = [each for each in proven if each.confidence >= CERTAIN]
        return sorted(found, key=lambda each: -each.confidence)

    def _try(
        self, queries: Sequence[_Query], *, most: int = _TERMS_MAX, flips: bool = False
    ) -> Recognition | None:
        """Return what fits best, however uncertain, or the first that fits for certain."""
        best: Recognition | None = None
        for found in self._prove(queries, most=most, flips=flips):
            if best is None or found.confidence > best.confidence:
                best = found
            if found.confidence >= CERTAIN:
                break
        return best

    def _prove(self, queries: Sequence[_Query], *, most: int, flips: bool) -> Iterator[Recognition]:
        """Give how well each candidate fits, the likeliest first."""
        items = [query.items for query in queries]
        candidates = find_candidates(self._prints, items, most=most, flips=flips)
        numbers = {candidate.number for candidate in candidates}
        known = {each.number: each for each in self._prints.read(numbers)}
        for candidate in candidates:
            found = known.get(candidate.number)
            if found is not None:
                query, reference = queries[candidate.query], decode_items(found.encoded)
                match = compare(query.items, reference, near=candidate.offset_items)
                yield _conclude(match, query, found.master_sha256)


def find_candidates(
    prints: Prints, queries: Sequence[Items], *, most: int = _TERMS_MAX, flips: bool = False
) -> list[_Candidate]:
    """Return the fingerprints that share most aligned terms with any query, the best first.

    Of each query ``most`` sampled terms are looked for. With ``flips``, they are also looked for
    with each of their bits turned, one at a time.
    """
    terms, query_of, position_of = _collect_terms(queries, most=most, flips=flips)
    if not len(terms):
        return []
    rows = prints.postings(set(terms.tolist()), most=_COMMON)
    if not rows:
        return []
    flat = np.fromiter(chain.from_iterable(rows), np.int64, 2 * len(rows))
    found, places = flat[::2], flat[1::2]
    first = np.searchsorted(terms, found, "left")
    count = np.searchsorted(terms, found, "right") - first
    row = np.repeat(np.arange(len(found)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    own = first[row] + within
    numbers, positions = places >> POSITION_BITS, places & ((1 << POSITION_BITS) - 1)
    offset = positions[row] - position_of[own] + _BIAS
    keys, votes = np.unique(
        query_of[own] << 58 | numbers[row] << _OFFSET_BITS | offset, return_counts=True
    )
    # Half an item off, the terms of one recording fall on two offsets.
    around = votes + _votes_at(keys, votes, keys - 1) + _votes_at(keys, votes, keys + 1)
    candidates: dict[int, _Candidate] = {}
    for place in np.lexsort((-votes, -around)).tolist():
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


def _collect_terms(
    queries: Sequence[Items], *, most: int, flips: bool
) -> tuple[Longs, Longs, Longs]:
    """Return the queries' terms in order, and of each the query and the position."""
    columns: list[Longs] = []
    for turn, items in enumerate(queries):
        terms, positions = find_terms(items)
        if flips:
            terms, positions = _turn_bits(*_thin(terms, positions, _FLIPPED_MAX))
        terms, positions = sample_terms(terms, positions)
        if not flips:
            terms, positions = _thin(terms, positions, most)
        columns.append(
            np.stack(
                [
                    terms.view(np.int32).astype(np.int64),
                    np.full(len(terms), turn),
                    positions.astype(np.int64),
                ]
            )
        )
    whole = np.concatenate(columns, axis=1)
    terms, query_of, position_of = whole[:, np.argsort(whole[0], kind="stable")]
    return terms, query_of, position_of


def _turn_bits(terms: Items, positions: Positions) -> tuple[Items, Positions]:
    """Return terms as they are, and with each of their bits turned."""
    masks = np.array([0, *TERM_BITS], np.uint32)
    return (terms[:, np.newaxis] ^ masks).ravel(), np.repeat(positions, len(masks))


def _thin(terms: Items, positions: Positions, most: int) -> tuple[Items, Positions]:
    """Return at most that many terms, spread over all of them."""
    if len(terms) <= most:
        return terms, positions
    chosen = np.linspace(0, len(terms) - 1, most).round().astype(int)
    return terms[chosen], positions[chosen]


def _votes_at(keys: Longs, votes: Longs, wanted: Longs) -> Longs:
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, votes[places], 0)


def _as_it_is(ear: Ear) -> list[_Query]:
    return [_Query(items=ear.items)]


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


def _tones(ear: Ear) -> list[_Query]:
    """Return the sound with more or less bass."""
    excerpt, start = ear.excerpt()
    spectrum = fft.rfft(np.frombuffer(excerpt, "<f4"), workers=1)
    hz = np.arange(len(spectrum)) * RATE_HZ / max(1, len(excerpt) // 4)
    return [
        _Query(
            items=_print(_shape(spectrum, hz, gain_db, len(excerpt) // 4), 1.0),
            start_s=start / RATE_HZ,
        )
        for gain_db in _TONES_DB
    ]


def _shape(
    spectrum: npt.NDArray[np.complex64],
    hz: npt.NDArray[np.float64],
    gain_db: float,
    samples: int,
) -> bytes:
    """Return a sound whose frequencies below ``_TONE_HZ`` are raised, gently and without delay."""
    share = 1 / (1 + (hz / _TONE_HZ) ** 2)
    gain = 10 ** (gain_db * share / 20)
    return fft.irfft(spectrum * gain, samples, workers=1).astype("<f4").tobytes()


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """How a sound is tried, and whether bits of its terms are turned."""

    build: Callable[[Ear], list[_Query]]
    flips: bool


_WIDER = (
    _Look(build=_phases, flips=False),
    _Look(build=_as_it_is, flips=True),
    _Look(build=_tones, flips=True),
    _Look(build=_speeds, flips=True),
)
