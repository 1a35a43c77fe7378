"""One decode for every encoder: what is counted, what is refused, and whose fault it is."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalogue.errors import (
    EncoderFailed,
    EncoderInexact,
    InvalidInput,
    MasterCorrupt,
    MasterTruncated,
    Stopped,
)
from catalogue.nouns import Decoded, Tier
from pipeline.lanes import plan_lanes
from pipeline.master import hash_file, probe_master
from pipeline.press import plan_again
from pipeline.tiers import parse_ladder, read_ladder
from pipeline.transcode import PcmTap, transcode
from tests.audio.pressings import Uncut
from tests.audio_tools import BROKEN, FIXTURES, decode, fact
from tests.contract.examples import make_master
from tests.e2e.servers import children_of

FAST = [tier for tier in read_ladder() if tier.name in ("ogg-96", "aac-128", "alac")]
REFUSED = """
[[tier]]
name = "good"
codec = "aac"
bitrate_kbps = 128
[[tier]]
name = "bad"
codec = "vorbis"
bitrate_kbps = 8
mono_bitrate_kbps = 8
"""

TO_12288 = {"declared_samples": 30_011, "decoded_samples": 12_288}
TWO_SUMS = {
    "declared_md5": "e25eeb22a2989b39d42799783933936e",
    "decoded_md5": "fa35d17f9818f31ac36e37166bb2f949",
}


@pytest.fixture(autouse=True)
def no_process_and_no_pipe_is_left() -> Iterator[None]:
    """Every test here ends with the children and the open files that were there before."""
    before = count_held()
    yield
    assert count_held() == before


def count_held() -> tuple[int, int]:
    return len(children_of(os.getpid())), len(list(Path("/proc/self/fd").iterdir()))


class Failing(Uncut):
    """Takes a little and then fails, as a cutter does that cannot read or cannot store."""

    fault: Exception = ValueError("a box ends too early")

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if len(self.data) > 1000:
            raise self.fault


class Unstorable(Failing):
    fault = OSError(28, "No space left on device")


def run(
    path: Path,
    *,
    tiers: list[Tier] = FAST,
    lanes: int = 1,
    cutter: type[Uncut] = Uncut,
    declared: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[Decoded, dict[str, bytes]]:
    """Transcode a file; return what was decoded, and what each encoder wrote."""
    master = probe_master(path, hash_file(path))
    if declared is not None:
        master = replace(master, declared_samples=declared)
    recipes = plan_again(master, tiers).recipes
    written = {recipe.tier.name: cutter() for recipe in recipes}
    work = [
        [(each, written[each.tier.name]) for each in lane] for lane in plan_lanes(recipes, lanes)
    ]
    decoded = transcode(
        path,
        master,
        work,
        listen=lambda _: None,
        meter=lambda _: None,
        progress=progress,
        should_stop=should_stop,
    )
    return decoded, {name: bytes(stream.data) for name, stream in written.items()}


# --------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("channels", [1, 2])
def test_pcm_is_counted_and_hashed_however_it_comes(bits: int, channels: int) -> None:
    pcm = bytes(range(256)) * 12
    told: list[int] = []
    metered = bytearray()
    tap = PcmTap(make_master(bits=bits, channels=channels), metered.extend, told.append)
    for start in range(0, len(pcm), 7):
        tap.feed(pcm[start : start + 7])
    samples = 3072 // (bits // 8 * channels)
    assert tap.decoded() == Decoded(samples=samples, pcm_sha256=hash_of(pcm))
    assert tap.audio_md5() == hashlib.md5(pcm).hexdigest()
    assert told == sorted(told) and told[-1] == samples
    assert metered == pcm


def hash_of(pcm: bytes) -> Any:
    return hashlib.sha256(pcm).hexdigest()


def test_no_checksum_is_taken_where_none_is_carried() -> None:
    tap = PcmTap(make_master(audio_md5=None), lambda _: None, lambda _: None)
    assert tap.audio_md5() is None


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_every_encoder_hears_one_decode(lanes: int) -> None:
    truth = fact("ode-24.wav")
    told: list[int] = []
    decoded, written = run(truth.path, lanes=lanes, progress=told.append)
    assert decoded == Decoded(samples=240_011, pcm_sha256=hash_of(decode(truth.path, "s24le")))
    assert decoded.pcm_sha256 == truth.pcm_sha256
    assert told == sorted(told) and told[-1] == 240_011
    lengths = {name: len(decode(data)) // 4 for name, data in written.items()}
    assert (lengths["ogg-96"], lengths["alac"]) == (240_011, 240_011)


def test_a_lossy_master_is_as_long_as_its_decoder_says() -> None:
    decoded, _ = run(fact("lossy.mp3").path)
    assert decoded.samples == fact("lossy.mp3").samples == 530_303


@pytest.mark.parametrize(
    "name",
    [
        b"line\nbreak.wav",
        b"-i.wav",
        b"a:b.wav",
        b"50%d.wav",
        b"caf\xe9.wav",
        b"master",
        b"'[a];.wav",
    ],
)
def test_a_name_is_a_name_whatever_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    path = Path(os.fsdecode(name))
    shutil.copy(FIXTURES / "ode-24.wav", tmp_path / path)
    monkeypatch.chdir(tmp_path)
    for given in (path, tmp_path / path):
        decoded, _ = run(given, tiers=FAST[-1:])
        assert decoded.pcm_sha256 == fact("ode-24.wav").pcm_sha256


# --------------------------------------------------------------------------- the master's faults


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize(
    ("file", "code", "measured"),
    [
        ("truncated.flac", "master-truncated", TO_12288),
        ("flipped.flac", "master-corrupt", {"tool": "[flac] CRC error at PTS 12288"} | TO_12288),
        ("changes-format.flac", "master-changes-format", {"decoded_samples": 20480}),
        ("wrong-md5.flac", "master-checksum", TWO_SUMS),
    ],
)
def test_a_damaged_master_is_refused_with_its_figures(
    file: str, code: str, measured: dict[str, Any], lanes: int
) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(BROKEN / file, lanes=lanes)
    assert caught.value.code == code
    assert caught.value.measured == measured
    assert str(BROKEN) not in f"{caught.value.detail} {caught.value.measured}"


def test_a_master_that_is_shorter_than_declared_is_truncated() -> None:
    with pytest.raises(MasterTruncated) as caught:
        run(fact("ode.wav").path, declared=462_068)
    assert caught.value.measured == {"declared_samples": 462_068, "decoded_samples": 462_067}


def test_a_master_that_is_longer_than_declared_is_corrupt() -> None:
    with pytest.raises(MasterCorrupt) as caught:
        run(fact("ode.wav").path, declared=462_066)
    assert caught.value.measured == {"declared_samples": 462_066, "decoded_samples": 462_067}


# --------------------------------------------------------------------------- other faults


@pytest.mark.parametrize("lanes", [1, 2])
@pytest.mark.parametrize("names", [["bad"], ["good", "bad"]])
def test_a_bit_rate_that_an_encoder_refuses_is_not_the_master_s_fault(
    lanes: int, names: list[str]
) -> None:
    tiers = [tier for tier in parse_ladder(REFUSED) if tier.name in names]
    with pytest.raises(EncoderFailed) as caught:
        run(fact("ode.wav").path, tiers=tiers, lanes=lanes)
    assert caught.value.code == "encoder-failed"
    assert "Error while opening encoder" in str(caught.value.measured["tool"])
    assert str(FIXTURES) not in f"{caught.value.detail} {caught.value.measured}"


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_cannot_be_cut_is_the_encoder_s_fault(lanes: int) -> None:
    with pytest.raises(EncoderInexact) as caught:
        run(fact("ode.wav").path, lanes=lanes, cutter=Failing)
    assert caught.value.detail == "What an encoder wrote cannot be cut: a box ends too early."


@pytest.mark.parametrize("lanes", [1, 3])
def test_what_cannot_be_stored_is_nobody_s_but_the_store_s(lanes: int) -> None:
    with pytest.raises(OSError, match="No space left"):
        run(fact("ode.wav").path, lanes=lanes, cutter=Unstorable)


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_press_stops_when_it_is_asked_to(lanes: int) -> None:
    heard: list[int] = []
    with pytest.raises(Stopped):
        run(
            fact("prelude.flac").path,
            lanes=lanes,
            progress=heard.append,
            should_stop=lambda: bool(heard),
        )
    assert heard[-1] < 1_560_341
