"""What every cutter takes and gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from catalogue.nouns import Chunk, StoredObject

Put = Callable[[str, bytes], StoredObject]
"""Stores an object under its name in the rendition and says what was stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A rendition's stream, cut and stored; its fields are those of a ``Rendition``."""

    codec_string: str
    media_type: str
    samples: int
    frame_samples: int | None
    priming_samples: int
    padding_samples: int
    init: StoredObject
    preroll: StoredObject | None
    chunks: tuple[Chunk, ...]


class Cutter(Protocol):
    """Cuts one encoded stream while it is being encoded, holding no more than two chunks."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the encoder's output, in pieces of any size.

        Raises ValueError when they are not what the encoder is known to write.
        """

    def finish(self, samples: int) -> Cut:
        """Store what is left of a track of ``samples`` samples and return the whole cut.

        Raises EncoderInexact when the stream does not hold just these samples, and ValueError.
        """


class PrerollCollector:
    """Collects the pre-roll of every chunk, one frame or packet each, into one object."""

    def __init__(self) -> None:
        self._data = bytearray()

    def add(self, data: bytes) -> tuple[int, int]:
        """Append a chunk's pre-roll and return its byte range as (offset, size)."""
        self._data += data
        return len(self._data) - len(data), len(data)

    def store(self, put: Put, name: str) -> StoredObject | None:
        """Store the collected object under ``name``; None when no chunk needed a pre-roll."""
        return put(name, bytes(self._data)) if self._data else None


def body_name(index: int, suffix: str) -> str:
    """Return the name of a chunk's body: five digits, then the suffix."""
    return f"{index:05d}.{suffix}"
