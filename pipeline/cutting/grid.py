"""The common grid on which every tier of a track is cut, in whole samples.

A chunk is the multiple of 4096 samples at the family's base rate that is nearest to ten seconds:
4096 samples are one ALAC frame and four AAC frames, so the boundaries of all tiers with fixed
frames agree to the sample.
"""

GRID_UNIT_SAMPLES = 4096
TARGET_S = 10


def base_rate(rate_hz: int) -> int:
    """Return the base rate of a rate's family: 44,100 or 48,000 Hz."""
    return 44_100 if rate_hz % 44_100 == 0 else 48_000


def chunk_samples(rate_hz: int) -> int:
    """Return the samples of a whole chunk at ``rate_hz``: 442,368 at 44.1 kHz, 479,232 at 48.

    The rate must be one of its family: the base rate or a multiple of it.
    """
    base = base_rate(rate_hz)
    units = round(TARGET_S * base / GRID_UNIT_SAMPLES)
    return units * GRID_UNIT_SAMPLES * (rate_hz // base)


def boundary(index: int, *, rate_hz: int, grid_hz: int) -> int:
    """Return where chunk ``index`` begins on the grid of a family, at any rate.

    ``grid_hz`` is the family's base rate; the position is the nearest whole sample, halves up.
    """
    return samples_at(index * chunk_samples(grid_hz), from_hz=grid_hz, to_hz=rate_hz)


def samples_at(samples: int, *, from_hz: int, to_hz: int) -> int:
    """Return the length of a track at another rate of its family: the nearest whole sample.

    Halves round up, as libsoxr's output length does.
    """
    return (2 * samples * to_hz + from_hz) // (2 * from_hz)
