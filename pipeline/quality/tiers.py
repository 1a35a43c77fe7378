"""How high the lossy tiers of a master rise, decoded as a player decodes them.

Encoders change the waveform: a master that stays below full scale may come out above it.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from catalogue.errors import EncoderInexact, MasterCorrupt
from catalogue.nouns import Rendition
from catalogue.quality import TierPeak
from pipeline.playback import stream_joined
from pipeline.quality.true_peak import TruePeakMeter, to_db
from storage.keys import rendition_key
from storage.port import ObjectStore

_FEED_SAMPLES = 1 << 16


def measure_tiers(
    renditions: Sequence[Rendition],
    store: ObjectStore,
    *,
    lanes: int,
    should_stop: Callable[[], bool],
) -> tuple[TierPeak, ...]:
    """Return the true peak of every lossy one of some renditions that are stored, in their order.

    Raises EncoderInexact where one cannot be decoded, Unavailable when the store is away, and
    Stopped.
    """
    lossy = [rendition for rendition in renditions if not rendition.tier.codec.lossless]
    with ThreadPoolExecutor(max_workers=lanes) as pool:
        peaks = pool.map(lambda rendition: _measure(rendition, store, should_stop), lossy)
        return tuple(
            TierPeak(tier=rendition.tier.name, true_peak_dbtp=to_db(peak))
            for rendition, peak in zip(lossy, peaks, strict=True)
        )


def _measure(rendition: Rendition, store: ObjectStore, should_stop: Callable[[], bool]) -> float:
    meter = TruePeakMeter(rate_hz=rendition.rate_hz, channels=rendition.channels)
    frame_bytes = 4 * rendition.channels
    held = bytearray()

    def feed(least: int) -> None:
        whole = len(held) - len(held) % frame_bytes
        if whole >= least:
            sound = np.frombuffer(bytes(held[:whole]), "<f4").reshape(-1, rendition.channels)
            del held[:whole]
            meter.feed(np.ascontiguousarray(sound.T))

    def take(data: bytes) -> None:
        held.extend(data)
        feed(_FEED_SAMPLES * frame_bytes)

    names = [rendition.init.name, *(chunk.body.name for chunk in rendition.chunks)]
    pieces = (store.read(rendition_key(rendition.id, name)) for name in names)
    try:
        stream_joined(pieces, take, pcm_format="f32le", should_stop=should_stop)
    except MasterCorrupt as fault:
        raise EncoderInexact(
            f"What was made for {rendition.tier.name} cannot be decoded.", **fault.measured
        ) from fault
    feed(frame_bytes)
    return meter.finish()
