"""How many samples a Vorbis packet decodes to, told without decoding it.

Source: Vorbis I specification, sections 4.2 (headers) and 4.3.1 (packet type and mode).
"""

import struct
from collections.abc import Sequence

_MODE_BITS = 41
_IDENTIFICATION_BYTES = 30


class PacketClock:
    """Gives each audio packet of a stream its duration, from the three header packets."""

    def __init__(self, headers: Sequence[bytes]) -> None:
        """Read the block sizes and the modes. Raises ValueError for what is no Vorbis header."""
        kinds = [header[:7] for header in headers]
        whole = headers and len(headers[0]) >= _IDENTIFICATION_BYTES
        if not whole or kinds != [bytes((kind,)) + b"vorbis" for kind in (1, 3, 5)]:
            raise ValueError("these are not the three Vorbis headers")
        self.channels, self.rate_hz = struct.unpack_from("<BI", headers[0], 11)
        exponents = headers[0][28]
        self.block_sizes = 1 << (exponents & 15), 1 << (exponents >> 4)
        self.long_modes = read_modes(headers[2])
        self._mode_mask = (1 << (len(self.long_modes) - 1).bit_length()) - 1
        self._previous_block = 0

    def tick(self, packet: bytes) -> int:
        """Return how many samples ``packet`` adds; the first packet of a stream adds none.

        Raises ValueError for what is no audio packet of this stream.
        """
        if not packet or packet[0] & 1:
            raise ValueError("this is no Vorbis audio packet")
        mode = packet[0] >> 1 & self._mode_mask
        if mode >= len(self.long_modes):
            raise ValueError(f"a Vorbis packet has mode {mode} of {len(self.long_modes)}")
        block = self.block_sizes[self.long_modes[mode]]
        samples = (self._previous_block + block) // 4 if self._previous_block else 0
        self._previous_block = block
        return samples


def read_modes(setup: bytes) -> tuple[bool, ...]:
    """Return, for each mode of a setup header, whether its blocks are long.

    The modes stand at the very end, each 41 bits (flag, window 0, transform 0, mapping), after 6
    bits that count them; they are found by reading backwards from the framing bit, and the
    largest run of plausible modes that its own count confirms is taken.
    """
    bits = int.from_bytes(setup, "little")
    framing = bits.bit_length() - 1

    def field(place: int, width: int) -> int:
        return bits >> place & (1 << width) - 1

    confirmed = 0
    for count in range(1, 65):
        mode = framing - count * _MODE_BITS
        if mode < 6 or field(mode + 1, 32) or field(mode + 33, 8) > 63:
            break
        if field(mode - 6, 6) + 1 == count:
            confirmed = count
    if not confirmed:
        raise ValueError("the Vorbis setup header ends in no modes")
    first = framing - confirmed * _MODE_BITS
    return tuple(bool(field(first + place * _MODE_BITS, 1)) for place in range(confirmed))
