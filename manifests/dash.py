"""The DASH face of a manifest: a static MPD with one adaptation set per codec.

Sources: ISO/IEC 23009-1 and the DASH-IF interoperability points. Every segment is written out,
for some players repeat one on ``r``. Times are those of the presentation, after the edit list has
taken the priming away, in samples. Ogg is no DASH container here: only renditions in fragmented
MP4 appear.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from catalogue.errors import TrackNotReady
from catalogue.nouns import Rendition
from manifests.bandwidth import peak_bps
from manifests.manifest import Manifest, is_fragmented

MEDIA_TYPE = "application/dash+xml"
_NANO = 1_000_000_000
_CENC = "urn:mpeg:cenc:2013"
_CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
_CHANNEL_SCHEME = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonEncryption:
    """What players are told of the encryption of a manifest's renditions.

    The scheme (ISO/IEC 23001-7), the key's id (16 bytes in hexadecimal) and the ``pssh`` box.
    """

    scheme: str
    key_id: str
    pssh: bytes


def render_mpd(manifest: Manifest, encryption: CommonEncryption | None = None) -> bytes:
    """Return the MPD as UTF-8 XML, adaptation sets in ladder order.

    Raises TrackNotReady when no rendition is in fragmented MP4.
    """
    carried = [
        (rendition, prefix)
        for rendition, prefix in zip(manifest.renditions, manifest.prefixes, strict=True)
        if is_fragmented(rendition)
    ]
    if not carried:
        raise TrackNotReady("It has no rendition that DASH can carry.", track=manifest.track_id)
    longest = max(Fraction(rendition.samples, rendition.rate_hz) for rendition, _ in carried)
    root = Element(
        "MPD",
        xmlns="urn:mpeg:dash:schema:mpd:2011",
        profiles="urn:mpeg:dash:profile:isoff-live:2011",
        type="static",
        mediaPresentationDuration=_duration(longest),
        minBufferTime="PT2S",
    )
    period = SubElement(root, "Period", id="0", start="PT0S")
    for number, codec in enumerate(dict.fromkeys(pair[0].tier.codec for pair in carried)):
        chosen = [pair for pair in carried if pair[0].tier.codec is codec]
        _add_set(period, number, chosen, encryption)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _add_set(
    period: Element,
    number: int,
    carried: Sequence[tuple[Rendition, str]],
    encryption: CommonEncryption | None,
) -> None:
    adaptation = SubElement(
        period,
        "AdaptationSet",
        id=str(number),
        contentType="audio",
        mimeType="audio/mp4",
        segmentAlignment="true",
        startWithSAP="1",
    )
    if encryption is not None:
        _add_encryption(adaptation, encryption)
    for rendition, prefix in carried:
        shown = SubElement(
            adaptation,
            "Representation",
            id=rendition.tier.name,
            codecs=rendition.codec_string,
            bandwidth=str(peak_bps(rendition)),
            audioSamplingRate=str(rendition.rate_hz),
        )
        SubElement(
            shown,
            "AudioChannelConfiguration",
            schemeIdUri=_CHANNEL_SCHEME,
            value=str(rendition.channels),
        )
        SubElement(shown, "BaseURL").text = prefix
        _add_segments(shown, rendition)


def _add_encryption(adaptation: Element, encryption: CommonEncryption) -> None:
    attributes = {
        "schemeIdUri": "urn:mpeg:dash:mp4protection:2011",
        "value": encryption.scheme,
        "xmlns:cenc": _CENC,
        "cenc:default_KID": str(UUID(encryption.key_id)),
    }
    SubElement(adaptation, "ContentProtection", attributes)
    system = SubElement(
        adaptation,
        "ContentProtection",
        {"schemeIdUri": _CLEAR_KEY, "value": "ClearKey1.0", "xmlns:cenc": _CENC},
    )
    SubElement(system, "cenc:pssh").text = base64.b64encode(encryption.pssh).decode("ascii")


def _add_segments(shown: Element, rendition: Rendition) -> None:
    template = SubElement(
        shown,
        "SegmentTemplate",
        timescale=str(rendition.rate_hz),
        initialization=rendition.init.name,
        media="$Number%05d$.m4s",
        startNumber="0",
    )
    timeline = SubElement(template, "SegmentTimeline")
    for chunk in rendition.chunks:
        SubElement(timeline, "S", t=str(chunk.start_samples), d=str(chunk.valid_samples))


def _duration(seconds: Fraction) -> str:
    """Return an ISO 8601 duration to the nanosecond, which tells samples apart at any rate."""
    whole, rest = divmod(round(seconds * _NANO), _NANO)
    return f"PT{whole}.{rest:09d}S"
