"""Splitting streams as lines and pipes do."""

from itertools import pairwise

from hypothesis import strategies as st


def split(data: st.DataObject, stream: bytes) -> list[bytes]:
    """Return ``stream`` in up to 30 pieces of drawn sizes, some of them empty."""
    places = st.lists(st.integers(0, len(stream)), max_size=29)
    edges = [0, *sorted(data.draw(places)), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]
