"""Damaged masters: pressed to their own samples, or refused by name; never anything else."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.errors import InvalidInput
from tests.audio.pressings import padding_heard, press_file
from tests.audio_tools import decode, fact, frame_bytes, pcm_format

VICTIMS = ["short.flac", "ode-24.wav", "gymnopedie-96.m4a", "ode-24.aiff"]

few = settings(
    max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module", params=VICTIMS)
def victim(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@few
@given(data=st.data())
def test_flipped_bits_are_exact_or_refused(victim: str, data: st.DataObject) -> None:
    damaged = bytearray(fact(victim).path.read_bytes())
    # Half of them in the headers, where they do most harm.
    front = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, min(200, len(damaged) - 1) if front else len(damaged) - 1))
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    require_exact_or_refused(victim, bytes(damaged))


@few
@given(data=st.data())
def test_truncated_masters_are_refused(victim: str, data: st.DataObject) -> None:
    whole = fact(victim).path.read_bytes()
    size_bytes = data.draw(st.integers(0, len(whole) - 1))
    require_exact_or_refused(victim, whole[:size_bytes])


def require_exact_or_refused(victim: str, damaged: bytes) -> None:
    """Press a damaged master; whatever is pressed of it is what ffmpeg decodes of it."""
    folder = Path(tempfile.mkdtemp())
    path = folder / victim
    path.write_bytes(damaged)
    try:
        pressed = press_file(path, folder / "store", tiers=["aac-128", "alac"])
    except InvalidInput as fault:
        assert fault.code.startswith("master-")
        assert str(folder) not in f"{fault.detail} {fault.measured}"
        return
    finally:
        shutil.rmtree(folder / "store", ignore_errors=True)
    master = pressed.pressing.master
    pcm = decode(path, pcm_format(master.bits))
    samples = len(pcm) // frame_bytes(master.bits, master.channels)
    assert pressed.pressing.decoded.samples == samples
    assert all(padding_heard(rendition) < 1024 for rendition in pressed.pressing.renditions)
    shutil.rmtree(folder)
