"""Bytes that are kept to be sent again and again, where the kernel can send them by itself.

What is large stands in an anonymous file in memory (memfd_create(2)): it goes out by sendfile(2),
which copies nothing. What is small, or one too many, are plain bytes: connections need files, too.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakSet

_LARGE_BYTES, _MOST_FILES = 64 << 10, 1000
# To start a second call costs more than to copy less than this.
_WORTH_SENDING_BYTES = 16 << 10


class _File:
    """An anonymous file, which is closed with the last that refers to it."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, data: bytes) -> None:
        self.number = os.memfd_create("chunk")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.number, rest) :]

    def __del__(self) -> None:
        """Close it; there is none where it could not be made."""
        with suppress(AttributeError):
            os.close(self.number)


@dataclass(frozen=True, slots=True)
class HeldPart:
    """Some of the bytes of a file: from ``start`` up to ``end``."""

    _file: _File
    start: int
    end: int

    def __len__(self) -> int:
        """Return how many bytes they are."""
        return self.end - self.start

    def cut(self, start: int, end: int) -> "HeldPart | bytes":
        """Return the bytes from ``start`` up to ``end`` of these."""
        part = HeldPart(self._file, self.start + start, self.start + end)
        return part if len(part) >= _WORTH_SENDING_BYTES else part.read()

    def read(self) -> bytes:
        """Return the bytes."""
        return os.pread(self._file.number, len(self), self.start)

    def send(self, number: int) -> "HeldPart":
        """Send what a socket takes at once, by its descriptor; return what is left.

        Raises OSError where nobody takes anything any more.
        """
        start = self.start
        with suppress(BlockingIOError):
            while start < self.end:
                start += os.sendfile(number, self._file.number, start, self.end - start)
        return HeldPart(self._file, start, self.end)


_FILES: WeakSet[_File] = WeakSet()

Body = bytes | HeldPart
"""What is kept."""


def hold(data: bytes) -> Body:
    """Return ``data`` as it is best kept."""
    if len(data) < _LARGE_BYTES or len(_FILES) >= _MOST_FILES:
        return data
    # Where no file may be opened any more, there are the bytes.
    with suppress(OSError):
        file = _File(data)
        _FILES.add(file)
        return HeldPart(file, 0, len(data))
    return data


def cut(body: Body, start: int, end: int) -> Body | memoryview:
    """Return the bytes from ``start`` up to ``end`` of what is kept."""
    return body.cut(start, end) if isinstance(body, HeldPart) else memoryview(body)[start:end]
