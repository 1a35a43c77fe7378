"""Cutting AAC, ALAC and FLAC: whole frames, regrouped into one fragment per chunk.

AAC needs the frame before a chunk to decode the chunk alone (its transform overlaps by one
frame); ffmpeg's encoder starts with one frame of priming, which chunk 0 carries. ALAC and FLAC
frames stand alone, and only the last one is short.
"""

from dataclasses import replace

from catalogue.errors import EncoderInexact
from catalogue.nouns import Chunk, Codec
from pipeline.cutting.cut import Cut, PrerollCollector, Put, body_name
from pipeline.cutting.fragments import FragmentReader, Frames
from pipeline.cutting.grid import GRID_UNIT_SAMPLES, chunk_samples
from pipeline.cutting.mp4 import Sound, build_fragment, build_init, read_audio_config

AAC_FRAME_SAMPLES = 1024
CODEC_STRINGS = {Codec.AAC: "mp4a.40.2", Codec.ALAC: "alac", Codec.FLAC: "fLaC"}


class Mp4Cutter:
    """Cuts the fragmented MP4 that ffmpeg writes for one rendition."""

    def __init__(
        self, put: Put, *, codec: Codec, rate_hz: int, channels: int, bits: int | None
    ) -> None:
        is_aac = codec is Codec.AAC
        self._put = put
        self._codec, self._rate_hz, self._channels = codec, rate_hz, channels
        self._bits = bits or 16
        self._frame_samples = AAC_FRAME_SAMPLES if is_aac else GRID_UNIT_SAMPLES
        self._priming_frames = 1 if is_aac else 0
        self._chunk_samples = chunk_samples(rate_hz)
        self._reader = FragmentReader()
        self._preroll = PrerollCollector()
        self._chunks: list[Chunk] = []
        self._sizes: list[int] = []
        self._data = bytearray()
        self._last_samples = self._frame_samples
        self._previous_frame = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes: see Cutter.feed."""
        for frames in self._reader.feed(data):
            self._take(frames)
            while len(self._sizes) >= self._frames_of(self._chunk_samples):
                self._cut(self._chunk_samples)

    def finish(self, samples: int) -> Cut:
        """Store the last chunk and the init segment: see Cutter.finish."""
        self._reader.finish()
        rest = samples - self._next_start
        if rest > 0:
            if rest > self._chunk_samples or len(self._sizes) < self._frames_of(rest):
                raise self._inexact(samples)
            self._cut(rest)
        padding = self._close(samples)
        sound = self._describe(samples, padding)
        return Cut(
            codec_string=CODEC_STRINGS[self._codec],
            media_type="audio/mp4",
            samples=samples,
            frame_samples=self._frame_samples,
            priming_samples=sound.priming_samples,
            padding_samples=padding,
            init=self._put("init.mp4", build_init(sound)),
            preroll=self._preroll.store(self._put, "preroll.m4s"),
            chunks=tuple(self._chunks),
        )

    @property
    def _next_start(self) -> int:
        return len(self._chunks) * self._chunk_samples

    def _frames_of(self, samples: int) -> int:
        """Return how many frames the next chunk has for ``samples`` valid samples."""
        priming = 0 if self._chunks else self._priming_frames
        return priming - (-samples // self._frame_samples)

    def _take(self, frames: Frames) -> None:
        self._sizes += frames.sizes
        self._data += frames.data
        if not self._codec.lossless:
            return
        if self._last_samples != self._frame_samples or any(
            duration != self._frame_samples for duration in frames.durations[:-1]
        ):
            raise ValueError("a frame before the last one is short")
        self._last_samples = frames.durations[-1]

    def _cut(self, valid_samples: int) -> None:
        """Store the next chunk; its fragment ends with the last frame taken when that is short."""
        index, start = len(self._chunks), self._next_start
        sizes = self._sizes[: self._frames_of(valid_samples)]
        size_bytes = sum(sizes)
        data = bytes(memoryview(self._data)[:size_bytes])
        short = self._codec.lossless and len(sizes) == len(self._sizes)
        del self._sizes[: len(sizes)], self._data[:size_bytes]
        priming = self._priming_frames * self._frame_samples
        decode_time = start + (priming if index else 0)
        offset, preroll_size = 0, 0
        if index and self._priming_frames:
            offset, preroll_size = self._preroll.add(
                self._fragment(
                    index,
                    decode_time - priming,
                    [len(self._previous_frame)],
                    self._previous_frame,
                    self._frame_samples,
                )
            )
        last_samples = self._last_samples if short else self._frame_samples
        body = self._fragment(index + 1, decode_time, sizes, data, last_samples)
        self._previous_frame = data[size_bytes - sizes[-1] :]
        self._chunks.append(
            Chunk(
                index=index,
                start_samples=start,
                valid_samples=valid_samples,
                preroll_samples=priming if preroll_size else 0,
                preroll_offset=offset,
                preroll_size=preroll_size,
                body=self._put(body_name(index, "m4s"), body),
            )
        )

    def _fragment(
        self, sequence: int, decode_time: int, sizes: list[int], data: bytes, last_samples: int
    ) -> bytes:
        return build_fragment(
            sequence=sequence,
            decode_time=decode_time,
            sizes=sizes,
            frame_samples=self._frame_samples,
            last_samples=last_samples,
            data=data,
        )

    def _close(self, samples: int) -> int:
        """Set the last chunk's length, known only now, and return the padding after it."""
        if not self._chunks:
            raise self._inexact(samples)
        last = self._chunks[-1]
        valid_samples = samples - last.start_samples
        coded = -(-last.valid_samples // self._frame_samples) * self._frame_samples
        if self._codec.lossless:
            coded += self._last_samples - self._frame_samples
        exact = coded == valid_samples and not self._sizes
        if not (exact if self._codec.lossless else 0 < valid_samples <= coded):
            raise self._inexact(samples)
        self._chunks[-1] = replace(last, valid_samples=valid_samples)
        return coded - valid_samples

    def _describe(self, samples: int, padding_samples: int) -> Sound:
        if self._reader.codec_box is None:
            raise ValueError("the stream has no header")
        name, config = self._reader.codec_box
        if self._codec is Codec.AAC:
            if name != "esds":
                raise ValueError(f"AAC configured by {name}")
            config = read_audio_config(config)
        rates = [
            chunk.body.size_bytes * 8 * self._rate_hz // chunk.valid_samples
            for chunk in self._chunks
        ]
        total_bytes = sum(chunk.body.size_bytes for chunk in self._chunks)
        return Sound(
            codec=self._codec,
            config=config,
            rate_hz=self._rate_hz,
            channels=self._channels,
            bits=self._bits,
            samples=samples,
            priming_samples=self._priming_frames * self._frame_samples,
            padding_samples=padding_samples,
            average_bps=total_bytes * 8 * self._rate_hz // samples,
            peak_bps=min(max(rates), 0xFFFF_FFFF),
        )

    def _inexact(self, samples: int) -> EncoderInexact:
        return EncoderInexact(
            f"{self._codec}: its frames do not hold the samples fed to it.",
            codec=self._codec,
            samples=samples,
            chunks=len(self._chunks),
            frames_left=len(self._sizes),
        )
