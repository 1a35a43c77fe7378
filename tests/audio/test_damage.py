"""Damage: masters pressed to their own samples or refused by name, pressed folders found out."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogue.errors import InvalidInput
from lathe.inspection import inspect_folder
from lathe.pressing import CHECKSUMS, press_to_folder
from tests.audio.pressings import LADDER
from tests.audio.tools import files_in, flipped
from tests.audio_tools import BROKEN, FIXTURES, decode, pcm_format

TIERS = [tier for tier in LADDER if tier.name in ("ogg-96", "aac-128", "alac", "flac-hires")]
CODES = {
    "bits-8.wav": "master-depth",
    "changes-format.flac": "master-changes-format",
    "empty.flac": "master-empty",
    "flipped.flac": "master-corrupt",
    "float-32.wav": "master-depth",
    "garbage.flac": "master-unreadable",
    "header-only.wav": "master-has-no-samples",
    "lying-4gb.wav": "master-truncated",
    "picture.m4a": "master-has-no-audio",
    "rate-22050.wav": "master-rate",
    "six-channels.wav": "master-channels",
    "text.wav": "master-unreadable",
    "truncated.aiff": "master-truncated",
    "truncated.flac": "master-truncated",
    "truncated.m4a": "master-unreadable",
    "truncated.wav": "master-truncated",
    "wrong-md5.flac": "master-checksum",
}
VICTIMS = {
    "victim.flac": ("ode.wav", "flac"),
    "victim.wav": ("ode-24.wav", "pcm_s24le"),
    "victim.aiff": ("ode-24.aiff", "pcm_s24be"),
    "victim.m4a": ("ode.wav", "alac"),
}
WIDE = (".wav", ".aiff")
FRONT_BYTES = 300

few = settings(
    max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@dataclass(frozen=True)
class Victim:
    """A short master, and where to press what is done to it."""

    path: Path
    folder: Path

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()

    def press(self, data: bytes) -> str | None:
        """Press other bytes under its name; return the hash of the PCM, or None if refused.

        What is pressed is what ffmpeg decodes of them, exact in every tier. What is refused is
        refused for its own fault, without a word of where it was kept, and leaves nothing.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        path = self.folder / self.path.name
        path.write_bytes(data)
        try:
            done = press_to_folder(path, self.folder / "out", TIERS)
        except InvalidInput as fault:
            assert fault.code.startswith("master-")
            assert str(self.folder) not in f"{fault.detail} {fault.measured}"
            assert list(files_in(self.folder)) == [path.name]
            return None
        pcm_sha256 = pcm_hash(path, done.pressing.master.bits)
        assert pcm_sha256 == done.pressing.decoded.pcm_sha256
        assert list(inspect_folder(done.folder, decode=True)) == []
        return pcm_sha256


def pcm_hash(path: Path, bits: int | None) -> str:
    return hashlib.sha256(decode(path, pcm_format(bits))).hexdigest()


@pytest.fixture(scope="module", params=VICTIMS)
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """A fifth of a second of a fixture, in each format that is accepted."""
    folder = tmp_path_factory.mktemp("victim")
    source, codec = VICTIMS[request.param]
    path = folder / str(request.param)
    command = ["ffmpeg", "-v", "error", "-i", str(FIXTURES / source), "-t", "0.2", "-c:a", codec]
    subprocess.run([*command, str(path)], check=True, timeout=60)
    return Victim(path, folder / "damaged")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pressed folder that nobody damages."""
    return press_to_folder(FIXTURES / "tiny.wav", tmp_path_factory.mktemp("out"), TIERS).folder


@pytest.fixture
def pressed(whole: Path, tmp_path: Path) -> Path:
    """A pressed folder to damage."""
    return Path(shutil.copytree(whole, tmp_path / "folder"))


def test_every_broken_fixture_has_a_code() -> None:
    assert sorted(CODES) == sorted(files_in(BROKEN))


@pytest.mark.parametrize("file", CODES)
def test_a_broken_master_is_refused_by_its_own_code_and_leaves_nothing(
    tmp_path: Path, file: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        press_to_folder(BROKEN / file, tmp_path, LADDER)
    assert refused.value.code == CODES[file]
    assert list(tmp_path.iterdir()) == []


def test_an_undamaged_victim_is_pressed(victim: Victim) -> None:
    assert victim.press(victim.data) is not None


@few
@given(data=st.data())
def test_flipped_bits_are_exact_or_refused(victim: Victim, data: st.DataObject) -> None:
    """A third of them at the front and a third at the end, where headers are.

    A FLAC has checksums of its own: no damage changes the sound that is pressed of it.
    """
    size, reach = len(victim.data) * 8, FRONT_BYTES * 8
    places = st.integers(0, reach) | st.integers(0, size - 1) | st.integers(size - reach, size - 1)
    sound = victim.press(flipped(victim.data, *data.draw(st.sets(places, min_size=1, max_size=3))))
    if victim.path.suffix == ".flac":
        assert sound in (None, pcm_hash(victim.path, 16))


@few
@given(data=st.data())
def test_a_truncated_master_is_refused_unless_all_its_sound_is_there(
    victim: Victim, data: st.DataObject
) -> None:
    size = len(victim.data)
    kept = data.draw(
        st.integers(0, FRONT_BYTES) | st.integers(0, size - 1) | st.integers(size - 40, size - 1)
    )
    sound = victim.press(victim.data[:kept])
    assert sound in (None, pcm_hash(victim.path, 24 if victim.path.suffix in WIDE else 16))


def test_a_flipped_bit_is_found_in_every_file_of_a_pressed_folder(pressed: Path) -> None:
    for name in files_in(pressed):
        path = pressed / name
        data = path.read_bytes()
        for bit in (0, len(data) * 4, len(data) * 8 - 1):
            path.write_bytes(flipped(data, bit))
            found = {finding.file for finding in inspect_folder(pressed, decode=False)}
            assert found if name == CHECKSUMS else name in found, (name, bit)
        path.write_bytes(data)
    assert list(inspect_folder(pressed, decode=True)) == []


def test_every_flipped_bit_of_a_checksum_line_is_found(pressed: Path) -> None:
    path = pressed / CHECKSUMS
    data = path.read_bytes()
    unnoticed = []
    for bit in range((data.index(b"\n") + 1) * 8):
        path.write_bytes(flipped(data, bit))
        if not any(inspect_folder(pressed, decode=False)):
            unnoticed.append(bit)
    assert unnoticed == []


def test_a_byte_missing_at_the_end_is_found_in_every_file(pressed: Path) -> None:
    for name in files_in(pressed):
        path = pressed / name
        data = path.read_bytes()
        path.write_bytes(data[:-1])
        found = {finding.file for finding in inspect_folder(pressed, decode=False)}
        assert found if name == CHECKSUMS else name in found, name
        path.write_bytes(data)


def test_a_missing_file_is_found_whichever_it_is(pressed: Path) -> None:
    for name in files_in(pressed):
        path = pressed / name
        data = path.read_bytes()
        path.unlink()
        found = {finding.file for finding in inspect_folder(pressed, decode=False)}
        assert name in found
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["extra", ".hidden", "renditions/extra.m4s"])
def test_an_extra_file_is_found(pressed: Path, name: str) -> None:
    (pressed / name).write_bytes(b"")
    found = [(finding.file, finding.rule) for finding in inspect_folder(pressed, decode=False)]
    assert found == [(name, "file-unlisted")]
