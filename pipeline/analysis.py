"""All that is heard and measured of a master while it is decoded, by whatever decodes it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from catalogue.errors import MasterNotAFile
from catalogue.nouns import Features, Fingerprint, Master
from catalogue.quality import QualityReport
from pipeline.hearing.fingerprint import Fingerprinter, build_fingerprint
from pipeline.hearing.listener import Heard, Listener
from pipeline.loudness import Loudness, LoudnessMeter
from pipeline.master import hash_file, probe_master
from pipeline.pcm import FULL_SCALES, PcmRows
from pipeline.quality.drawings import Drawings
from pipeline.quality.inspector import Inspector
from pipeline.transcode import decode_master, pcm_bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysed:
    """What came of it."""

    heard: Heard
    loudness: Loudness
    fingerprint: Fingerprint
    quality: QualityReport
    drawings: Drawings

    def features(self) -> Features:
        """Return what the catalogue keeps of what was heard."""
        return self.heard.features(self.loudness)


class Analysis:
    """Takes a master's sound and its PCM, as ``pipeline.transcode`` gives them."""

    def __init__(self, master: Master, spool: IO[bytes]) -> None:
        self._listener, self._printer = Listener(spool), Fingerprinter()
        bits, channels = pcm_bits(master), master.channels
        self._rows = PcmRows(channels=channels, bits=bits)
        self._meter = LoudnessMeter(
            rate_hz=master.rate_hz, channels=channels, full_scale=FULL_SCALES[bits]
        )
        self._inspector = Inspector(master, bits=bits)

    def listen(self, data: bytes) -> None:
        """Take the next bytes of sound: float32, mono, 22.05 kHz."""
        self._listener.feed(data)
        self._printer.feed(data)

    def meter(self, data: bytes) -> None:
        """Take the next bytes of the master's own PCM."""
        rows = self._rows.feed(data)
        self._meter.feed(rows.astype(np.float32))
        self._inspector.feed(rows)

    def finish(self) -> Analysed:
        """Return what came of it; nothing can be fed afterwards."""
        loudness = self._meter.finish()
        quality = self._inspector.finish(loudness)
        return Analysed(
            heard=self._listener.finish(),
            loudness=loudness,
            fingerprint=build_fingerprint(self._printer.finish()),
            quality=quality,
            drawings=Drawings(
                rate_hz=quality.rate_hz,
                samples=quality.samples,
                waveform=self._inspector.waveform(),
                short_terms_lufs=self._meter.short_terms_lufs(),
                spectrogram_db=self._inspector.spectrogram_db(),
            ),
        )


@contextmanager
def analysing(master: Master) -> Iterator[Analysis]:
    """Give an analysis of ``master``, with a file of its own for what does not fit in memory."""
    with tempfile.TemporaryFile() as spool:
        yield Analysis(master, spool)


def analyse(path: Path, master: Master) -> Analysed:
    """Decode a master for nothing but its analysis. Raises what ``decode_master`` raises."""
    with analysing(master) as analysis:
        decode_master(path, master, listen=analysis.listen, meter=analysis.meter)
        return analysis.finish()


def analyse_file(path: Path) -> Analysed:
    """Probe a file and decode it for its analysis.

    Raises MasterNotAFile, and what ``probe_master`` and ``decode_master`` raise.
    """
    if not path.is_file():
        raise MasterNotAFile("It is not a regular file.")
    return analyse(path, probe_master(path, hash_file(path)))
