"""Masters to press: the fixtures, and longer ones made of them."""

import json
import subprocess
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "audio"


def list_fixtures() -> list[Path]:
    """Return every lossless fixture that can be pressed; a lossy one is a finding."""
    return [FIXTURES / file for file in _depths()]


def make_long_master(folder: Path, fixture: str, seconds: int) -> Path:
    """Return a WAV of the fixture played over and over for ``seconds``, made in ``folder``."""
    source = FIXTURES / fixture
    made = folder / f"{source.stem}-{seconds}s.wav"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-stream_loop", "-1", "-i", str(source)]
    command += ["-map", "0:a", "-t", str(seconds), "-c:a", f"pcm_s{_depths()[fixture]}le"]
    subprocess.run([*command, "-rf64", "auto", str(made)], check=True)
    return made


def _depths() -> dict[str, int]:
    rows = json.loads((FIXTURES / "facts.json").read_text("utf-8"))
    return {row["file"]: row["bits"] for row in rows if row["bits"] is not None}
