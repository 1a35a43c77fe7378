"""Chromaprint over a whole master: what a recording is known by again.

Chromaprint (L. Lalinský) gives an item of 32 bits every 0.124 s. Its term is those of its bits that
survive ordinary damage, where it is not silence and not the same as just before; one term in eight
is indexed, chosen by its own value, so that both sides choose alike.
"""

import chromaprint
import numpy as np
import numpy.typing as npt

from catalogue.nouns import Fingerprint
from pipeline.hearing.spectra import RATE_HZ

HOP_S = 1365 / 11_025
"""Seconds from one item to the next."""

SILENCE = 627_964_279
"""The item that Chromaprint gives for silence."""

RECIPE = "chromaprint-1"

ITEMS_MIN, TERMS_MIN = 64, 60
SAMPLING = 8
_MASK = np.uint32(0xAAAAAAAA | 0x00055555)
TERM_BITS = tuple(1 << bit for bit in range(32) if int(_MASK) >> bit & 1)
"""The bits that a term has."""

_LOUDEST = 32_767
_ALGORITHM = 1

Items = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int32]


class Fingerprinter:
    """Takes a master's PCM (float32, mono, 22.05 kHz) as it is decoded.

    ``speed`` hears it as if it ran that much faster.
    """

    def __init__(self, *, speed: float = 1.0) -> None:
        self._context = chromaprint.Fingerprinter()
        self._context.start(round(RATE_HZ * speed), 1)
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of PCM, cut anywhere."""
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        samples = np.frombuffer(data, "<f4", whole // 4)
        scaled = np.clip(samples * _LOUDEST, -_LOUDEST - 1, _LOUDEST)
        self._context.feed(np.rint(scaled).astype("<i2").tobytes())

    def finish(self) -> Items:
        """Return the raw fingerprint: an item of 32 bits every ``HOP_S``."""
        items, _ = chromaprint.decode_fingerprint(self._context.finish())
        return np.array(items, np.uint32)


def build_fingerprint(items: Items) -> Fingerprint:
    """Return a fingerprint as the catalogue keeps it, with the terms to find it by."""
    encoded = chromaprint.encode_fingerprint(items.tolist(), _ALGORITHM, True).decode("ascii")
    terms: tuple[tuple[int, int], ...] = ()
    if is_informative(items):
        sampled, positions = sample_terms(*find_terms(items))
        terms = tuple(zip(sampled.view(np.int32).tolist(), positions.tolist(), strict=True))
    return Fingerprint(recipe=RECIPE, encoded=encoded, terms=terms)


def decode_items(encoded: str) -> Items:
    """Return the items of a fingerprint that ``build_fingerprint`` encoded."""
    items, _ = chromaprint.decode_fingerprint(encoded.encode("ascii"), True)
    return np.array(items, np.uint32)


def find_terms(items: Items) -> tuple[Items, Positions]:
    """Return the terms of a fingerprint, and at which item each stands."""
    terms = items & _MASK
    silent = np.uint32(SILENCE) & _MASK
    before = np.concatenate([~terms[:1], terms[:-1]])
    kept = np.flatnonzero((terms != silent) & (terms != before))
    return terms[kept], kept.astype(np.int32)


def is_informative(items: Items) -> bool:
    """Return whether there is enough in a fingerprint to know anything by it."""
    terms, _ = find_terms(items)
    return len(items) >= ITEMS_MIN and len(np.unique(terms)) >= TERMS_MIN


def sample_terms(terms: Items, positions: Positions) -> tuple[Items, Positions]:
    """Return one term in eight, chosen by its value alone."""
    mixed = terms * np.uint32(0x9E3779B1)
    mixed ^= mixed >> np.uint32(15)
    chosen = (mixed * np.uint32(0x85EBCA77)) >> np.uint32(29) == 0
    return terms[chosen], positions[chosen]
