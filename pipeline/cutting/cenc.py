"""Encrypting what was cut, sample by sample, where it stands.

Source: ISO/IEC 23001-7:2023 and ISO/IEC 14496-12:2022, 8.12. What encrypts, and the boxes that tell
of it, come from whoever has the key: see protection.cenc.
"""

from collections.abc import Callable

from pipeline.cutting.boxes import build_box, walk_boxes
from pipeline.cutting.fragments import read_run

_TO_ENTRIES = ("moov", "trak", "mdia", "minf", "stbl", "stsd")
_STSD_BYTES = 8
_ENCRYPTED_AUDIO = "enca"


def protect_init(init: bytes, sinf: Callable[[str], bytes], pssh: bytes) -> bytes:
    """Return an init segment whose track is encrypted.

    ``sinf`` gives the protection scheme of a sample entry of that name, ``pssh`` is laid at the end
    of the movie box. Raises ValueError for what is no init segment.
    """

    def protect_entries(body: bytes) -> bytes:
        entries = [
            build_box(_ENCRYPTED_AUDIO, entry, sinf(name))
            for name, entry in walk_boxes(body, start=_STSD_BYTES)
        ]
        return body[:_STSD_BYTES] + b"".join(entries)

    def change(body: bytes, path: tuple[str, ...]) -> bytes:
        if not path:
            return protect_entries(body)
        parts = []
        for name, inner in walk_boxes(body):
            changed = change(inner, path[1:]) if name == path[0] else inner
            last = pssh if name == "moov" else b""
            parts.append(build_box(name, changed, last))
        return b"".join(parts)

    return change(init, _TO_ENTRIES)


def protect_fragments(data: bytes, encrypt: Callable[[bytes], bytes]) -> bytes:
    """Return fragments whose samples are encrypted; all of it stays where it is.

    Raises ValueError for what are no fragments.
    """
    parts: list[bytes] = []
    sizes: tuple[int, ...] = ()
    for name, body in walk_boxes(data):
        if name == "moof":
            sizes, _ = read_run(body)
        elif name == "mdat":
            if sum(sizes) != len(body):
                raise ValueError("the media data does not match its run")
            place, samples = 0, list[bytes]()
            for size_bytes in sizes:
                samples.append(encrypt(body[place : place + size_bytes]))
                place += size_bytes
            body = b"".join(samples)
        parts.append(build_box(name, body))
    if sum(map(len, parts)) != len(data):
        raise ValueError("there is more than boxes")
    return b"".join(parts)
