from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import accumulate

import m3u8
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.nouns import Chunk, Rendition
from manifests.hls import render_media, render_multivariant
from manifests.manifest import Manifest
from tests.contract.examples import AAC, ALAC, make_rendition

RATES_HZ = (16_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
HALF_A_MICROSECOND = Fraction(1, 2_000_000)

quiet = settings(derandomize=True, deadline=None, max_examples=100)


@st.composite
def any_renditions(draw: st.DrawFn) -> Rendition:
    """Renditions with chunks of any lengths."""
    lengths = draw(st.lists(st.integers(1, 4_000_000), min_size=1, max_size=40))
    sizes = draw(st.lists(st.integers(1, 10**7), min_size=len(lengths), max_size=len(lengths)))
    rate_hz = draw(st.sampled_from(RATES_HZ))
    return make_rendition(
        draw(st.sampled_from([AAC, ALAC])), rate_hz=rate_hz, lengths=lengths, sizes=sizes
    )


@st.composite
def cut_renditions(draw: st.DrawFn) -> Rendition:
    """Renditions as they are cut: chunks of one length, and a shorter one at the end."""
    length = draw(st.sampled_from([442_368, 479_232]))
    lengths = [length] * draw(st.integers(0, 20)) + [draw(st.integers(1, length))]
    sizes = draw(st.lists(st.integers(1, 10**7), min_size=len(lengths), max_size=len(lengths)))
    return make_rendition(rate_hz=44_100, lengths=lengths, sizes=sizes)


def multivariant(*renditions: Rendition) -> m3u8.M3U8:
    manifest = Manifest(
        title="Ode",
        artist=None,
        isrc=None,
        track_id=None,
        quality=None,
        renditions=renditions,
        prefixes=tuple(f"renditions/{rendition.id}/" for rendition in renditions),
        expires_at=None,
        refresh_after=None,
        refresh_url=None,
    )
    return m3u8.loads(render_multivariant(manifest))


def printed_lengths(playlist: str) -> list[Fraction]:
    """Return the EXTINF durations exactly as they are printed."""
    words = [line for line in playlist.splitlines() if line.startswith("#EXTINF:")]
    return [Fraction(word.removeprefix("#EXTINF:").rstrip(",")) for word in words]


@quiet
@given(any_renditions())
def test_printed_lengths_add_up_to_the_exact_time_at_every_chunk(rendition: Rendition) -> None:
    lengths = printed_lengths(render_media(rendition))
    assert len(lengths) == len(rendition.chunks)
    for chunk, end in zip(rendition.chunks, accumulate(lengths), strict=True):
        exact = Fraction(chunk.start_samples + chunk.valid_samples, rendition.rate_hz)
        assert abs(end - exact) <= HALF_A_MICROSECOND


@quiet
@given(any_renditions())
def test_a_media_playlist_parses_back(rendition: Rendition) -> None:
    playlist = render_media(rendition)
    parsed = m3u8.loads(playlist)
    assert [each.uri for each in parsed.segments] == [each.body.name for each in rendition.chunks]
    printed = [float(length) for length in printed_lengths(playlist)]
    assert [each.duration for each in parsed.segments] == printed
    assert {each.init_section.uri for each in parsed.segments} == {rendition.init.name}
    assert (parsed.playlist_type, parsed.is_endlist, parsed.media_sequence) == ("vod", True, 0)
    assert parsed.is_independent_segments
    assert playlist.endswith("\n")


@quiet
@given(any_renditions())
def test_no_chunk_is_longer_than_the_target(rendition: Rendition) -> None:
    playlist = render_media(rendition)
    target = m3u8.loads(playlist).target_duration
    assert target == max(1, *(int(length + Fraction(1, 2)) for length in printed_lengths(playlist)))


@quiet
@given(any_renditions(), any_renditions())
def test_a_multivariant_playlist_parses_back(one: Rendition, other: Rendition) -> None:
    parsed = multivariant(one, other)
    for playlist, rendition in zip(parsed.playlists, (one, other), strict=True):
        assert playlist.uri == f"renditions/{rendition.id}/media.m3u8"
        assert playlist.stream_info.codecs == rendition.codec_string
        exact = Fraction(
            sum(chunk.body.size_bytes for chunk in rendition.chunks) * 8 * rendition.rate_hz,
            rendition.samples,
        )
        assert 0 <= playlist.stream_info.average_bandwidth - exact < 1


@quiet
@given(cut_renditions())
def test_the_peak_is_no_less_than_the_average(rendition: Rendition) -> None:
    stream = multivariant(rendition).playlists[0].stream_info
    assert stream.bandwidth >= stream.average_bandwidth


@quiet
@given(cut_renditions())
def test_the_peak_is_that_of_any_stretch_about_as_long_as_the_target(rendition: Rendition) -> None:
    """RFC 8216, 4.1: any contiguous set of segments of 0.5 to 1.5 times the target duration."""
    peak = multivariant(rendition).playlists[0].stream_info.bandwidth
    target_s = m3u8.loads(render_media(rendition)).target_duration
    for stretch in stretches(rendition.chunks):
        seconds = Fraction(sum(chunk.valid_samples for chunk in stretch), rendition.rate_hz)
        if target_s <= 2 * seconds <= 3 * target_s:
            assert peak * seconds >= 8 * sum(chunk.body.size_bytes for chunk in stretch)


def stretches(chunks: Sequence[Chunk]) -> Iterator[Sequence[Chunk]]:
    """Yield every contiguous set of up to three chunks."""
    for length in (1, 2, 3):
        for start in range(len(chunks) - length + 1):
            yield chunks[start : start + length]
