"""Whether two fingerprints are of one recording, with how much certainty, and where.

Blocks of eight seconds of one are laid at every offset of the other; a block that fits somewhere is
evidence as far as its bits agree beyond chance. The blocks' offsets must lie on one line, whose slope is
how much faster one of the two runs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.hearing.fingerprint import SILENCE, Items

BLOCK_ITEMS, BLOCK_HOP = 64, 32
CHANCE_BER = 0.36
SLOPE_MAX = 0.07
COVERAGE_MIN = 0.4
_TOLERANCE_ITEMS = 3.0
_INFORMATION_MIN = 0.25
_SHARPNESS = 1.6


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """How well a query lies on a reference.

    ``confidence`` is from 0 to 1; ``coverage`` the share of the query's informative blocks that lie on
    the line; ``offset_items`` where the query's first item is in the reference; ``speed`` how many items
    of the reference pass for one of the query; ``ber`` the mean bit error rate of what fits.
    """

    confidence: float
    coverage: float
    offset_items: float
    speed: float
    ber: float


NO_MATCH = Match(confidence=0.0, coverage=0.0, offset_items=0.0, speed=1.0, ber=1.0)


def compare(query: Items, reference: Items) -> Match:
    """Return how well ``query`` lies on ``reference``."""
    starts = np.arange(0, len(query) - BLOCK_ITEMS + 1, BLOCK_HOP)
    if not len(starts) or len(reference) < BLOCK_ITEMS:
        return NO_MATCH
    weights = np.array([_information(query[s : s + BLOCK_ITEMS]) for s in starts])
    told = weights >= _INFORMATION_MIN
    starts, weights = starts[told], weights[told]
    if not len(starts):
        return NO_MATCH
    found = [_best_offset(query[s : s + BLOCK_ITEMS], reference) for s in starts]
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
    confidence = 0.0 if coverage < COVERAGE_MIN else 1 - 0.05**rho
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


def _best_offset(block: Items, reference: Items) -> tuple[int, float]:
    """Return where a block lies best on the reference, and its bit error rate there."""
    windows = np.lib.stride_tricks.sliding_window_view(reference, len(block))
    errors = np.bitwise_count(windows ^ block).sum(axis=1, dtype=np.int32)
    best = int(errors.argmin())
    return best, float(errors[best]) / (32 * len(block))


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
