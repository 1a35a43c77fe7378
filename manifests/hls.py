"""The HLS face of a manifest: one multivariant playlist, one media playlist per rendition.

Sources: RFC 8216 and draft-pantos-hls-rfc8216bis, Apple's HLS authoring specification. Ogg is no
HLS container: only renditions in fragmented MP4 appear.
"""

from itertools import pairwise

from catalogue.errors import TrackNotReady
from catalogue.nouns import Rendition
from manifests.bandwidth import average_bps, peak_bps
from manifests.manifest import Manifest, is_fragmented

MEDIA_TYPE = "application/vnd.apple.mpegurl"
MEDIA_PLAYLIST = "media.m3u8"
_VERSION = 7
_MICRO = 1_000_000


def render_multivariant(manifest: Manifest) -> str:
    """Return the multivariant playlist, its variants in ladder order.

    Raises TrackNotReady when no rendition is in fragmented MP4.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    variants = 0
    for rendition, prefix in zip(manifest.renditions, manifest.prefixes, strict=True):
        if not is_fragmented(rendition):
            continue
        variants += 1
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={peak_bps(rendition)},"
            f'AVERAGE-BANDWIDTH={average_bps(rendition)},CODECS="{rendition.codec_string}"',
            f"{prefix}{MEDIA_PLAYLIST}",
        ]
    if not variants:
        raise TrackNotReady("It has no rendition that HLS can carry.", track=manifest.track_id)
    return "\n".join(lines) + "\n"


def render_media(rendition: Rendition, query: str = "") -> str:
    """Return the media playlist of a rendition; its URIs are names beside it, with ``query``.

    Each ``EXTINF`` is rounded to the microsecond so that the sums, not the parts, stay exact.
    """
    times = [0] + [
        round((chunk.start_samples + chunk.valid_samples) * _MICRO / rendition.rate_hz)
        for chunk in rendition.chunks
    ]
    lengths = [end - start for start, end in pairwise(times)]
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{max(1, (max(lengths) + _MICRO // 2) // _MICRO)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{rendition.init.name}{query}"',
    ]
    for chunk, length in zip(rendition.chunks, lengths, strict=True):
        lines += [f"#EXTINF:{length // _MICRO}.{length % _MICRO:06d},", chunk.body.name + query]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"
