"""ISO base media boxes: writing them, and finding them in a stream.

Source: ISO/IEC 14496-12:2022.
"""

import struct
from collections.abc import Iterator


def build_box(name: str, *parts: bytes) -> bytes:
    """Return a box of the four-character type ``name`` around ``parts``."""
    size_bytes = 8 + sum(map(len, parts))
    return struct.pack(">I4s", size_bytes, name.encode("ascii")) + b"".join(parts)


def build_full_box(name: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Return a full box: a box with a version and 24 bits of flags."""
    return build_box(name, struct.pack(">I", version << 24 | flags), *parts)


def walk_boxes(data: bytes, *, start: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield (type, body) of the boxes laid end to end in ``data`` from ``start``.

    Raises ValueError where a box is longer than what holds it.
    """
    while start + 8 <= len(data):
        size_bytes, name = struct.unpack_from(">I4s", data, start)
        if not 8 <= size_bytes <= len(data) - start:
            raise ValueError(f"box {name!r} at {start} has {size_bytes} bytes")
        yield name.decode("latin-1"), data[start + 8 : start + size_bytes]
        start += size_bytes


def find_box(data: bytes, path: str) -> bytes:
    """Return the body of the first box at ``path`` (``moov/trak/mdia``). Raises ValueError."""
    for wanted in path.split("/"):
        found = next((body for name, body in walk_boxes(data) if name == wanted), None)
        if found is None:
            raise ValueError(f"no box {wanted} on {path}")
        data = found
    return data
