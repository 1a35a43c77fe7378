"""Whether two fingerprints are of one recording, with how much certainty, and where.

Blocks of eight seconds of one are laid at every offset of the other; a block that fits somewhere is
evidence as far as its bits agree beyond chance. The blocks' offsets must lie on one line, whose
slope is how much faster one of the two runs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.hearing.fingerprint import SILENCE, Items

BLOCK_ITEMS, BLOCK_HOP = 64, 32
CHANCE_BER = 0.36
SLOPE_MAX = 0.07
COVERAGE_MIN, EVIDENCE_MIN = 0.4, 0.25
_TOLERANCE_ITEMS = 3.0
_INFORMATION_MIN = 0.25
_SHARPNESS = 1.6
_BLOCKS_MAX = 32
_SLACK_ITEMS = 256
_OFFSETS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """How well a query lies on a reference.

    ``confidence`` is from 0 to 1; ``coverage`` the share of the query's informative blocks that lie
    on the line; ``offset_items`` where the query's first item is in the reference; ``speed`` how
    many items of the reference pass for one of the query; ``ber`` the mean bit error rate of what
    fits.
    """

    confidence: float
    coverage: float
    offset_items: float
    speed: float
    ber: float


NO_MATCH = Match(confidence=0.0, coverage=0.0, offset_items=0.0, speed=1.0, ber=1.0)


def compare(query: Items, reference: Items, *, near: int | None = None) -> Match:
    """Return how well ``query`` lies on ``reference``.

    ``near`` is about where its first item is in the reference; without it, it may be anywhere.
    Of a long query as many blocks are laid as tell enough, spread over all of it.
    """
    starts = np.arange(0, len(query) - BLOCK_ITEMS + 1, BLOCK_HOP)
    if not len(starts) or len(reference) < BLOCK_ITEMS:
        return NO_MATCH
    weights = np.array([_information(query[s : s + BLOCK_ITEMS]) for s in starts])
    told = np.flatnonzero(weights >= _INFORMATION_MIN)
    if not len(told):
        return NO_MATCH
    if len(told) > _BLOCKS_MAX:
        told = told[np.linspace(0, len(told) - 1, _BLOCKS_MAX).round().astype(int)]
    starts, weights = starts[told], weights[told]
    slack = _SLACK_ITEMS + round(SLOPE_MAX * len(query))
    found = [
        _best_offset(
            query[start : start + BLOCK_ITEMS],
            reference,
            None if near is None else (near + start - slack, near + start + slack),
        )
        for start in starts.tolist()
    ]
    offsets = np.array([offset for offset, _ in found], float)
    errors = np.array([error for _, error in found])
    evidence = weights * np.maximum(CHANCE_BER - errors, 0) / CHANCE_BER
    slope, base = _fit_line(starts.astype(float), offsets, evidence)
    on_line = np.abs(offsets - (base + (1 + slope) * starts)) <= _TOLERANCE_ITEMS
    fits = on_line & (evidence > 0)
    total = float(evidence[fits].sum())
    coverage = float(weights[fits].sum() / weights.sum())
    count = len(starts)
    rho = _SHARPNESS * total / (1 + 0.6 * np.sqrt(count))
    # A quotation covers little; another take lies badly on what it covers.
    is_whole = coverage >= COVERAGE_MIN and total / float(weights.sum()) >= EVIDENCE_MIN
    confidence = 1 - 0.05**rho if is_whole else 0.0
    return Match(
        confidence=float(confidence),
        coverage=coverage,
        offset_items=float(base),
        speed=1 + float(slope),
        ber=float(errors[fits].mean()) if fits.any() else 1.0,
    )


def _information(block: Items) -> float:
    """Return from 0 to 1 how much a block tells: silence and standing sounds tell nothing."""
    changes = np.count_nonzero(block[1:] != block[:-1])
    sounding = np.count_nonzero(block != SILENCE)
    return min(1.0, 2 * changes / (len(block) - 1), sounding / len(block))


def _best_offset(
    block: Items, reference: Items, within: tuple[int, int] | None
) -> tuple[int, float]:
    """Return where a block lies best on the reference, and its bit error rate there."""
    last = len(reference) - len(block)
    first, final = (0, last) if within is None else (max(0, within[0]), min(last, within[1]))
    if first > final:
        return 0, 1.0
    best, least = first, 32 * len(block) + 1
    for start in range(first, final + 1, _OFFSETS_AT_ONCE):
        stop = min(final + 1, start + _OFFSETS_AT_ONCE)
        part = reference[start : stop - 1 + len(block)]
        windows = np.lib.stride_tricks.sliding_window_view(part, len(block))
        errors = np.bitwise_count(windows ^ block).sum(axis=1, dtype=np.int32)
        place = int(errors.argmin())
        if errors[place] < least:
            best, least = start + place, int(errors[place])
    return best, least / (32 * len(block))


def _fit_line(
    starts: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.float64],
    evidence: npt.NDArray[np.float64],
) -> tuple[float, float]:
    """Return slope (less 1) and base of the line that gathers most evidence."""
    best = (-1.0, 0.0, 0.0)
    strong = np.argsort(-evidence)[:12]
    for one in strong:
        candidates = [(0.0, offsets[one] - starts[one])]
        for other in strong:
            run = starts[other] - starts[one]
            if run > 0:
                slope = (offsets[other] - offsets[one]) / run - 1
                if abs(slope) <= SLOPE_MAX:
                    candidates.append((slope, offsets[one] - (1 + slope) * starts[one]))
        for slope, base in candidates:
            near = np.abs(offsets - (base + (1 + slope) * starts)) <= _TOLERANCE_ITEMS
            gathered = float(evidence[near].sum())
            if gathered > best[0] + 1e-9:
                best = (gathered, slope, base)
    return best[1], best[2]
