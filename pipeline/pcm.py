"""A master's PCM as numbers: bytes cut anywhere in, whole samples by channel out."""

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.signedinteger[Any]]

FULL_SCALES = {16: 2.0**15, 24: 2.0**31}
"""What full scale is, by the bits of the PCM: 24 bits come at the top of 32."""


class PcmRows:
    """Takes interleaved little-endian PCM of 16 or 24 bits."""

    def __init__(self, *, channels: int, bits: int) -> None:
        self._channels, self._bytes = channels, bits // 8
        self._rest = b""

    def feed(self, data: bytes) -> Rows:
        """Return the samples that are whole by now, a row for each channel."""
        data = self._rest + data
        frame_bytes = self._bytes * self._channels
        whole = len(data) - len(data) % frame_bytes
        self._rest = data[whole:]
        numbers = _to_numbers(data[:whole], self._bytes)
        return np.ascontiguousarray(numbers.reshape(-1, self._channels).T)


def _to_numbers(data: bytes, width: int) -> Rows:
    if width == 2:
        return np.frombuffer(data, "<i2")
    # Four bytes are read every three; the last one, which is the next number's, is shifted out.
    count = len(data) // 3
    return np.ndarray((count,), "<i4", data + b"\0", strides=(3,)) << 8
