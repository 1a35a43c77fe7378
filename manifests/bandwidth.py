"""The bit rates of a rendition, as measured on what was stored."""

from catalogue.nouns import Rendition


def average_bps(rendition: Rendition) -> int:
    """Return the bit rate of all chunks together, rounded up."""
    total_bytes = sum(chunk.body.size_bytes for chunk in rendition.chunks)
    return -(-total_bytes * 8 * rendition.rate_hz // rendition.samples)


def peak_bps(rendition: Rendition) -> int:
    """Return the largest bit rate of any chunk at least half as long as the longest one.

    RFC 8216bis, 4.4.6.2: segments shorter than half the target duration do not count by
    themselves. It is never less than the average, which a short last chunk can raise.
    """
    longest = max(chunk.valid_samples for chunk in rendition.chunks)
    return max(
        average_bps(rendition),
        *(
            -(-chunk.body.size_bytes * 8 * rendition.rate_hz // chunk.valid_samples)
            for chunk in rendition.chunks
            if 2 * chunk.valid_samples >= longest
        ),
    )
