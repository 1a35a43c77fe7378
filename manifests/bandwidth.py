"""The bit rates of a rendition, as measured on what was stored."""

from fractions import Fraction
from math import ceil

from catalogue.nouns import Rendition

_RUN_MAX = 64


def average_bps(rendition: Rendition) -> int:
    """Return the bit rate of all chunks together, rounded up."""
    total_bytes = sum(chunk.body.size_bytes for chunk in rendition.chunks)
    return -(-total_bytes * 8 * rendition.rate_hz // rendition.samples)


def peak_bps(rendition: Rendition) -> int:
    """Return the largest bit rate of any contiguous chunks that last about one whole chunk.

    RFC 8216, 4.1: of all runs of segments between 0.5 and 1.5 times the target duration, for which
    the longest chunk stands. Where the track has no such run, the average.
    """
    longest = max(chunk.valid_samples for chunk in rendition.chunks)
    peak = Fraction(average_bps(rendition))
    for first in range(len(rendition.chunks)):
        samples = size_bytes = 0
        for chunk in rendition.chunks[first : first + _RUN_MAX]:
            samples += chunk.valid_samples
            size_bytes += chunk.body.size_bytes
            if 2 * samples > 3 * longest:
                break
            if 2 * samples >= longest:
                peak = max(peak, Fraction(size_bytes * 8 * rendition.rate_hz, samples))
    return ceil(peak)
