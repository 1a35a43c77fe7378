"""The only place that starts a process: ffprobe for facts, ffmpeg for one decode into many pipes.

A child gets its own process group, no standard input, and pipes that are all drained at once, so
that none can block another. It ends with its parent: every output is a pipe, and a write into a
pipe that nobody reads any more kills it.
"""

import fcntl
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

from catalogue.errors import (
    MasterChangesFormat,
    MasterCorrupt,
    MasterUnreadable,
    Stopped,
    ToolMissing,
)

PROBE_TIMEOUT_S = 60.0
STALL_TIMEOUT_S = 120.0
_PIPE_BYTES = 1 << 20
_STDERR_BYTES = 4096
_POLL_S = 0.25

# Only these demuxers may open a master: a playlist or a concatenation script would make ffmpeg
# read other files and fetch from the network.
READABLE_FORMATS = "wav,w64,aiff,flac,mov,mp3,ogg,aac"

_FORMAT_CHANGED = "Changing audio frame properties on the fly is not supported"

_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")

Consumer = Callable[[bytes], None]


def input_options(*, strict: bool) -> dict[str, str]:
    """Return the options under which a master is opened.

    ``strict`` makes every damaged frame an error, which lossy sources often carry harmlessly.
    """
    options = {"protocol_whitelist": "file,pipe", "format_whitelist": READABLE_FORMATS}
    return options | ({"err_detect": "crccheck+explode"} if strict else {})


def input_url(path: Path) -> str:
    """Return ``path`` as ffmpeg's file protocol takes it, whatever characters it holds."""
    return f"file:{path}"


@cache
def build_identity() -> str:
    """Return what tells one ffmpeg build from another: version, configuration, library versions.

    Raises ToolMissing.
    """
    return _run(["ffmpeg", "-hide_banner", "-version"], timeout_s=PROBE_TIMEOUT_S).strip()


def probe(path: Path) -> dict[str, Any]:
    """Return ffprobe's account of the file's format and streams.

    Raises MasterUnreadable when no allowed demuxer opens it or none finishes in time.
    """
    options = [
        word for name, value in input_options(strict=False).items() for word in (f"-{name}", value)
    ]
    shown = ["-show_format", "-show_streams", "-of", "json"]
    command = ["ffprobe", "-hide_banner", "-v", "error", *shown, *options, input_url(path)]
    try:
        answer = json.loads(_run(command, timeout_s=PROBE_TIMEOUT_S))
    except subprocess.CalledProcessError as fault:
        said = _last_line(fault.stderr or "")
        raise MasterUnreadable("No demuxer for an accepted format opens it.", tool=said) from fault
    except subprocess.TimeoutExpired as fault:
        raise MasterUnreadable(
            "Its header cannot be read in time.", seconds=PROBE_TIMEOUT_S
        ) from fault
    if not isinstance(answer, dict):
        raise MasterUnreadable("It cannot be probed.")
    return answer


def decode_into(
    arguments: Sequence[str],
    consumers: Mapping[int, Consumer],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run ``ffmpeg`` and give each consumer the bytes of its output as they come.

    ``arguments`` name outputs as ``pipe:N`` for the keys N of ``consumers``; see ``open_pipes``
    for the numbers. Raises MasterCorrupt when ffmpeg fails or stalls and Stopped when
    ``should_stop`` says so; the child is gone in every case.
    """
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", *arguments]
    with tempfile.TemporaryFile() as stderr, _Pipes(consumers) as pipes:
        with _child(command, stderr=stderr, pass_fds=pipes.write_ends) as process:
            pipes.close_write_ends()
            pipes.drain(should_stop)
            status = process.wait(timeout=STALL_TIMEOUT_S)
        if status != 0:
            said = _tail(stderr)
            if _FORMAT_CHANGED in said:
                raise MasterChangesFormat("Its frames are not all of one rate and shape.")
            raise MasterCorrupt("The decoder gave up on it.", tool=_last_line(said))


def last_packet_end(path: Path, rate_hz: int) -> int:
    """Return where the last coded packet in the file ends, in samples; nothing is decoded."""
    lines = b""

    def keep_tail(data: bytes) -> None:
        nonlocal lines
        lines = (lines + data)[-_STDERR_BYTES:]

    options = [
        word for name, value in input_options(strict=False).items() for word in (f"-{name}", value)
    ]
    with open_pipes(1) as (pipe,):
        copy = ["-map", "0:a:0", "-c", "copy", "-enc_time_base", f"1:{rate_hz}", "-f", "framecrc"]
        arguments = [*options, "-i", input_url(path), *copy, f"pipe:{pipe}"]
        with suppress(MasterCorrupt):
            decode_into(arguments, {pipe: keep_tail})
    packets = [line.split(b",") for line in lines.splitlines() if line.startswith(b"0,")]
    return int(packets[-1][2]) + int(packets[-1][3]) if packets else 0


@contextmanager
def open_pipes(count: int) -> Iterator[list[int]]:
    """Reserve ``count`` file descriptor numbers for outputs of ``decode_into``."""
    reserved = [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]
    try:
        yield reserved
    finally:
        for number in reserved:
            with suppress(OSError):
                os.close(number)


class _Pipes:
    """Pipes whose write ends carry the numbers that the command line names."""

    def __init__(self, consumers: Mapping[int, Consumer]) -> None:
        self._selector = selectors.DefaultSelector()
        self.write_ends: list[int] = []
        for number, consumer in consumers.items():
            read_end, write_end = os.pipe()
            os.dup2(write_end, number)
            os.close(write_end)
            with suppress(OSError):  # An ordinary user may be refused a pipe this large.
                fcntl.fcntl(read_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            self.write_ends.append(number)
            self._selector.register(read_end, selectors.EVENT_READ, consumer)

    def __enter__(self) -> "_Pipes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close_write_ends()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()

    def close_write_ends(self) -> None:
        for number in self.write_ends:
            os.close(number)
        self.write_ends = []

    def drain(self, should_stop: Callable[[], bool]) -> None:
        last_bytes_at = time.monotonic()
        while self._selector.get_map():
            ready = self._selector.select(_POLL_S)
            if should_stop():
                raise Stopped("The press was asked to stop.")
            if not ready and time.monotonic() - last_bytes_at > STALL_TIMEOUT_S:
                raise MasterCorrupt("The decoder stands still.", seconds=STALL_TIMEOUT_S)
            for key, _ in ready:
                last_bytes_at = time.monotonic()
                data = os.read(key.fd, _PIPE_BYTES)
                if data:
                    key.data(data)
                else:
                    self._selector.unregister(key.fd)
                    os.close(key.fd)


def _run(command: Sequence[str], *, timeout_s: float) -> str:
    """Return a command's output. Raises CalledProcessError, TimeoutExpired, ToolMissing."""
    with _child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=timeout_s)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(
            process.returncode, command, None, err.decode("utf-8", "replace")
        )
    return str(out.decode("utf-8", "replace"))


@contextmanager
def _child(
    command: Sequence[str],
    *,
    stderr: IO[bytes] | int,
    stdout: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a child and make sure that its whole process group is gone at the end."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except FileNotFoundError as fault:
        raise ToolMissing(f"{command[0]} was not found.", program=command[0]) from fault
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _tail(stderr: IO[bytes]) -> str:
    size_bytes = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size_bytes - _STDERR_BYTES))
    return stderr.read().decode("utf-8", "replace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _ADDRESS.sub("", lines[-1])[-300:] if lines else "(it said nothing)"
